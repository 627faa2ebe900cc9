"""Settings of Airflow's login pages (Flask-AppBuilder), read by the api-server."""

import os

SESSION_COOKIE_SECURE = os.environ.get("COOKIE_SECURE") == "true"

# Protect the login form against cross-site request forgery.
WTF_CSRF_ENABLED = True
