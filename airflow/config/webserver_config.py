"""Settings of Airflow's login pages (Flask-AppBuilder), read by the api-server."""

import os

# Superset runs on the same host name, and browsers share cookies between ports. With the default
# name `session` in both, a login to one would end the session in the other.
SESSION_COOKIE_NAME = "airflow_session"
SESSION_COOKIE_SECURE = os.environ.get("COOKIE_SECURE") == "true"

# Protect the login form against cross-site request forgery.
WTF_CSRF_ENABLED = True
