"""The settings, and where the value of each comes from.

A variable of the shell wins over .env, and .env wins over config/<ELT_ENV>.env. .env.example
declares every setting. A commented line there, such as `#TASK_MEMORY=1g`, declares a setting that
.env need not contain. `setting_rules` checks the values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from elt_stack import setting_rules
from elt_stack.errors import StackError
from elt_stack.setting_files import (
    DEFAULTS,
    ENVIRONMENTS,
    PROJECT,
    declared_names,
    environment_file,
    is_private,
    read_file,
)

MASK = "********"  # stands for a secret


@dataclass(frozen=True)
class Settings:
    """The settings of .env.example, and the folders that follow from them.

    Attributes:
        values: the settings by name. A setting that has no value is empty.
        files: the settings in each file by its name, of higher precedence first.
    """

    values: dict[str, str]
    files: Mapping[str, dict[str, str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @classmethod
    def read(cls) -> Settings:
        """Read the settings without a check of their values.

        Raises:
            StackError: .env is missing, a file cannot be read, or ELT_ENV is unknown.
        """
        if not (PROJECT / ".env").exists():
            raise StackError(".env is missing: run `make env`, which writes it")
        written = read_file(PROJECT / ".env")
        environment = os.environ.get("ELT_ENV") or written.get("ELT_ENV") or ""
        files = {".env": written}
        if environment in ENVIRONMENTS:
            path = environment_file(environment)
            files[str(path.relative_to(PROJECT))] = read_file(path)
        elif environment:
            raise StackError(
                f"ELT_ENV is {environment!r}: set it to one of {', '.join(ENVIRONMENTS)}"
                + setting_rules.nearest(environment, ENVIRONMENTS)
            )
        sources = [os.environ, *files.values(), DEFAULTS]
        values = {
            name: next((source[name] for source in sources if source.get(name)), "")
            for name in declared_names()
        }
        if values["TLS"] == "0":  # the shell turns off what .env turns on
            values["TLS"] = ""
        if values["TLS"]:
            values["COOKIE_SECURE"] = "true"
        return cls(values, files)

    @classmethod
    def load(cls, *, to_start: bool = False) -> Settings:
        """Read and check the settings.

        Args:
            to_start: also check the needs of a start in this environment, such as strong secrets.

        Raises:
            StackError: .env cannot be read, or settings are missing or invalid. The message names
                all of them, and never contains a secret.
        """
        settings = cls.read()
        problems = [*setting_rules.invalid_settings(settings)]
        if to_start:
            problems += setting_rules.unmet_needs(settings)
        if len(problems) > 1:
            lines = "".join(f"\n  - {problem}" for problem in problems)
            raise StackError(
                f"{len(problems)} changes are necessary for ELT_ENV={settings['ELT_ENV']}:{lines}"
            )
        if problems:
            raise StackError(problems[0])
        return settings

    def origin(self, name: str) -> str:
        """Return where the value of a setting comes from; empty if it has no value."""
        if name == "COOKIE_SECURE" and self["TLS"]:
            return "TLS"
        if os.environ.get(name):
            return "the shell"
        files = (file for file, values in self.files.items() if name in values)
        return next(files, "default" if self[name] else "")

    def shown(self, name: str) -> str:
        """Return the value of a setting for people; a secret is masked."""
        is_hidden = is_private(name) and self[name] != DEFAULTS.get(name, "")
        return MASK if is_hidden else self[name]

    def table(self) -> str:
        """Return all settings with their values and origins, as lines to print."""
        rows = [(name, self.shown(name), self.origin(name)) for name in self.values]
        names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(
            f"{name:<{names}}  {value:<{values}}  {origin or '(not set)'}"
            for name, value, origin in rows
        )

    @property
    def urls(self) -> dict[str, str]:
        """The addresses that users type, by variable, without a slash at the end."""
        if not self["TLS"]:
            ports = {"AIRFLOW_URL": self["AIRFLOW_PORT"], "SUPERSET_URL": self["SUPERSET_PORT"]}
            return {name: f"http://localhost:{port}" for name, port in ports.items()}
        port = "" if self["HTTPS_PORT"] == "443" else f":{self['HTTPS_PORT']}"
        public = f"https://{self['PUBLIC_HOST'].lower()}{port}"
        return {"AIRFLOW_URL": f"{public}/airflow", "SUPERSET_URL": public}

    @cached_property
    def state(self) -> Path:
        """The folder for the files of a running stack: data, logs and sockets."""
        return (PROJECT / self["STATE_DIR"]).resolve()

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
