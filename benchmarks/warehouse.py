"""Databases on the throwaway server of the benchmark, one for each group of steps."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import psycopg2

SETTINGS = (
    *("server_version", "shared_buffers", "work_mem", "maintenance_work_mem", "max_wal_size"),
    *("wal_level", "fsync", "full_page_writes", "synchronous_commit", "jit"),
    *("max_worker_processes", "max_parallel_workers", "max_parallel_workers_per_gather"),
    *("max_parallel_maintenance_workers", "io_method"),
)


def query(database: str, statement: str) -> list[tuple]:
    """Run a statement as the superuser in a new session and return its rows."""
    with contextlib.closing(psycopg2.connect(dbname=database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Create an empty warehouse, yield its name, and drop it after the block."""
    name = f"bench_{time.monotonic_ns()}"
    query("postgres", f"create database {name} template warehouse")
    try:
        # `create database ... template` copies everything except the rights on the database.
        query("postgres", f"grant connect, temporary on database {name} to loader, transformer")
        yield name
    finally:
        query("postgres", f"drop database {name} with (force)")


def server_pid() -> int:
    """Return the process id of the server, the parent of all its sessions."""
    return int(query("postgres", "select pg_read_file('postmaster.pid')")[0][0].split("\n")[0])


def settings() -> dict[str, str]:
    """Return the server's settings that affect its speed."""
    names = ", ".join(f"'{name}'" for name in SETTINGS)
    shown = (
        f"select name, current_setting(name) from pg_settings where name in ({names}) order by 1"  # noqa: S608
    )
    return dict(query("postgres", shown))


def environment(name: str, role: str | None = None) -> dict[str, str]:
    """Return the environment of a process that connects to a database.

    Args:
        name: Name of the database.
        role: A role of the warehouse; None for the superuser.
    """
    variables = os.environ | {"PGDATABASE": name}
    if role:
        variables |= {"PGUSER": role, "PGPASSWORD": os.environ[f"{role.upper()}_PASSWORD"]}
    return variables


def role(name: str) -> dict[str, str]:
    """Return the environment of a process that connects to the server's warehouse as a role."""
    return environment(os.environ["PGDATABASE"], name)
