"""What Airflow's api-server does not do by itself, at the door of all of its pages and APIs.

No other site shows them in a frame, and passwords cannot be guessed through `/auth/token` faster
than through the log-in form, which is all that Airflow's own limit ([fab] auth_rate_limit) is for.
"""

from __future__ import annotations

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

HEADERS = [
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class Guard:
    """ASGI middleware; counts wrong passwords by the client's address, in memory."""

    def __init__(self, app) -> None:
        # Not above: every process of Airflow imports this file, and only one is a server.
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self.app = app
        self.limit = parse(conf.get("fab", "auth_rate_limit"))
        self.limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope, receive, send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        guess = scope["method"] == "POST" and scope["path"].startswith("/auth/token")
        client = (scope.get("client") or ("",))[0]

        async def answer(message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                own = [header for header in HEADERS if header[0] not in present]
                message["headers"] = [*message["headers"], *own]
                if guess and message["status"] == 401:
                    self.limiter.hit(self.limit, client)
            await send(message)

        if guess and not self.limiter.test(self.limit, client):
            from starlette.responses import JSONResponse

            refusal = JSONResponse({"detail": "too many wrong passwords: wait a minute"}, 429)
            await refusal(scope, receive, answer)
        else:
            await self.app(scope, receive, answer)


class GuardPlugin(AirflowPlugin):
    """Where Airflow finds it."""

    name = "guard"
    fastapi_root_middlewares = [  # noqa: RUF012 - Airflow's own form
        {"name": "guard", "middleware": Guard, "args": [], "kwargs": {}}
    ]
