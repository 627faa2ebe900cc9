"""The throwaway server that the benchmark runs on: a database of its own for each piece of work."""

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
    """The rows of a statement, run by the superuser in a session of its own."""
    with contextlib.closing(psycopg2.connect(dbname=database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The name of a new, empty warehouse, which is dropped at the end of the block."""
    name = f"bench_{time.monotonic_ns()}"
    query("postgres", f"create database {name} template warehouse")
    try:
        # A template hands on all but the rights on the database itself.
        query("postgres", f"grant connect, temporary on database {name} to loader, transformer")
        yield name
    finally:
        query("postgres", f"drop database {name} with (force)")


def server_pid() -> int:
    """The process id of the server itself, the parent of all its sessions."""
    return int(query("postgres", "select pg_read_file('postmaster.pid')")[0][0].split("\n")[0])


def settings() -> dict[str, str]:
    """The server's settings that matter for how fast it is."""
    names = ", ".join(f"'{name}'" for name in SETTINGS)
    shown = (
        f"select name, current_setting(name) from pg_settings where name in ({names}) order by 1"  # noqa: S608
    )
    return dict(query("postgres", shown))


def environment(name: str, role: str | None = None) -> dict[str, str]:
    """The environment of a process that works in that database, as the superuser or as a role."""
    ours = os.environ | {"PGDATABASE": name}
    if role:
        ours |= {"PGUSER": role, "PGPASSWORD": os.environ[f"{role.upper()}_PASSWORD"]}
    return ours
