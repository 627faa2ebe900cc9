"""Superset's configuration.

Environment variables set the parts that vary:

SUPERSET_DATABASE_URI   the metadata database, which holds dashboards and users
SUPERSET_SECRET_KEY     signs sessions; secret, and the same after a restart
PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD   the warehouse, read by libpq
SUPERSET_CACHE_URL      redis://…; if unset, the cache is files below SUPERSET_HOME
OIDC_…                  the sign-in with OpenID Connect (see sign_in.py)
LOG_LEVEL               DEBUG, INFO, WARN (the default) or ERROR
SUPERSET_URL            the address that users type
FORWARDED_ALLOW_IPS     the address of a proxy whose X-Forwarded-For counts; if unset, none does
COOKIE_SECURE           true: browsers send the session cookie over HTTPS only, and to localhost
ALLOW_DEMO_LOGINS       true: a weak secret key is accepted
SHORTEST_KEY            minimum length of a secret key that is not weak (see service.env)
"""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from superset.app import SupersetApp

# Keys from Superset's own files and guides, which attackers try first (CVE-2023-27524).
KNOWN_KEYS = {
    "CHANGE_ME_SECRET_KEY",
    "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
    "TEST_NON_DEV_SECRET",
    "USE_YOUR_OWN_SECURE_RANDOM_KEY",
    "YOUR_OWN_RANDOM_GENERATED_SECRET_KEY",
    "thisISaSECRET_1234",
    "\2\1thisismyscretkey\1\2\\e\\y\\y\\h",
    r"\2\1thisismyscretkey\1\2\e\y\y\h",
}


def setting(name: str) -> str:
    """Return a required environment variable.

    Raises:
        SystemExit: The variable is not set.
    """
    if not os.environ.get(name):
        raise SystemExit(f"{name} is not set: see .env.example")
    return os.environ[name]


def secret_key() -> str:
    """Return the key that signs sessions.

    Raises:
        SystemExit: The key is missing, or it is weak and ALLOW_DEMO_LOGINS is not true.
    """
    key = setting("SUPERSET_SECRET_KEY")
    if os.environ.get("ALLOW_DEMO_LOGINS") != "true":
        if key in KNOWN_KEYS:
            raise SystemExit("SUPERSET_SECRET_KEY is publicly known: set your own in .env")
        shortest = int(setting("SHORTEST_KEY"))
        if len(key) < shortest:
            raise SystemExit(
                f"SUPERSET_SECRET_KEY is too short: use at least {shortest} characters"
            )
    return key


SQLALCHEMY_DATABASE_URI = setting("SUPERSET_DATABASE_URI")
SECRET_KEY = secret_key()
LOG_LEVEL = logging.getLevelNamesMapping()[os.environ.get("LOG_LEVEL", "WARN")]
ALEMBIC_SKIP_LOG_CONFIG = True  # apply LOG_LEVEL to migrations too

# Logins ------------------------------------------------------------------------------------------

# Airflow runs on the same host name, and browsers share cookies between ports. With the name of
# Airflow's cookie, `session`, a login to one would end the session in the other.
SESSION_COOKIE_NAME = "superset_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = os.environ.get("COOKIE_SECURE") == "true"
WTF_CSRF_ENABLED = True
# Anonymous users have no access, and visitors cannot register.
AUTH_USER_REGISTRATION = False
PUBLIC_ROLE_LIKE = None
# Limit password guessing per client address. Other requests have no limit, because a dashboard
# requests all its charts at once.
RATELIMIT_ENABLED = True
RATELIMIT_APPLICATION = None
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = "10 per 20 second"
PROXY = os.environ.get("FORWARDED_ALLOW_IPS")
# The views that check passwords. AUTH_RATE_LIMIT alone limits neither the login form nor the login
# API. The form posts to a view that Superset does not limit, and the API has a view of its own.
PASSWORD_VIEWS = ["AuthDBView.login", "SecurityApi.login"]

# One sign-in for Airflow and Superset (docs/sign-in.md).
OIDC_IS_ON = bool(os.environ.get("OIDC_ISSUER"))
if OIDC_IS_ON:
    from superset_sign_in import SupersetSignIn as CUSTOM_SECURITY_MANAGER  # noqa: F401, N814

    from sign_in import config

    globals().update(config())
    PASSWORD_VIEWS.remove("AuthDBView.login")  # there is no login form

# Pages -------------------------------------------------------------------------------------------

WEBDRIVER_BASEURL_USER_FRIENDLY = os.environ.get("SUPERSET_URL", "http://localhost:8088")
# Pages load nothing from other hosts. The policy also blocks the tracking pixel that is compiled
# into Superset's pages.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
        "frame-ancestors": ["'self'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}
ENABLE_CORS = False
FAB_API_SWAGGER_UI = False  # the Swagger page loads scripts from a third party
FEATURE_FLAGS = {
    "EMBEDDABLE_CHARTS": False,
    # Render all charts at once, so that a printed dashboard is complete.
    "DASHBOARD_VIRTUALIZATION": False,
}


def ignore_events_of_visitors() -> tuple[str, int] | None:
    """Ignore the events that the login page sends a second after its opening.

    Superset would answer a visitor with a new session cookie. If the visitor has just logged in,
    this cookie would replace the session of the login.
    """
    from flask import request, session
    from flask_login import current_user

    if request.endpoint == "Superset.log" and not current_user.is_authenticated:
        # Flask-AppBuilder has stored the language in the session, which would set a cookie.
        session.modified = False
        return "", 204
    return None


class BehindProxy:
    """WSGI middleware: the proxy, and nobody else, says who the client is.

    ENABLE_PROXY_FIX would believe everybody who reaches the port. The proxy replaces the headers
    that a client sends, so each has one value.
    """

    def __init__(self, app: WSGIApplication) -> None:
        from werkzeug.middleware.proxy_fix import ProxyFix

        self.app = app
        self.forwarded = ProxyFix(app, x_for=1, x_proto=1)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        app = self.forwarded if environ["REMOTE_ADDR"] == PROXY else self.app
        return app(environ, start_response)


def FLASK_APP_MUTATOR(app: SupersetApp) -> None:  # noqa: N802 - Superset's name
    """Limit and mend the login. Superset calls this function with the new application."""
    limit, views = app.appbuilder.sm.limiter.limit, app.view_functions
    for name in PASSWORD_VIEWS:
        views[name] = limit(AUTH_RATE_LIMIT, methods=["POST"])(views[name])
    app.before_request(ignore_events_of_visitors)
    if PROXY:
        app.wsgi_app = BehindProxy(app.wsgi_app)
    if OIDC_IS_ON:
        from superset_sign_in import limit_sessions

        limit_sessions(app)


# Number format of the dashboard.
D3_FORMAT = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""]}
CURRENCIES = ["USD"]

# The warehouse -----------------------------------------------------------------------------------

PREVENT_UNSAFE_DB_CONNECTIONS = True
ROW_LIMIT = 10_000
SQL_MAX_ROW = 100_000
SUPERSET_WEBSERVER_TIMEOUT = 60  # seconds, as in the next two settings
SQLLAB_TIMEOUT = 50  # below SUPERSET_WEBSERVER_TIMEOUT, so that the user sees the reason
SQLLAB_ASYNC_TIME_LIMIT_SEC = 300

# Cache -------------------------------------------------------------------------------------------

DAY = int(timedelta(days=1).total_seconds())
CACHE_URL = os.environ.get("SUPERSET_CACHE_URL")
SUPERSET_HOME = Path(os.environ.get("SUPERSET_HOME") or Path.home() / ".superset")


def cache(name: str, timeout: int) -> dict[str, Any]:
    """Return the settings of one cache: in Redis if configured, else in files.

    Args:
        name: Prefix of the keys, or folder of the files.
        timeout: Seconds until an entry expires.
    """
    common = {"CACHE_KEY_PREFIX": f"superset_{name}_", "CACHE_DEFAULT_TIMEOUT": timeout}
    if CACHE_URL:
        return common | {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": CACHE_URL}
    folder = SUPERSET_HOME / "cache" / name
    return common | {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(folder)}


CACHE_CONFIG = cache("metadata", DAY)
# Cache chart data for only 30 seconds, so that the dashboard soon shows a newly loaded file.
DATA_CACHE_CONFIG = cache("data", 30)
# A link to a filtered dashboard stays valid for 90 days after its last use, and a link to an edited
# chart for 7 days.
FILTER_STATE_CACHE_CONFIG = cache("filters", 90 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
EXPLORE_FORM_DATA_CACHE_CONFIG = cache("explore", 7 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
RATELIMIT_STORAGE_URI = CACHE_URL or "memory://"
