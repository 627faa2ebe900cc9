"""Fixtures: a separate warehouse for each test, and dbt as a user would run it."""

import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg2
import psycopg2.extras
import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult

PROJECT = Path(__file__).parents[1]
SEED = 20261130

# The grants of init_db.sql on the database itself, which `create database` does not copy.
GRANTS = """
revoke all on database {0} from public;
grant connect on database {0} to loader, transformer, reporter;
grant temporary on database {0} to loader, transformer;
"""

# The loader's tables. A copy of its definitions keeps these tests independent of the loader.
RAW_TABLES = """
create table raw.transactions (
    account_no text not null, date text not null, transaction_details text not null,
    chq_no text not null, value_date text not null, withdrawal_amt text not null,
    deposit_amt text not null, balance_amt text not null,
    _row_hash uuid not null, _load_id bigint not null, _source_line bigint not null
);
create unique index transactions__row_hash_key on raw.transactions (_row_hash);
create index on raw.transactions using brin (_load_id);
create table raw._loads (
    table_name text, load_id bigint, source_file text, file_size bigint, file_sha256 text,
    status text, error text, rows_read bigint, rows_loaded bigint, rows_duplicate bigint,
    rows_rejected bigint, rows_skipped bigint not null default 0, started_at timestamptz,
    finished_at timestamptz, first_row_hash uuid, last_row_hash uuid,
    primary key (table_name, load_id)
);
create table raw._duplicates (
    table_name text not null, load_id bigint not null, row_hash uuid not null,
    source_line bigint not null, dropped bigint not null
);
create index on raw._duplicates (table_name, load_id);
"""
WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
VALUES = ("account_no", "date", "value_date", "withdrawal_amt", "deposit_amt", "balance_amt")


class Warehouse:
    """A copy of the database that init_db.sql set up."""

    def __init__(self, name: str, target_path: Path) -> None:
        self.name = name
        self.target_path = target_path

    def query(self, role: str, sql: str, parameters: Sequence[object] | None = None) -> list[tuple]:
        """Run `sql` as `role` and return its rows, or an empty list if it has none."""
        password = os.environ[f"{role.upper()}_PASSWORD"]
        with (
            psycopg2.connect(dbname=self.name, user=role, password=password) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def load(self, rows: Sequence[dict[str, str]], load_id: int) -> None:
        """Write rows to raw as one load, as the loader does. Missing columns are empty."""
        self.load_files({load_id: rows})

    def load_files(self, files: Mapping[int, Sequence[dict[str, str]]]) -> None:
        """Write the rows of each load id to raw. Rows that raw has already are left out."""
        records, loads, duplicates = [], [], []
        for load_id, rows in files.items():
            file, hashes = f"file_{load_id}.csv", []
            for line, row in enumerate(rows, start=2):
                values = [row.get(column, "") for column in VALUES]
                details = row.get("details", "")
                key = str(uuid.uuid5(uuid.NAMESPACE_OID, repr(values) + details))
                if key in hashes:
                    duplicates.append((load_id, key, line))
                else:
                    records.append((*values, details, key, load_id, line))
                hashes.append(key)
            loads.append((load_id, file, *(hashes[:1] or [None]), *(hashes[-1:] or [None])))
        self.insert(
            f"raw.transactions ({', '.join(VALUES)}, transaction_details, _row_hash, _load_id,"
            " _source_line, chq_no)",
            records,
            "(" + "%s, " * (len(VALUES) + 4) + "'')",
        )
        self.insert(
            "raw._loads (table_name, load_id, source_file, first_row_hash, last_row_hash, status,"
            " started_at, finished_at)",
            loads,
            "('transactions', %s, %s, %s, %s, 'loaded', now(), now())",
        )
        self.insert("raw._duplicates", duplicates, "('transactions', %s, %s, %s, 1)")

    def insert(self, table: str, records: Sequence[Sequence[object]], template: str) -> None:
        """Insert records as the loader. Records that a unique key excludes are left out."""
        password = os.environ["LOADER_PASSWORD"]
        with (
            psycopg2.connect(dbname=self.name, user="loader", password=password) as connection,
            connection.cursor() as cursor,
        ):
            statement = f"insert into {table} values %s on conflict do nothing"
            psycopg2.extras.execute_values(cursor, statement, records, template=template)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make dbt connect to this warehouse as transformer."""
        return {
            "PGDATABASE": self.name,
            "PGUSER": "transformer",
            "PGPASSWORD": os.environ["TRANSFORMER_PASSWORD"],
            "ELT_ENV": "test",
            "DBT_TARGET_PATH": str(self.target_path),
            "DBT_LOG_PATH": str(self.target_path),
        }

    def init_marts(self) -> None:
        """Run init_marts.py, as a stack does when it starts."""
        script = [sys.executable, "init_marts.py"]
        subprocess.run(script, cwd=PROJECT, env=os.environ | self.environment, check=True)

    def dbt(self, *arguments: str, project: Path = PROJECT) -> dbtRunnerResult:
        """Run dbt as transformer. If `.success` of the result is true, the exit code is 0."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            folders = ("--project-dir", str(project), "--profiles-dir", str(PROJECT))
            return dbtRunner().invoke([*arguments, *folders])


def statuses(result: dbtRunnerResult) -> dict[str, str]:
    """Return the status of each test by name, without the results of hooks."""
    tests = [r for r in result.result if r.node.resource_type in ("test", "unit_test")]
    return {r.node.name: str(r.status) for r in tests}


def not_passed(result: dbtRunnerResult) -> dict[str, str]:
    """Return the status of each test that did not pass, by name."""
    return {name: status for name, status in statuses(result).items() if status != "pass"}


@pytest.fixture(scope="session")
def target_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a target folder for all tests of a process, so that dbt parses the project once."""
    return tmp_path_factory.mktemp("dbt_target")


@pytest.fixture
def warehouse(target_path: Path) -> Iterator[Warehouse]:
    """Yield a warehouse with empty raw tables, and drop it afterwards."""
    if "PGHOST" not in os.environ:
        pytest.fail("PGHOST is not set: run this test with `make test`", pytrace=False)
    # One name per process: dbt would parse the project again for another database name.
    name = f"dbt_{os.getpid()}"
    admin = psycopg2.connect(dbname="postgres")  # the template database must have no connections
    admin.autocommit = True
    try:
        with admin.cursor() as cursor:
            cursor.execute(f"create database {name} template {os.environ['PGDATABASE']}")
            cursor.execute(GRANTS.format(name))
        warehouse = Warehouse(name, target_path)
        warehouse.query("loader", RAW_TABLES)
        yield warehouse
    finally:
        with admin.cursor() as cursor:
            cursor.execute(f"drop database if exists {name} with (force)")
        admin.close()


@pytest.fixture
def rng() -> random.Random:
    """Return a generator of random test data. Its seed is printed if the test fails."""
    print("seed", SEED)
    return random.Random(SEED)  # noqa: S311 - for test data
