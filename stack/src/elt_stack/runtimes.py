"""The databases of a stack, wherever it runs, and Postgres' own programs beside them.

The programs are those of the server itself (a dump is no older and no newer than what it is of),
and no password is on a command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from typing import IO, ClassVar

from elt_stack import demo, docker, postgres
from elt_stack.errors import StackError
from elt_stack.settings import PROJECT, Settings
from elt_stack.stack import Stack

# Each with the role that owns it, in the order in which they are dumped. The warehouse is last:
# what Airflow's dump takes for loaded is then in the warehouse's, and what that has besides is
# known by its hash when Airflow loads it again.
OWNERS = {"superset": "superset", "airflow": "airflow", "warehouse": postgres.SUPERUSER}

QUIETLY = (
    *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
    "--set=ON_ERROR_STOP=1",
)  # psql's options


def reason(said: str) -> str:
    """The line in which a program says why it failed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (errors or lines[-1:] or ["it gave no reason"])[0]


class Databases(ABC):
    """The databases of `OWNERS` in one stack.

    Attributes:
        kind: of the stack, as a backup's manifest has it.
    """

    kind: str

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def command(self, name: str, program: str) -> list[str]:
        """The command line of a program of Postgres, beside the server that holds `name`."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What such a program needs in its environment to be the superuser."""

    @abstractmethod
    def server(self, name: str) -> str:
        """Which server holds the database `name`."""

    @abstractmethod
    def key(self, name: str, setting: str) -> str:
        """The value of a setting in who uses the database `name`."""

    @abstractmethod
    def free(self, name: str) -> int:
        """Bytes that are free where that server keeps its data."""

    @abstractmethod
    def start_postgres(self) -> None:
        """See that the servers run, and have the databases and their roles."""

    @abstractmethod
    def init_warehouse(self, database: str) -> None:
        """Run `init_db.sql` in a database of the warehouse's server."""

    @abstractmethod
    def stop_users(self) -> None:
        """Stop all that uses the databases, and wait for it."""

    @abstractmethod
    def start_users(self) -> None:
        """Start what does not run, with migrated metadata; returns when all is healthy."""

    def start(self, name: str, program: str, *arguments: str, **streams) -> subprocess.Popen:
        """Start a program of Postgres as the superuser, beside the server that holds `name`."""
        command = [*self.command(name, program), *arguments]
        environment = os.environ | self.environment()
        return subprocess.Popen(command, env=environment, cwd=PROJECT, **streams)

    def run(self, name: str, program: str, *arguments: str, stdin: IO | str = "") -> str:
        """Run such a program to its end; returns what it printed.

        Args:
            name: of the database whose server it is.
            program: its name.
            *arguments: its own.
            stdin: what it reads: a text, or an open file.

        Raises:
            StackError: it failed, with its own reason.
        """
        text = stdin if isinstance(stdin, str) else None
        source = subprocess.PIPE if text is not None else stdin
        process = self.start(
            name, program, *arguments,
            stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        printed, said = process.communicate(text)
        if process.returncode != 0:
            raise StackError(f"{program} failed at {name}: {reason(said)}")
        return printed.strip()

    def sql(self, name: str, statements: str, database: str = "postgres") -> str:
        """Run statements with psql in a database of the server that holds `name`."""
        return self.run(name, "psql", *QUIETLY, f"--dbname={database}", stdin=statements)


class Processes(Databases):
    """Those of a stack without Docker: one server holds them all."""

    kind = "processes"

    def command(self, _name: str, program: str) -> list[str]:
        return [str(self.settings.server.bin / program)]

    def environment(self) -> dict[str, str]:
        return self.settings.server.environment()

    def server(self, _name: str) -> str:
        return "postgres"

    def key(self, _name: str, setting: str) -> str:
        return self.settings[setting]

    def free(self, _name: str) -> int:
        return shutil.disk_usage(self.settings.server.home).free

    def start_postgres(self) -> None:
        for component in ("airflow", "superset", "data_ingestion", "dbt"):
            if not (PROJECT / component / ".venv" / "installed").exists():
                raise StackError(f"{component} is not installed: run `make demo-up` first")
        Stack(self.settings).start_postgres()

    def init_warehouse(self, database: str) -> None:
        init_sql = PROJECT / "init_db.sql"
        self.settings.server.run_sql(init_sql, database, self.settings.role_passwords)

    def stop_users(self) -> None:
        Stack(self.settings).stop_users()

    def start_users(self) -> None:
        demo.start(self.settings)
        demo.wait_for_superset(self.settings)


class Containers(Databases):
    """Those of a stack in Docker: the warehouse in one server, the metadata in another."""

    kind = "docker"
    KEEPERS: ClassVar = {"airflow": "airflow-apiserver", "superset": "superset"}
    USERS = ("airflow-scheduler", "airflow-dag-processor", "airflow-apiserver", "superset")

    def command(self, name: str, program: str) -> list[str]:
        # Over the container's own socket, where the superuser is asked for no password.
        user = f"--username={postgres.SUPERUSER}"
        return ["docker", "compose", "exec", "-T", self.server(name), program, user]

    def environment(self) -> dict[str, str]:
        return {}

    def server(self, name: str) -> str:
        return "warehouse" if name == postgres.WAREHOUSE else "metadata"

    def key(self, name: str, setting: str) -> str:
        return docker.environment(self.KEEPERS[name]).get(setting, self.settings[setting])

    def free(self, name: str) -> int:
        shown = docker.compose("exec", "-T", self.server(name), "df", "-Pk", "/var/lib/postgresql")
        return int(shown.splitlines()[-1].split()[3]) * 1024

    def start_postgres(self) -> None:
        docker.check(self.settings)
        # What is there keeps the configuration it was started with, that of DEV=1 for example.
        docker.compose("up", "--detach", "--wait", "--no-recreate", "warehouse", "metadata")
        self.sql(
            postgres.WAREHOUSE,
            "select 'create database warehouse' where not exists"
            " (select from pg_database where datname = 'warehouse') \\gexec\n",
        )
        self.init_warehouse(postgres.WAREHOUSE)
        docker.compose("run", "--rm", "--no-deps", "-T", "metadata-init")

    def init_warehouse(self, database: str) -> None:
        setting = f"PGDATABASE={database}"
        docker.compose("run", "--rm", "--no-deps", "-T", "--env", setting, "warehouse-init")

    def stop_users(self) -> None:
        docker.compose("stop", *self.USERS)

    def start_users(self) -> None:
        try:
            docker.compose("up", "--detach", "--wait", "--no-recreate")
        except StackError as error:
            raise StackError(docker.explain() or str(error)) from None


def running(settings: Settings) -> Databases | None:
    """The databases of the stack that runs; None if none does.

    Raises:
        StackError: both kinds of stack do.
    """
    processes = Stack(settings).running()
    containers = any(each["Service"] == "warehouse" for each in docker.containers())
    if processes and containers:
        raise StackError(
            "a stack in Docker runs, and one without: stop the other with `make down` or "
            "`make demo-down`"
        )
    if processes:
        return Processes(settings)
    return Containers(settings) if containers else None


def of_kind(kind: str, settings: Settings) -> Databases:
    """The databases of a stack of that kind, which need not run.

    Raises:
        StackError: there is no such kind.
    """
    for each in (Processes, Containers):
        if each.kind == kind:
            return each(settings)
    raise StackError(f"a stack of the kind {kind!r} is not known: start one, and try again")
