"""Settings of Airflow's log-in pages (Flask-AppBuilder), read by the api-server."""

# Superset runs on the same host name, and browsers do not tell ports apart: with the default
# name of both, `session`, each would log the other out.
SESSION_COOKIE_NAME = "airflow_session"

# The log-in form is protected against forged requests.
WTF_CSRF_ENABLED = True
