"""Sign-in with OpenID Connect, for Airflow and Superset.

Both programs build their logins on Flask-AppBuilder, but they share no environment. Each has this
folder on its PYTHONPATH, and combines `OpenIdSignIn` with its own security manager. They import the
module only if OIDC_ISSUER is set.

Environment:

OIDC_ISSUER          the provider's issuer, exactly as its discovery document spells it
OIDC_CLIENT_ID, OIDC_CLIENT_SECRET   this stack's registration at the provider
OIDC_SCOPES          default: openid profile
OIDC_GROUPS_CLAIM    the claim of the ID token with the user's groups; default: groups
OIDC_ADMIN_GROUPS, OIDC_EDITOR_GROUPS, OIDC_VIEWER_GROUPS   names of groups, separated by commas
OIDC_SESSION_MINUTES a user must sign in again after so many minutes; default: 60
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import MismatchingStateError, OAuthError
from authlib.integrations.flask_client import FlaskOAuth2App
from flask import Response, make_response, render_template_string, request, session, url_for
from flask_appbuilder import expose
from flask_appbuilder.const import AUTH_OAUTH
from flask_appbuilder.security import views
from flask_login import current_user, login_user, logout_user
from joserfc.errors import JoseError

log = logging.getLogger(__name__)

PROVIDER = "oidc"  # the last part of the redirect URI that the provider knows
NEXT = "sign_in_next"  # the key of the session for the page that the visitor wanted
LEVELS = ("admin", "editor", "viewer")  # the highest first
# No symmetric algorithm and not "none", even if the provider offers them.
ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT = 10  # seconds for each request to the provider
CLOCK_SKEW = 60  # seconds by which the clocks of the provider and this machine may differ
PAGE = Path(__file__).with_name("sign_in.html").read_text()

Claims = Mapping[str, Any]


class SignInError(Exception):
    """A visitor cannot sign in.

    Args:
        message: the text for the visitor.
        status: the HTTP status of the page.
    """

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class ProviderError(Exception):
    """The provider's discovery document contradicts the settings."""


def issuer() -> str:
    """Return the issuer."""
    return os.environ["OIDC_ISSUER"]


def session_minutes() -> int:
    """Return the longest duration of a session. A revoked user can work for this long."""
    return int(os.environ.get("OIDC_SESSION_MINUTES") or 60)


def config() -> dict[str, Any]:
    """Return the settings of Flask-AppBuilder."""
    return {
        "AUTH_TYPE": AUTH_OAUTH,
        "AUTH_ROLES_SYNC_AT_LOGIN": True,
        # Flask-AppBuilder's registration would also add a page where visitors can register.
        "AUTH_USER_REGISTRATION": False,
        "OAUTH_PROVIDERS": [
            {
                "name": PROVIDER,
                "icon": "fa-openid",  # Superset requires one
                "remote_app": {
                    "client_cls": Provider,
                    "client_id": os.environ["OIDC_CLIENT_ID"],
                    "client_secret": os.environ["OIDC_CLIENT_SECRET"],
                    "server_metadata_url": issuer().rstrip("/") + DISCOVERY,
                    "client_kwargs": {
                        "scope": os.environ.get("OIDC_SCOPES") or "openid profile",
                        "code_challenge_method": "S256",
                        "default_timeout": TIMEOUT,
                    },
                },
            }
        ],
    }


def level(claims: Claims) -> str | None:
    """Return the highest level that the groups of an ID token give: one of LEVELS, or None."""
    found = claims.get(os.environ.get("OIDC_GROUPS_CLAIM") or "groups")
    if not isinstance(found, list):
        found = [found]
    groups = {group for group in found if isinstance(group, str)}
    for name in LEVELS:
        listed = os.environ.get(f"OIDC_{name.upper()}_GROUPS", "").split(",")
        if groups & {group.strip() for group in listed if group.strip()}:
            return name
    return None


def address(claims: Claims) -> str:
    """Return the value of the column `email` that identifies a user.

    Only `iss` and `sub` identify a user, because users can choose their names and addresses at many
    providers. The column is unique, and the programs find a user by its exact value.
    """
    identity = hashlib.sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()
    return f"{identity[:40]}@oidc.invalid"


def user_info(claims: Claims) -> dict[str, str]:
    """Return the columns of a new user whom a verified ID token names.

    The name of the user is readable, but contains a part of the hash, so that nobody can become
    `admin`.
    """
    email = address(claims)
    shown = str(claims.get("preferred_username") or claims.get("name") or "user")
    readable = re.sub(r"[^a-z0-9._-]+", ".", shown.partition("@")[0].lower()).strip(".")[:40]
    return {
        "username": f"{readable or 'user'}-{email[:16]}",
        "email": email,
        "first_name": str(claims.get("given_name") or claims.get("name") or shown)[:64],
        "last_name": str(claims.get("family_name") or "")[:64],
    }


class Provider(FlaskOAuth2App):
    """The OpenID provider. It accepts only a discovery document that fits the settings."""

    def load_server_metadata(self) -> dict[str, Any]:
        """Return the discovery document. It is read once, at the first sign-in that needs it.

        Raises:
            ProviderError: the document is not the issuer's, or sends secrets over plain HTTP.
        """
        metadata: dict[str, Any] = super().load_server_metadata()
        try:
            if metadata.get("issuer") != issuer():
                raise ProviderError(f"the issuer there is {metadata.get('issuer')!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                scheme = urlsplit(str(metadata.get(name))).scheme
                if scheme != "https" and scheme != urlsplit(issuer()).scheme:
                    raise ProviderError(f"{name} there is {metadata.get(name)!r}")
        except ProviderError:
            self.server_metadata.clear()  # read it again at the next sign-in
            raise
        return metadata | {"id_token_signing_alg_values_supported": ALGORITHMS}

    def verified_claims(self) -> Claims:
        """Exchange the code of the current request, and return the claims of its ID token.

        Raises:
            OAuthError: the provider refused the sign-in or the code, or sent no ID token.
            JoseError: the ID token is not valid.
        """
        expected = {
            "iss": {"essential": True, "value": issuer()},
            "aud": {"essential": True, "value": self.client_id},
        }
        try:
            token = self.authorize_access_token(claims_options=expected, leeway=CLOCK_SKEW)
        except JoseError:
            self.server_metadata.clear()  # the provider may have new keys for the next sign-in
            raise
        if not token.get("userinfo"):
            raise OAuthError("no_id_token", "the answer contains no ID token")
        return dict(token["userinfo"])


class SignInView(views.AuthOAuthView):
    """The pages for signing in and out."""

    def provider(self) -> Provider:
        """Return the OpenID provider."""
        return self.appbuilder.sm.oauth_remotes[PROVIDER]

    def page(self, message: str, status: int = 200) -> Response:
        """Return a page with a message and the button that starts a sign-in."""
        text = render_template_string(
            PAGE, message=message, failed=status >= 400,
            program=self.appbuilder.sm.program, provider=urlsplit(issuer()).netloc,
            start=url_for(".login", provider=PROVIDER, next=self.wanted()),
            sign_out=url_for(".logout", provider=PROVIDER),
        )  # fmt: skip
        response = make_response(text, status)
        response.headers["Cache-Control"] = "no-store"
        return response

    def wanted(self) -> str | None:
        """Return the page that the visitor wanted, of this request or of a failed sign-in."""
        return request.args.get("next") or session.get(NEXT)

    @expose("/login/")
    @expose("/login/<provider>")
    def login(self, provider: str | None = None) -> Response:
        """Show the page with the button, or go to the provider."""
        if current_user.is_authenticated:
            return self.go_to(request.args.get("next"))
        if provider is None:
            return self.page("")
        # Earlier attempts that never came back would fill the cookie of the session.
        for key in [key for key in session if key.startswith(f"_state_{PROVIDER}_")]:
            session.pop(key)
        session[NEXT] = self.wanted()
        try:
            back = url_for(".oauth_authorized", provider=PROVIDER, _external=True)
            return self.provider().authorize_redirect(back)
        except Exception as error:
            return self.explain(error)

    @expose("/oauth-authorized/<provider>")
    def oauth_authorized(self, provider: str) -> Response:  # noqa: ARG002 - there is only one
        """Sign in the user whom the provider sends back."""
        try:
            login_user(self.appbuilder.sm.user_of(self.provider().verified_claims()))
        except Exception as error:
            return self.explain(error)
        return self.go_to(session.pop(NEXT, None))

    def go_to(self, wanted: str | None) -> Response:
        """Return a redirect to the page that the user wanted, if it is a page of this program."""
        # Airflow replaces both functions of this module: its redirect also sets a token.
        return views.redirect(views.get_safe_redirect(wanted or self.appbuilder.get_url_for_index))

    @expose("/logout/")
    @expose("/logout/<provider>")
    def logout(self, provider: str | None = None) -> Response:
        """End the session here, and go on to end the one at the provider if asked to."""
        logout_user()
        session.clear()
        if provider is None:
            return self.page(f"You are signed out of {self.appbuilder.sm.program}.")
        try:
            client = self.provider()
            if "end_session_endpoint" not in client.load_server_metadata():
                return self.page(f"{urlsplit(issuer()).netloc} has no page for signing out.", 404)
            return views.redirect(client.create_logout_url(client_id=client.client_id)["url"])
        except Exception as error:
            return self.explain(error)

    def explain(self, error: Exception) -> Response:
        """Log why a sign-in failed, and return the page that says it."""
        where = urlsplit(issuer()).netloc
        # A visitor chooses parts of the text, and must not write further lines into the log.
        reason = " ".join(str(error).split())[:300]
        if isinstance(error, SignInError):
            log.warning("sign-in refused: %s", reason)
            return self.page(str(error), error.status)
        if isinstance(error, MismatchingStateError):
            log.warning("sign-in failed: the answer of %s belongs to no open sign-in", where)
            return self.page("This sign-in was started elsewhere or too long ago. Try again.", 400)
        if isinstance(error, OAuthError):
            log.warning("sign-in refused by %s: %s", where, reason)
            return self.page(f"{where} refused the sign-in.", 403)
        if isinstance(error, requests.RequestException):
            log.error("sign-in failed: %s does not answer: %s", where, error)
            return self.page(f"{where} does not answer. Try again in a few minutes.", 503)
        if isinstance(error, (JoseError, ProviderError, ValueError)):
            log.error("sign-in failed: the answer of %s cannot be trusted: %s", where, error)
            return self.page(
                f"The answer of {where} cannot be trusted. Tell your administrator.", 502
            )
        log.error("sign-in failed", exc_info=error)
        return self.page("The sign-in failed. Tell your administrator.", 500)


class OpenIdSignIn:
    """The part of a security manager that signs in users of the OpenID provider.

    Attributes:
        program: the name of the program for its users.
        roles: the names of the program's roles by level.
    """

    program: str
    roles: Mapping[str, tuple[str, ...]]
    authoauthview = SignInView

    def user_of(self: Any, claims: Claims) -> Any:
        """Return the user whom an ID token names. Register a new user.

        Raises:
            SignInError: the user may not use this program.
        """
        granted = level(claims)
        if granted is None:
            shown = claims.get("preferred_username") or claims.get("name") or claims["sub"]
            raise SignInError(
                f"You are signed in as {shown}, but none of your groups may use {self.program}. "
                "Ask your administrator for access."
            )
        known = self.find_user(email=address(claims))
        info = user_info(claims)
        if known:
            info["username"] = known.username
        else:
            # No password has this hash.
            self.add_user(**info, role=self.roles_of(granted), hashed_password="!")  # noqa: S106
        user = self.auth_user_oauth(info | {"level": granted})
        if not user:
            raise SignInError(f"Your account in {self.program} is deactivated.")
        return user

    def roles_of(self: Any, granted: str) -> list[Any]:
        """Return the roles of a level."""
        return [self.find_role(name) for name in self.roles[granted]]

    def _oauth_calculate_user_roles(self, userinfo: Claims) -> list[Any]:
        return self.roles_of(userinfo["level"])

    def auth_user_db(self, username: str, *_: object, **__: object) -> None:
        """Refuse a password. The APIs of both programs check every password here."""
        log.warning("the login of %r with a password is off: OIDC_ISSUER is set", username)

    def load_user_jwt(self, *_: object) -> None:
        """Refuse a token of the API, which only an earlier login with a password has issued."""
