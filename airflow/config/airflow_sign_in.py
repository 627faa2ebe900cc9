"""Airflow's security manager for the sign-in with OpenID Connect."""

from airflow.providers.fab.auth_manager.security_manager.override import (
    FabAirflowSecurityManagerOverride,
)

from sign_in import OpenIdSignIn


class AirflowSignIn(OpenIdSignIn, FabAirflowSecurityManagerOverride):
    """Give the users of the provider the roles of Airflow."""

    program = "Airflow"
    # `Op` could also read and change connections, which contain the warehouse's passwords.
    roles = {"admin": ("Admin",), "editor": ("User",), "viewer": ("Viewer",)}  # noqa: RUF012
