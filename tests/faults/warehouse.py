"""A Postgres server with a warehouse for the fault tests, and loaders that run against it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2

from elt_stack.ports import free_port
from elt_stack.postgres import Server
from harness import FULL, LOADER, restore_interrupt, wait_until
from support import PROJECT

# The advisory lock under which the loads of raw.transactions take turns.
LOCK = "pg_advisory_lock(hashtextextended('raw.transactions', 0))"
SESSIONS = "select pid from pg_stat_activity where application_name = 'data-ingestion'"


def tries(full: int, few: int) -> int:
    """Return the number of tries: `full` in a full run (FAULTS=full), else `few`."""
    return full if FULL else few


class Warehouse:
    """A separate Postgres server with the settings that the stack uses for real data."""

    def __init__(self, home: Path) -> None:
        self.server = Server(home, free_port(), secrets.token_urlsafe(16))
        names = ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "REPORTER_PASSWORD")
        self.passwords = {name: secrets.token_urlsafe(16) for name in names}
        self.process: subprocess.Popen | None = None
        self.log = home / "postgres.log"
        self.server.prepare()

    def start(self, **environment: str) -> None:
        """Start the server with additional environment variables and wait until it answers."""
        self.process = self.server.start(self.log, os.environ | environment)
        self.server.wait()

    def initialise(self) -> None:
        """Create the warehouse. Check that fsync is on: without it, a crash would prove nothing."""
        self.server.init_warehouse(PROJECT / "init_db.sql", self.passwords)
        assert self.query("show fsync") == [("on",)]
        assert self.query("show synchronous_commit") == [("on",)]

    def kill(self) -> None:
        """Kill the server and all its processes with SIGKILL."""
        postmaster = psutil.Process(self.process.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(family[1:], timeout=10)

    def stop(self) -> None:
        """Shut the server down, or kill it if it does not stop in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # Postgres' "fast" shutdown
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def environment(self, role: str = "loader", port: int = 0, **more: str) -> dict[str, str]:
        """Return the environment in which a libpq program connects as a role.

        Args:
            role: The role of the warehouse.
            port: A proxy's port, or 0 for the server's own.
            more: Additional variables.
        """
        return os.environ | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port or self.server.port),
            "PGDATABASE": "warehouse",
            "PGUSER": role,
            "PGPASSWORD": self.passwords[f"{role.upper()}_PASSWORD"],
            **more,
        }

    @contextlib.contextmanager
    def session(self, database: str = "warehouse") -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor of the superuser, in autocommit mode."""
        with contextlib.closing(self.server.connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def query(self, statement: str, database: str = "warehouse") -> list[tuple]:
        with self.session(database) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def reset(self) -> None:
        """Drop the loader's tables, as if nothing had ever been loaded."""
        tables = "raw.transactions, raw._loads, raw._rejects, raw._duplicates"
        self.query(f"drop table if exists {tables} cascade")

    def load(self, *arguments: object, **environment) -> subprocess.Popen:
        """Start `data-ingestion load`. The keywords are those of the method `environment`."""
        return subprocess.Popen(
            [LOADER, "load", *map(str, arguments)], env=self.environment(**environment),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=restore_interrupt,
        )  # fmt: skip

    def wait_until_alone(self, seconds: float = 20, database: str = "warehouse") -> None:
        """Wait until all sessions and locks of loaders are gone; fail after `seconds`."""
        left = f"{SESSIONS} union select pid from pg_locks where locktype = 'advisory'"
        wait_until(lambda: not self.query(left, database), seconds)
