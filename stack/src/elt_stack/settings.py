"""What the stack is configured with: .env, overridden by the environment."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values

from elt_stack import postgres
from elt_stack.errors import StackError

PROJECT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ("dev", "test", "staging", "prod")
ROLE_PASSWORDS = ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "REPORTER_PASSWORD")
# What a secret must not be where it counts: the logins and passwords that demos are known for.
WELL_KNOWN = {"airflow", "admin", "postgres", "password", "secret", "changeme", "warehouse"}
SHORTEST_SECRET = 12  # characters, outside dev and test
# What we and Compose read alike, and what means itself in an address and in JSON. (A secret of
# `make env` ends in =.)
PASSWORD = re.compile(r"[A-Za-z0-9._~=-]+")
WHEN_EMPTY = {"ALERT_URL": "none"}  # what no value means
# Its process gets these besides, and none of Airflow's.
SUPERSET_NEEDS = ("SUPERSET_SECRET_KEY", "SUPERSET_ADMIN_USER", "SUPERSET_ADMIN_PASSWORD")
# A process of the stack gets these of the caller's environment, and no others.
PASSED_ON = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "SSL_CERT_FILE")


def is_secret(name: str) -> bool:
    """Whether a setting of .env.example holds a secret."""
    return name.endswith(("_PASSWORD", "_KEY", "_SECRET"))


@dataclass(frozen=True)
class Settings:
    """The settings of .env.example by their names, and what follows from them."""

    values: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @classmethod
    def load(cls) -> Settings:
        """Read and check them.

        Raises:
            StackError: one is missing, is no port, is a password that not all who read it
                would read alike, or is too weak a secret for this ELT_ENV.
        """
        if not (PROJECT / ".env").exists():
            raise StackError(".env is not there: run `make env`, which writes it")
        names = dotenv_values(PROJECT / ".env.example").keys()
        written = dotenv_values(PROJECT / ".env")
        settings = cls(
            {
                name: os.environ.get(name) or written.get(name) or WHEN_EMPTY.get(name, "")
                for name in names
            }
        )
        settings._check()
        return settings

    def _check(self) -> None:
        missing = [name for name, value in self.values.items() if not value]
        if missing:
            raise StackError(f"{', '.join(missing)} missing in .env: run `make env`, which adds it")
        if self["ELT_ENV"] not in ENVIRONMENTS:
            raise StackError(f"ELT_ENV is {self['ELT_ENV']!r}; it can be {', '.join(ENVIRONMENTS)}")
        for name in (name for name in self.values if name.endswith("_PORT")):
            if not (self[name].isdecimal() and 0 < int(self[name]) < 65536):
                raise StackError(f"{name} is {self[name]!r}, which is no port: mend it in .env")
        for name in (name for name in self.values if name.endswith("_PASSWORD")):
            if not PASSWORD.fullmatch(self[name]):
                raise StackError(
                    f"{name} may have only letters (A-Z, a-z), digits and - . _ ~ =, "
                    "which all programs read alike: put another into .env"
                )
        if self["ELT_ENV"] in ("dev", "test"):
            return
        for name in filter(is_secret, self.values):
            if self[name].lower() in WELL_KNOWN or len(self[name]) < SHORTEST_SECRET:
                raise StackError(
                    f"{name} is a default or too short for ELT_ENV={self['ELT_ENV']}: "
                    f"put {SHORTEST_SECRET} characters or more of your own into .env"
                )

    @cached_property
    def state(self) -> Path:
        """The folder of everything that a running stack keeps: data, logs, sockets."""
        return (PROJECT / (os.environ.get("STATE_DIR") or ".state")).resolve()

    @property
    def logs(self) -> Path:
        """The one folder of all logs."""
        return self.state / "logs"

    @property
    def data_dir(self) -> Path:
        """The folder of the bank's files."""
        return (PROJECT / self["DATA_DIR"]).resolve()

    @property
    def backup_dir(self) -> Path:
        """The folder of backups."""
        return (PROJECT / self["BACKUP_DIR"]).resolve()

    @cached_property
    def server(self) -> postgres.Server:
        """The embedded Postgres. Its home is elsewhere if its account cannot get to ours."""
        home = self.state / "postgres"
        if not postgres.reachable(self.state):
            home = Path("/var/lib/elt-stack", home.as_posix().strip("/").replace("/", "-"))
        return postgres.Server(home, int(self["WAREHOUSE_PORT"]), self["POSTGRES_PASSWORD"])

    @property
    def role_passwords(self) -> dict[str, str]:
        """The passwords `init_db.sql` asks for."""
        return {name: self[name] for name in ROLE_PASSWORDS}

    @property
    def metadata_passwords(self) -> dict[str, str]:
        """The passwords `metadata_init.sql` asks for."""
        return {name: self[name] for name in ("AIRFLOW_DB_PASSWORD", "SUPERSET_DB_PASSWORD")}

    def base_environment(self) -> dict[str, str]:
        """What every process of the stack gets, without a secret."""
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return passed | {
            "ELT_ENV": self["ELT_ENV"],
            "DATA_DIR": str(self.data_dir),
            "DBT_TARGET_PATH": str(self.state / "dbt"),
            "DBT_LOG_PATH": str(self.logs / "dbt"),
            "DBT_USE_COLORS": "false",  # Airflow's pages show the codes as text
            "PYTHONUNBUFFERED": "1",
        }

    def libpq_environment(self, role: str) -> dict[str, str]:
        """How a program connects to the warehouse as `role`."""
        environment = self.server.environment()
        if role == postgres.SUPERUSER:
            return environment
        return environment | {"PGUSER": role, "PGPASSWORD": self[f"{role.upper()}_PASSWORD"]}

    def airflow_environment(self) -> dict[str, str]:
        """All that Airflow's processes need; what airflow.cfg cannot know."""
        address = f"127.0.0.1:{self['WAREHOUSE_PORT']}"
        password = quote(self["AIRFLOW_DB_PASSWORD"], safe="")
        component = PROJECT / "airflow"
        environment = self.base_environment() | {
            "PATH": f"{component / '.venv/bin'}:{os.environ['PATH']}",
            "ELT_HOME": str(PROJECT),
            "ELT_RUNTIME": "process",
            "AIRFLOW_HOME": str(self.state / "airflow"),
            "AIRFLOW_CONFIG": str(component / "config" / "airflow.cfg"),
            "AIRFLOW__FAB__CONFIG_FILE": str(component / "config" / "webserver_config.py"),
            "PYTHONPATH": str(component / "config"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(component / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(component / "plugins"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs / "tasks"),
            "AIRFLOW__API__BASE_URL": f"http://localhost:{self['AIRFLOW_PORT']}",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": (
                f"http://127.0.0.1:{self['AIRFLOW_PORT']}/execution/"
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"postgresql+psycopg2://airflow:{password}@{address}/airflow"
            ),
        }
        environment |= {name: self[name] for name in self.values if name.startswith("AIRFLOW__")}
        for role in ("loader", "transformer"):
            environment[f"AIRFLOW_CONN_WAREHOUSE_{role.upper()}"] = self._connection(role)
        config = [{"path": self["ALERT_URL"], "tag": "alerts"}]
        alert = {"conn_type": "apprise", "extra": {"config": config}}
        environment["AIRFLOW_CONN_APPRISE_DEFAULT"] = json.dumps(alert)
        return environment

    def superset_environment(self) -> dict[str, str]:
        """All that Superset needs. It reaches the warehouse as reporter, by libpq's own names."""
        component = PROJECT / "superset"
        password = quote(self["SUPERSET_DB_PASSWORD"], safe="")
        metadata = f"superset:{password}@127.0.0.1:{self['WAREHOUSE_PORT']}/superset"
        libpq = self.libpq_environment("reporter")
        return (
            self.base_environment()
            | {name: libpq[name] for name in libpq if name.startswith("PG")}
            | {
                "PATH": f"{component / '.venv/bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(component),
                "SUPERSET_HOME": str(self.state / "superset"),
                "SUPERSET_DATABASE_URI": f"postgresql+psycopg2://{metadata}",
            }
            | {name: self[name] for name in SUPERSET_NEEDS}
        )

    def _connection(self, role: str) -> str:
        """An Airflow connection to the warehouse, in Airflow's own JSON form."""
        libpq = self.libpq_environment(role)
        return json.dumps(
            {
                "conn_type": "postgres",
                "host": libpq["PGHOST"],
                "port": int(libpq["PGPORT"]),
                "schema": libpq["PGDATABASE"],
                "login": libpq["PGUSER"],
                "password": libpq["PGPASSWORD"],
            }
        )
