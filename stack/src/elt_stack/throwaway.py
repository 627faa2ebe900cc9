"""A temporary Postgres server for tests and benchmarks."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from elt_stack.ports import free_port
from elt_stack.postgres import Server
from elt_stack.setting_files import PROJECT, ROLE_PASSWORDS


@contextlib.contextmanager
def throwaway_server() -> Iterator[dict[str, str]]:
    """Run a server with an initialised warehouse for the duration of the block.

    Yields:
        Environment variables: libpq's for the superuser, the passwords of the roles, and PSQL,
        the path of psql.
    """
    home = Path(tempfile.mkdtemp(prefix="elt-postgres-"))
    home.chmod(0o755)  # the server's account must reach the data directory below
    passwords = {name: secrets.token_urlsafe(16) for name in ROLE_PASSWORDS}
    server = Server(home, free_port(), secrets.token_urlsafe(16), durable=False)
    process = None
    try:
        server.prepare()
        process = server.start(home / "postgres.log")
        server.wait()
        server.init_warehouse(PROJECT / "init_db.sql", passwords)
        yield server.environment() | passwords
    finally:
        if process:
            process.send_signal(signal.SIGINT)  # Postgres' "fast" shutdown
            process.wait(timeout=30)
        shutil.rmtree(home, ignore_errors=True)
