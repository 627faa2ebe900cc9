"""The interface of a runtime: its databases, and Postgres's programs beside their servers.

The programs run beside the server of each database, so that pg_dump and the server have the same
version. No password is on a command line.
"""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from typing import IO, Any, ClassVar

from elt_stack.errors import StackError
from elt_stack.postgres import SUPERUSER
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings

# The databases and their owners, in the order in which they are dumped. The warehouse is last, so
# that its dump contains each load that Airflow's dump records. It may contain newer loads too; when
# Airflow repeats those, the loader recognises the files by their hashes and skips them.
OWNERS = {"superset": "superset", "airflow": "airflow", "warehouse": SUPERUSER}

PSQL_OPTIONS = (
    *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
    "--set=ON_ERROR_STOP=1",
)


def error_line(output: str) -> str:
    """Return the line of a program's output that says why the program failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (errors or lines[-1:] or ["no reason given"])[0]


class Runtime(ABC):
    """The place where a stack runs, and its databases.

    Attributes:
        name: the runtime's name in the manifest of a backup.
    """

    name: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def command(self, database: str, program: str) -> list[str]:
        """Return the command line that runs a Postgres program beside a database's server."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the environment in which a Postgres program connects as the superuser."""

    @abstractmethod
    def server_of(self, database: str) -> str:
        """Return the name of the server that holds a database."""

    @abstractmethod
    def setting_in_use(self, database: str, setting: str) -> str:
        """Return the value of a setting with which the database's owner was started.

        Args:
            database: airflow or superset, which is also the name of the component.
            setting: the name of the setting.
        """

    @abstractmethod
    def superset_python(self, program: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment that run a program beside Superset.

        Args:
            program: a Python file of the folder `superset`.
            *arguments: the program's arguments.
        """

    @abstractmethod
    def free_bytes(self, database: str) -> int:
        """Return the free disk space for the data of a database's server."""

    @abstractmethod
    def start_servers(self) -> None:
        """Start the Postgres servers. Create missing databases and roles."""

    @abstractmethod
    def init_warehouse(self, database: str) -> None:
        """Run `init_db.sql` in a database of the warehouse's server."""

    @abstractmethod
    def stop_clients(self) -> None:
        """Stop all programs that use the databases, and wait until they have ended."""

    @abstractmethod
    def start_clients(self) -> None:
        """Start all programs that use the databases, migrate the metadata, wait for health."""

    def popen(
        self, database: str, program: str, *arguments: str, **options: Any
    ) -> subprocess.Popen[Any]:
        """Start a Postgres program as the superuser, beside the server of a database.

        Args:
            database: the database.
            program: the program's name, such as pg_dump.
            *arguments: the program's arguments.
            **options: the options of `subprocess.Popen`.
        """
        command = [*self.command(database, program), *arguments]
        environment = os.environ | self.environment()
        return subprocess.Popen(command, env=environment, cwd=PROJECT, **options)

    def run(self, database: str, program: str, *arguments: str, stdin: IO[Any] | str = "") -> str:
        """Run a Postgres program, and return its output.

        Args:
            database: the program runs beside the server of this database.
            program: the program's name, such as pg_restore.
            *arguments: the program's arguments.
            stdin: the program's standard input, as a text or as an open file.

        Raises:
            StackError: the program failed. The message contains the reason.
        """
        text = stdin if isinstance(stdin, str) else None
        source = subprocess.PIPE if text is not None else stdin
        process = self.popen(
            database, program, *arguments,
            stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        output, errors = process.communicate(text)
        if process.returncode != 0:
            raise StackError(f"{program} failed at {database}: {error_line(errors)}")
        return str(output).strip()

    def sql(self, database: str, statements: str, connect_to: str = "postgres") -> str:
        """Run statements with psql on the server of a database, and return the output.

        Args:
            database: the database whose server runs the statements.
            statements: the SQL.
            connect_to: the database to connect to. The default is another one, because a
                session cannot rename or drop its own database.
        """
        return self.run(database, "psql", *PSQL_OPTIONS, f"--dbname={connect_to}", stdin=statements)
