"""The settings of .env, and the rules that they obey. A variable of the shell wins over .env."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dotenv import dotenv_values

from elt_stack.errors import StackError

PROJECT = Path(__file__).resolve().parents[3]
# Settings that have one of a few values.
CHOICES = {
    "ELT_ENV": ("dev", "test", "staging", "prod"),
    "LOADER_DUPLICATES": ("drop", "keep"),
}
ROLE_PASSWORDS = ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "REPORTER_PASSWORD")
METADATA_PASSWORDS = ("AIRFLOW_DB_PASSWORD", "SUPERSET_DB_PASSWORD")
# Logins and passwords that attackers try first. Refused outside dev and test.
WELL_KNOWN = {"airflow", "admin", "postgres", "password", "secret", "changeme", "warehouse"}
# Passwords are written unescaped into .env files, database addresses and JSON. These characters
# need no escaping in any of the three. "=" is one, because secrets of `make env` end in it.
PASSWORD = re.compile(r"[A-Za-z0-9._~=-]+")
DEFAULTS = {"ALERT_URL": "none"}  # for settings that may be empty
# The key length is declared in superset/service.env, because Superset's container checks it too.
SHORTEST_KEY = int(dotenv_values(PROJECT / "superset" / "service.env")["SHORTEST_KEY"] or 0)
# Shortest secret outside dev and test, in characters, by the end of the setting's name.
SHORTEST = {"_PASSWORD": 12, "_KEY": SHORTEST_KEY, "_SECRET": SHORTEST_KEY}


def shortest_secret(name: str) -> int:
    """Return the least length of a secret, in characters; 0 if the setting is no secret."""
    return next((length for end, length in SHORTEST.items() if name.endswith(end)), 0)


def is_secret(name: str) -> bool:
    """Return whether a setting of .env.example is a secret."""
    return shortest_secret(name) > 0


@dataclass(frozen=True)
class Settings:
    """The settings of .env.example, and the folders that follow from them.

    Attributes:
        values: the settings by name.
    """

    values: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @classmethod
    def read(cls) -> Settings:
        """Read the settings without a check. A setting that has no value is empty.

        Raises:
            StackError: .env is missing or cannot be read.
        """
        path = PROJECT / ".env"
        try:
            if not path.exists():
                raise StackError(".env is missing: run `make env`, which writes it")
            written = dotenv_values(path)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StackError(
                f"{path} cannot be read ({reason}): check its owner, mode and encoding"
            ) from None
        return cls(
            {
                name: os.environ.get(name) or written.get(name) or DEFAULTS.get(name, "")
                for name in dotenv_values(PROJECT / ".env.example")
            }
        )

    @classmethod
    def load(cls) -> Settings:
        """Read and check the settings.

        Raises:
            StackError: .env cannot be read, a setting is missing or invalid, or a secret is too
                weak for this ELT_ENV. The message never contains a secret.
        """
        settings = cls.read()
        settings._check_values()
        if settings["ELT_ENV"] not in ("dev", "test"):
            settings._check_secrets()
        return settings

    def _check_values(self) -> None:
        missing = [name for name, value in self.values.items() if not value]
        if missing:
            raise StackError(f"{', '.join(missing)} missing in .env: run `make env`, which adds it")
        for name, choices in CHOICES.items():
            if self[name] not in choices:
                raise StackError(f"{name} is {self[name]!r}: set it to one of {', '.join(choices)}")
        if not self["LOADER_MAX_REJECTS"].isdecimal():
            raise StackError(
                f"LOADER_MAX_REJECTS is {self['LOADER_MAX_REJECTS']!r}: set it to a whole number "
                "of 0 or more"
            )
        for name, value in self.values.items():
            if name.endswith("_PORT") and not (value.isdecimal() and 0 < int(value) < 65536):
                raise StackError(f"{name} is {value!r}, which is not a port: correct it in .env")
            if name.endswith("_PASSWORD") and not PASSWORD.fullmatch(value):
                raise StackError(
                    f"{name} may contain only letters (A-Z, a-z), digits and - . _ ~ =, which "
                    "need no escaping in files and addresses: choose another one in .env"
                )
        if re.search(r'["\\\x00-\x1f]', self["ALERT_URL"]):
            raise StackError(
                "ALERT_URL contains a quotation mark, a backslash or a control character: "
                "percent-encode it (%22, %5C)"
            )

    def _check_secrets(self) -> None:
        for name in filter(is_secret, self.values):
            length = shortest_secret(name)
            if self[name].lower() in WELL_KNOWN or len(self[name]) < length:
                raise StackError(
                    f"{name} is a default or too short for ELT_ENV={self['ELT_ENV']}: "
                    f"choose one of at least {length} characters in .env"
                )

    @cached_property
    def state(self) -> Path:
        """The folder for the files of a running stack: data, logs and sockets."""
        return (PROJECT / (os.environ.get("STATE_DIR") or ".state")).resolve()

    @property
    def logs(self) -> Path:
        """The folder for all logs."""
        return self.state / "logs"

    @property
    def data_dir(self) -> Path:
        """The folder with the bank's files."""
        return (PROJECT / self["DATA_DIR"]).resolve()

    @property
    def backup_dir(self) -> Path:
        """The folder for backups."""
        return (PROJECT / self["BACKUP_DIR"]).resolve()

    def select(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return some of the settings by name."""
        return {name: self[name] for name in names}
