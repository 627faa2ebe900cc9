"""Add security headers to all responses of Airflow's api-server, and limit wrong passwords.

Airflow's own limit ([fab] auth_rate_limit) covers the login form only. This plugin applies the same
limit to `/auth/token`. Its headers keep other sites from showing Airflow in a frame. If
COOKIE_SECURE is true, all cookies are `Secure`. Airflow has a setting for one of its cookies only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = [
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class Guard:
    """ASGI middleware that adds HEADERS and refuses clients after too many wrong passwords.

    It counts the wrong passwords per client address, in the memory of the one api-server worker. It
    also makes cookies `Secure`.
    """

    def __init__(self, app: ASGIApp) -> None:
        # Every process of Airflow imports this file, but only the api-server needs `limits`.
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self.app = app
        self.secure_cookies = os.environ.get("COOKIE_SECURE") == "true"
        self.limit = parse(conf.get_mandatory_value("fab", "auth_rate_limit"))
        self.limiter = FixedWindowRateLimiter(MemoryStorage())

    def secure(self, header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """Return a header; a cookie gets the attribute `Secure` if COOKIE_SECURE is true."""
        name, value = header
        is_cookie = name.lower() == b"set-cookie" and b"; secure" not in value.lower()
        return (name, value + b"; Secure") if is_cookie and self.secure_cookies else header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # With TLS, Airflow is below /airflow. Clients within the stack need not know.
        root = scope["root_path"]
        if not scope["path"].startswith(f"{root}/"):
            scope = {**scope, "path": root + scope["path"]}
        is_login = scope["method"] == "POST" and scope["path"].startswith(f"{root}/auth/token")
        client = (scope.get("client") or ("",))[0]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                missing = [header for header in HEADERS if header[0] not in present]
                message["headers"] = [*map(self.secure, message["headers"]), *missing]
                if is_login and message["status"] == 401:
                    self.limiter.hit(self.limit, client)
            await send(message)

        if is_login and not self.limiter.test(self.limit, client):
            from starlette.responses import JSONResponse

            refusal = JSONResponse({"detail": "too many wrong passwords: wait a minute"}, 429)
            await refusal(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


class GuardPlugin(AirflowPlugin):
    """Register the middleware with Airflow."""

    name = "guard"
    fastapi_root_middlewares = [  # noqa: RUF012 - Airflow requires a plain list
        {"name": "guard", "middleware": Guard, "args": [], "kwargs": {}}
    ]
