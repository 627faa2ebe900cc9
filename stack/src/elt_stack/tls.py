"""The stack behind Caddy: what Compose needs to know, and whether Caddy has a certificate."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import socket
import ssl

from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings

COMPOSE_FILE = "docker-compose.tls.yaml"
FILES = ("TLS_CERT_FILE", "TLS_KEY_FILE", "ACME_CA_ROOT")


def compose_variables(settings: Settings) -> dict[str, str]:
    """Return the variables of docker-compose.tls.yaml that are not settings.

    The settings may be invalid, because a stack with such settings can be stopped.
    """
    files = os.environ.get("COMPOSE_FILE") or "docker-compose.yaml"
    variables = {
        "COMPOSE_FILE": f"{files}:{COMPOSE_FILE}",
        "CERTIFICATE": "files" if settings["TLS_CERT_FILE"] else "acme",
    }
    variables |= {name: str(PROJECT / settings[name]) for name in FILES if settings[name]}
    with contextlib.suppress(ValueError):
        variables["PROXY_ADDRESS"] = str(ipaddress.IPv4Network(settings["PROXY_SUBNET"])[-2])
    contents = hashlib.sha256()
    for path in ("caddy/Caddyfile", settings["TLS_CERT_FILE"], settings["ACME_CA_ROOT"]):
        with contextlib.suppress(OSError):
            contents.update((PROJECT / path).read_bytes() if path else b"")
    return variables | {"CHECKSUM": contents.hexdigest()}


def is_served(settings: Settings) -> bool:
    """Return whether Caddy has a certificate for the host.

    Who issued it is not checked: this machine need not know an internal CA.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = "127.0.0.1", int(settings["HTTPS_PORT"])
    try:
        with (
            socket.create_connection(address, timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=settings["PUBLIC_HOST"]),
        ):
            return True
    except OSError:
        return False
