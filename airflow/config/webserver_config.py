"""Settings of Airflow's login pages (Flask-AppBuilder), read by the api-server."""

from __future__ import annotations

import os

# The cookie of the session keeps its default name, `session`: logging out of Airflow deletes only a
# cookie of this name. Browsers share cookies between ports, so Superset's cookie has another name.
SESSION_COOKIE_SECURE = os.environ.get("COOKIE_SECURE") == "true"

# Protect the login form against cross-site request forgery.
WTF_CSRF_ENABLED = True

# One sign-in for Airflow and Superset (docs/sign-in.md).
if os.environ.get("OIDC_ISSUER"):
    from airflow_sign_in import AirflowSignIn as SECURITY_MANAGER_CLASS  # noqa: F401, N814

    from sign_in import config, session_minutes

    globals().update(config())
    # A session ends this long after the sign-in, even if it is used. Its token ends with it.
    os.environ["AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES"] = str(session_minutes())
