"""Shared fixtures: a fresh database per test, on the server that PGHOST and PGPORT name."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest
from budget import Budget

from data_ingestion import cli

HEADER = (
    "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
    " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,.\n"
)
COLUMNS = (
    "account_no, date, transaction_details, chq_no, value_date, withdrawal_amt, deposit_amt,"
    " balance_amt"
)
LOADS = "select status, rows_read, rows_loaded, rows_duplicate, rows_rejected from raw._loads"


def line(number: int, details: str = "CASH") -> str:
    """Return a data line. Different numbers give different lines."""
    return f"""409000611074',"Jun 29, 17",{details},,"Jun 29, 17",,"1,000.00 ","{number}.00 ",.\n"""


@dataclass
class Warehouse:
    """The database of one test; `env` contains the loader's connection settings for it."""

    env: dict[str, str]
    loader: psycopg2.extensions.connection = field(repr=False)

    def query(self, statement: str) -> list[tuple]:
        """Run a statement as the role `loader` and return its rows."""
        with self.loader, self.loader.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def rows(self) -> list[tuple]:
        """Return the rows of raw.transactions without the columns that the loader adds."""
        return sorted(self.query(f"select {COLUMNS} from raw.transactions"))

    def start(self, *arguments: str | Path) -> subprocess.Popen:
        """Start the loader's command line in a separate process."""
        return subprocess.Popen(
            [sys.executable, "-m", "data_ingestion", *map(str, arguments)],
            env=os.environ | self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _superuser(database: str) -> psycopg2.extensions.connection:
    if "PGHOST" not in os.environ:
        pytest.fail("this test needs a warehouse (PGHOST ...): run it through `make test`", False)
    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    return connection


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Yield a fresh database and point the environment to it, with the role `loader`."""
    name = f"loader_test_{uuid.uuid4().hex[:12]}"
    admin = _superuser("postgres")
    with admin.cursor() as cursor:
        cursor.execute(f"create database {name} template warehouse")
        # `create database ... template` copies everything except the rights on the database.
        cursor.execute(f"grant connect, temporary on database {name} to loader")
    env = {
        "PGDATABASE": name,
        "PGUSER": "loader",
        "PGPASSWORD": os.environ.get("LOADER_PASSWORD", ""),
    }
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.delenv("ELT_DEBUG", raising=False)
    loader = psycopg2.connect("")
    try:
        yield Warehouse(env, loader)
    finally:
        loader.close()
        with admin.cursor() as cursor:
            cursor.execute(f"drop database {name} with (force)")
        admin.close()


@dataclass
class Outcome:
    """The result of a command: exit code, lines on stdout, lines on stderr."""

    code: int
    out: list[str]
    err: list[str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs the loader's command line in this process."""

    def command(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out.splitlines(), captured.err.splitlines())

    return command


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-budget", action="store_true", help="rewrite tests/budget.json")


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> Budget:
    """Return the budgets that the tests compare their counts with."""
    return Budget(request.config.getoption("--renew-budget"))


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a file of transactions and returns its path."""

    def file(*lines: str, name: str = "transactions.csv", header: str = HEADER) -> Path:
        path = tmp_path / name
        path.write_bytes((header + "".join(lines)).encode())
        return path

    return file
