"""The two runtimes of the stack: plain processes, and containers in Docker."""

# ruff: noqa: ARG002, D102 - the methods are documented in the base class

from __future__ import annotations

import shutil
from typing import ClassVar

from elt_stack import docker, services
from elt_stack.environments import superset_environment
from elt_stack.errors import StackError
from elt_stack.postgres import SUPERUSER, WAREHOUSE
from elt_stack.runtime_base import Runtime
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings
from elt_stack.supervisor import Supervisor


class ProcessRuntime(Runtime):
    """A stack of plain processes. One Postgres server holds all databases."""

    name = "processes"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.supervisor = Supervisor(settings)

    def command(self, database: str, program: str) -> list[str]:
        return [str(self.supervisor.server.bin / program)]

    def environment(self) -> dict[str, str]:
        return self.supervisor.server.environment()

    def server_of(self, database: str) -> str:
        return "postgres"

    def setting_in_use(self, database: str, setting: str) -> str:
        return self.settings[setting]

    def superset_python(self, program: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        folder = PROJECT / "superset"
        command = [str(folder / ".venv" / "bin" / "python"), str(folder / program), *arguments]
        return command, superset_environment(self.settings)

    def free_bytes(self, database: str) -> int:
        return shutil.disk_usage(self.supervisor.server.home).free

    def start_servers(self) -> None:
        for component in ("airflow", "superset", "data_ingestion", "dbt"):
            if not (PROJECT / component / ".venv" / "installed").exists():
                raise StackError(f"{component} is not installed: run `make demo-up` first")
        self.supervisor.start_postgres()

    def init_warehouse(self, database: str) -> None:
        self.supervisor.init_warehouse(database)

    def stop_clients(self) -> None:
        self.supervisor.stop_database_clients()

    def start_clients(self) -> None:
        services.start(self.settings)
        services.wait_for_superset(self.settings)


class ContainerRuntime(Runtime):
    """A stack in Docker. One server holds the warehouse, another one the metadata databases."""

    name = "docker"
    SERVICES: ClassVar = {"airflow": "airflow-apiserver", "superset": "superset"}
    CLIENTS = ("airflow-scheduler", "airflow-dag-processor", "airflow-apiserver", "superset")

    def command(self, database: str, program: str) -> list[str]:
        # On the container's own unix socket, Postgres asks the superuser for no password.
        user = f"--username={SUPERUSER}"
        return ["docker", "compose", "exec", "-T", self.server_of(database), program, user]

    def environment(self) -> dict[str, str]:
        return docker.compose_environment(self.settings)

    def server_of(self, database: str) -> str:
        return "warehouse" if database == WAREHOUSE else "metadata"

    def setting_in_use(self, database: str, setting: str) -> str:
        environment = docker.container_environment(self.settings, self.SERVICES[database])
        return environment.get(setting, self.settings[setting])

    def superset_python(self, program: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        command = ["docker", "compose", "exec", "-T", "superset", "python", program, *arguments]
        return command, docker.compose_environment(self.settings)

    def free_bytes(self, database: str) -> int:
        df = ("df", "-Pk", "/var/lib/postgresql")
        output = docker.compose(self.settings, "exec", "-T", self.server_of(database), *df)
        return int(output.splitlines()[-1].split()[3]) * 1024

    def start_servers(self) -> None:
        docker.check(self.settings)
        # --no-recreate, because running containers may have another configuration (DEV=1).
        self._compose("up", "--detach", "--wait", "--no-recreate", "warehouse", "metadata")
        self.sql(
            WAREHOUSE,
            "select 'create database warehouse' where not exists"
            " (select from pg_database where datname = 'warehouse') \\gexec\n",
        )
        self.init_warehouse(WAREHOUSE)
        self._compose("run", "--rm", "--no-deps", "-T", "metadata-init")

    def init_warehouse(self, database: str) -> None:
        setting = f"PGDATABASE={database}"
        self._compose("run", "--rm", "--no-deps", "-T", "--env", setting, "warehouse-init")

    def stop_clients(self) -> None:
        self._compose("stop", *self.CLIENTS)

    def start_clients(self) -> None:
        try:
            self._compose("up", "--detach", "--wait", "--no-recreate")
        except StackError as error:
            raise StackError(docker.explain_failures(self.settings) or str(error)) from None

    def _compose(self, *arguments: str) -> None:
        docker.compose(self.settings, *arguments)


def running_runtime(settings: Settings) -> Runtime | None:
    """Return the runtime of the running stack, or None if no stack is running.

    Raises:
        StackError: a stack is running in both runtimes.
    """
    processes = Supervisor(settings).is_running()
    containers = any(each["Service"] == "warehouse" for each in docker.containers(settings))
    if processes and containers:
        raise StackError(
            "one stack is running in Docker and one without Docker: stop one of them with "
            "`make down` or `make demo-down`"
        )
    if processes:
        return ProcessRuntime(settings)
    return ContainerRuntime(settings) if containers else None


def runtime_by_name(name: str, settings: Settings) -> Runtime:
    """Return a runtime by its name. The stack need not be running.

    Raises:
        StackError: the name is unknown.
    """
    for runtime in (ProcessRuntime, ContainerRuntime):
        if runtime.name == name:
            return runtime(settings)
    raise StackError(f"the runtime {name!r} is unknown: start a stack, and try again")
