"""Superset's security manager for the sign-in with OpenID Connect."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, session
from flask_login import current_user, logout_user, user_logged_in
from superset.security.manager import SupersetSecurityManager

from sign_in import OpenIdSignIn, session_minutes

if TYPE_CHECKING:
    from superset.connectors.sqla.models import SqlaTable

VIEWER = "Monitoring Dashboard"  # a role that init_superset.py creates
SIGNED_IN_AT = "signed_in_at"  # a key of the session


class SupersetSignIn(OpenIdSignIn, SupersetSecurityManager):
    """Give the users of the provider the roles of Superset."""

    program = "Superset"
    roles = {  # noqa: RUF012 - Flask-AppBuilder's style
        "admin": ("Admin",),
        "editor": ("Alpha", "sql_lab"),
        "viewer": ("Gamma", VIEWER),
    }
    register_superset_auth_view = False  # its page would hide that of OpenIdSignIn

    def ensure_viewer_role(self, datasets: Iterable[SqlaTable]) -> None:
        """Let viewers read the datasets of the dashboard. The role Gamma alone reads no data."""
        role = self.add_role(VIEWER)
        for dataset in datasets:
            permission = self.add_permission_view_menu("datasource_access", dataset.perm)
            self.add_permission_role(role, permission)


def limit_sessions(app: Flask) -> None:
    """End each session `session_minutes` after its sign-in, whatever the user does.

    Flask's PERMANENT_SESSION_LIFETIME would start again with each request.
    """
    longest = session_minutes() * 60

    @user_logged_in.connect_via(app, weak=False)
    def stamp(*_: object, **__: object) -> None:
        session[SIGNED_IN_AT] = time.time()

    @app.before_request
    def end_old_session() -> None:
        # A session without a time is from before OIDC_ISSUER was set.
        if current_user.is_authenticated and session.get(SIGNED_IN_AT, 0) + longest < time.time():
            logout_user()
