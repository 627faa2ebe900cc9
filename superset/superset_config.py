"""Superset's configuration; what differs from place to place comes from the environment.

SUPERSET_DATABASE_URI   where Superset keeps its own things (dashboards, users)
SUPERSET_SECRET_KEY     signs sessions; kept secret, and the same after a restart
PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD   the warehouse, read by libpq
SUPERSET_CACHE_URL      redis://…; without it, files below SUPERSET_HOME are the cache
ELT_ENV                 outside dev and test a weak secret key is refused
"""

import logging
import os
from datetime import timedelta
from pathlib import Path

from jinja2 import ChoiceLoader, FileSystemLoader

# Keys that stand in Superset's own files and guides, which attackers try first (CVE-2023-27524).
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
SHORTEST_KEY = 32


def setting(name: str) -> str:
    """A setting that must be there; without it the start ends with one line."""
    if not os.environ.get(name):
        raise SystemExit(f"{name} is not set: see .env.example")
    return os.environ[name]


def secret_key() -> str:
    """The key that signs sessions, refused where it counts and is no secret."""
    key = setting("SUPERSET_SECRET_KEY")
    if os.environ.get("ELT_ENV") not in ("dev", "test"):
        if key in KNOWN_KEYS:
            raise SystemExit("SUPERSET_SECRET_KEY is publicly known: put one of your own into .env")
        if len(key) < SHORTEST_KEY:
            raise SystemExit(
                f"SUPERSET_SECRET_KEY is too short: it takes {SHORTEST_KEY} characters or more"
            )
    return key


SQLALCHEMY_DATABASE_URI = setting("SUPERSET_DATABASE_URI")
SECRET_KEY = secret_key()
LOG_LEVEL = logging.WARNING
ALEMBIC_SKIP_LOG_CONFIG = True  # migrations log as the rest does

# Logins ------------------------------------------------------------------------------------------

# Airflow runs on the same host name, and browsers do not tell ports apart: with one name of the
# cookie each would log the other out.
SESSION_COOKIE_NAME = "superset_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
WTF_CSRF_ENABLED = True
# Who is not logged in sees nothing, and nobody makes a login for himself.
AUTH_USER_REGISTRATION = False
PUBLIC_ROLE_LIKE = None
# Passwords cannot be guessed by trying, from one address. Nothing else is limited: a dashboard
# asks for all its charts at once.
RATELIMIT_ENABLED = True
RATELIMIT_APPLICATION = None
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = "10 per 20 second"

# Pages -------------------------------------------------------------------------------------------

# No page asks a host but this one: no tracking pixel, no fonts or maps from elsewhere.
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
    "session_cookie_secure": False,
}
ENABLE_CORS = False
FAB_API_SWAGGER_UI = False  # it loads from a third party
FEATURE_FLAGS = {
    "EMBEDDABLE_CHARTS": False,
    # The page has few charts: all are drawn at once, also those below the fold, so that a printed
    # page is whole.
    "DASHBOARD_VIRTUALIZATION": False,
}


def FLASK_APP_MUTATOR(app) -> None:  # noqa: N802 - Superset's name
    """What Superset has no setting for."""
    # The templates beside this file stand in for Superset's of the same name.
    own = FileSystemLoader(Path(__file__).with_name("templates"))
    app.jinja_env.loader = ChoiceLoader([own, app.jinja_env.loader])
    # Superset's limit for logins misses both: the page's form is posted to another view, and the
    # API has one of its own.
    limit, views = app.appbuilder.sm.limiter.limit, app.view_functions
    for login in ("AuthDBView.login", "SecurityApi.login"):
        views[login] = limit(AUTH_RATE_LIMIT, methods=["POST"])(views[login])


# Numbers, as the dashboard's readers write them.
D3_FORMAT = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""]}
CURRENCIES = ["USD"]

# The warehouse -----------------------------------------------------------------------------------

PREVENT_UNSAFE_DB_CONNECTIONS = True
ROW_LIMIT = 10_000
SQL_MAX_ROW = 100_000
SUPERSET_WEBSERVER_TIMEOUT = 60
SQLLAB_TIMEOUT = 50  # below the server's own timeout, so that a user reads why
SQLLAB_ASYNC_TIME_LIMIT_SEC = 300

# Cache -------------------------------------------------------------------------------------------

DAY = int(timedelta(days=1).total_seconds())
CACHE_URL = os.environ.get("SUPERSET_CACHE_URL")
SUPERSET_HOME = Path(os.environ.get("SUPERSET_HOME") or Path.home() / ".superset")


def cache(name: str, timeout: int) -> dict:
    """One cache: in Redis where there is one, else in files, which all workers share."""
    common = {"CACHE_KEY_PREFIX": f"superset_{name}_", "CACHE_DEFAULT_TIMEOUT": timeout}
    if CACHE_URL:
        return common | {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": CACHE_URL}
    folder = SUPERSET_HOME / "cache" / name
    return common | {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(folder)}


CACHE_CONFIG = cache("metadata", DAY)
# Who has loaded a file reloads the page and sees it.
DATA_CACHE_CONFIG = cache("data", 30)
# The state of a dashboard's filters and of a chart being edited: links to them stay good.
FILTER_STATE_CACHE_CONFIG = cache("filters", 90 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
EXPLORE_FORM_DATA_CACHE_CONFIG = cache("explore", 7 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
RATELIMIT_STORAGE_URI = CACHE_URL or "memory://"
