"""The environments of the processes that make up a stack without Docker.

Each component declares its environment in `<component>/service.env`. Compose reads that file
through `env_file`. This module reads it too, and replaces the addresses of containers with loopback
addresses.
"""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

from dotenv import dotenv_values
from dotenv.variables import parse_variables
from psycopg2 import sql

from elt_stack import postgres
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings

# Variables of the caller that a process of the stack inherits. It inherits no others.
INHERITED = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "SSL_CERT_FILE")
# In `${NAME:?message}`, `:?message` makes Compose report a missing value. python-dotenv does not
# know this syntax, so it is removed. Settings.load has reported missing values before.
REQUIRED = re.compile(r":\?[^}]*")
# Variables of service.env for the addresses of other services. Their defaults are those of the
# containers.
ADDRESSES = ("WAREHOUSE_HOST", "WAREHOUSE_SERVER_PORT", "METADATA_ADDRESS", "AIRFLOW_ADDRESS")
# Superset's process also creates the administrator. In Docker, superset-init creates it.
SUPERSET_LOGIN = ("SUPERSET_ADMIN_USER", "SUPERSET_ADMIN_PASSWORD")
# Airflow and Superset share this module. It has no environment of its own.
SIGN_IN = PROJECT / "sign_in"


def embedded_server(settings: Settings) -> postgres.Server:
    """Return the embedded Postgres server of the stack.

    The server's home is in the state folder. If the server's account cannot reach that folder, the
    home is below /var/lib/elt-stack.
    """
    home = settings.state / "postgres"
    if not postgres.is_reachable(settings.state):
        home = Path("/var/lib/elt-stack", home.as_posix().strip("/").replace("/", "-"))
    return postgres.Server(home, int(settings["WAREHOUSE_PORT"]), settings["POSTGRES_PASSWORD"])


def libpq_environment(settings: Settings, role: str) -> dict[str, str]:
    """Return the variables with which a libpq program connects to the warehouse as `role`."""
    environment = embedded_server(settings).environment()
    if role == postgres.SUPERUSER:
        return environment
    return environment | {"PGUSER": role, "PGPASSWORD": settings[f"{role.upper()}_PASSWORD"]}


def service_environment(settings: Settings, component: str) -> dict[str, str]:
    """Return the environment of a component's processes, as its service.env declares it.

    Args:
        settings: the settings of the stack.
        component: a folder of the project: airflow, superset, data_ingestion or dbt.

    Returns:
        The declared variables, and those that every process of the stack has.
    """
    values = (
        settings.values
        | settings.urls
        | {
            "WAREHOUSE_HOST": "127.0.0.1",
            "WAREHOUSE_SERVER_PORT": settings["WAREHOUSE_PORT"],
            "METADATA_ADDRESS": f"127.0.0.1:{settings['WAREHOUSE_PORT']}",
            "AIRFLOW_ADDRESS": f"127.0.0.1:{settings['AIRFLOW_PORT']}",
        }
    )
    declared = dotenv_values(PROJECT / component / "service.env", interpolate=False)
    return _base_environment(settings) | {
        name: "".join(part.resolve(values) for part in parse_variables(REQUIRED.sub("", text)))
        for name, text in declared.items()
        if text is not None
    }


def developer_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of dbt for a person, who may have schemas of their own.

    SCHEMA_PREFIX adds its text to the names of all schemas that dbt writes. Only the superuser can
    create schemas, so this function creates the missing ones for the role `transformer`.

    Raises:
        StackError: SCHEMA_PREFIX is set, and the warehouse does not answer.
    """
    environment = service_environment(settings, "dbt")
    prefix = settings["SCHEMA_PREFIX"]
    if not prefix:
        return environment
    server = embedded_server(settings)
    server.wait(seconds=5)
    create = sql.SQL("create schema if not exists {} authorization transformer")
    with closing(server.connect()) as connection, connection, connection.cursor() as cursor:
        for schema in ("staging", "marts", "audit"):
            cursor.execute(create.format(sql.Identifier(prefix + schema)))
    # dbt's cache of the parsed project belongs to one set of schemas.
    folder = settings.state / f"dbt-{prefix}".rstrip("_")
    return environment | {"SCHEMA_PREFIX": prefix, "DBT_TARGET_PATH": str(folder)}


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of Airflow's processes."""
    component = PROJECT / "airflow"
    return service_environment(settings, "airflow") | {
        "PATH": f"{component / '.venv/bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{component / 'config'}:{SIGN_IN}",
        "ELT_HOME": str(PROJECT),
        "ELT_RUNTIME": "process",
        "AIRFLOW_HOME": str(settings.state / "airflow"),
        "AIRFLOW_CONFIG": str(component / "config" / "airflow.cfg"),
        "AIRFLOW__FAB__CONFIG_FILE": str(component / "config" / "webserver_config.py"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(component / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(component / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.logs / "tasks"),
    }


def superset_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of Superset's process."""
    component = PROJECT / "superset"
    return service_environment(settings, "superset") | settings.select(SUPERSET_LOGIN) | {
        "PATH": f"{component / '.venv/bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{component}:{SIGN_IN}",
        "SUPERSET_HOME": str(settings.state / "superset"),
    }  # fmt: skip


def _base_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that every process of the stack has. None of them is a secret."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | {
        "DATA_DIR": str(settings.data_dir),
        "DBT_TARGET_PATH": str(settings.state / "dbt"),
        "DBT_LOG_PATH": str(settings.logs / "dbt"),
        "DBT_LOG_LEVEL_FILE": "debug",  # dbt's default, which DBT_LOG_LEVEL would change too
        "DBT_USE_COLORS": "false",  # Airflow's pages show colour codes as text
        "PYTHONUNBUFFERED": "1",
    }
