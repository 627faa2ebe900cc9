"""The files of settings: .env.example, .env and config/<environment>.env."""

from __future__ import annotations

import re
from pathlib import Path

from dotenv import dotenv_values

from elt_stack.errors import StackError

PROJECT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ("dev", "test", "staging", "prod")
UNCOMMENTED = re.compile(r"^#(?=[A-Z][A-Z0-9_]*=)", re.MULTILINE)
ROLE_PASSWORDS = ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "REPORTER_PASSWORD")
METADATA_PASSWORDS = ("AIRFLOW_DB_PASSWORD", "SUPERSET_DB_PASSWORD")
# Logins and passwords that attackers try first. Refused unless ALLOW_DEMO_LOGINS is true.
WELL_KNOWN = {"airflow", "admin", "postgres", "password", "secret", "changeme", "warehouse"}
DEFAULTS = {  # for settings that may be empty
    "ALERT_URL": "none",
    "HTTP_PORT": "80",
    "HTTPS_PORT": "443",
    "PROXY_SUBNET": "198.18.0.0/24",
}
# The key length is declared in superset/service.env, because Superset's container checks it too.
SHORTEST_KEY = int(dotenv_values(PROJECT / "superset" / "service.env")["SHORTEST_KEY"] or 0)
# Shortest secret, in characters, by the end of the setting's name.
SHORTEST = {
    "OPENLINEAGE_API_KEY": 1,  # the receiver makes it
    "OIDC_CLIENT_SECRET": 1,  # the provider makes it
    "_PASSWORD": 12,
    "_KEY": SHORTEST_KEY,
    "_SECRET": SHORTEST_KEY,
}


def shortest_secret(name: str) -> int:
    """Return the least length of a secret, in characters; 0 if the setting is no secret."""
    return next((length for end, length in SHORTEST.items() if name.endswith(end)), 0)


def is_secret(name: str) -> bool:
    """Return whether a setting of .env.example is a secret."""
    return shortest_secret(name) > 0


def is_private(name: str) -> bool:
    """Return whether nobody may see a setting: a secret, or an address that contains tokens."""
    return is_secret(name) or name == "ALERT_URL"


def required_names() -> list[str]:
    """Return the names of the settings that `make env` writes to .env."""
    return list(dotenv_values(PROJECT / ".env.example"))


def declared_names() -> list[str]:
    """Return the names of all settings, in the order of .env.example."""
    text = (PROJECT / ".env.example").read_text()
    return re.findall(r"^([A-Z][A-Z0-9_]*)=", UNCOMMENTED.sub("", text), re.MULTILINE)


def environment_file(environment: str) -> Path:
    """Return the file with the settings in which an environment differs from the others."""
    return PROJECT / "config" / f"{environment}.env"


def read_file(path: Path) -> dict[str, str]:
    """Return the settings in a file. A name without a value is left out.

    Raises:
        StackError: the file cannot be read.
    """
    try:
        return {name: value for name, value in dotenv_values(path).items() if value}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StackError(
            f"{path} cannot be read ({reason}): check its owner, mode and encoding"
        ) from None
