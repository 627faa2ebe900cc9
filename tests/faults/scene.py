"""A warehouse to be hurt, loaders to be killed, and what must be true afterwards.

Truth is computed from the files with Python's csv and sets, with nothing of the project.
"""

from __future__ import annotations

import contextlib
import csv
import os
import random
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil
import psycopg2

from elt_local.postgres import Server
from support import PROJECT, free_port

FULL = os.environ.get("FAULTS") == "full"
LOADER = PROJECT / "data_ingestion" / ".venv" / "bin" / "data-ingestion"
HEADER = (
    "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
    " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,.\r\n"
)
COLUMNS = (
    "account_no, date, transaction_details, chq_no, value_date, withdrawal_amt, deposit_amt,"
    " balance_amt"
)
SESSIONS = "select pid from pg_stat_activity where application_name = 'data-ingestion'"


def hear_signals() -> None:
    """In a child: Ctrl-C counts, though shells have what runs in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tries(full: int, few: int) -> int:
    """How many tries a test makes: `FAULTS=full` asks for all of them."""
    return full if FULL else few


@dataclass
class Sheet:
    """A file of transactions; `rows` is what a CSV reader finds in it, without the last column."""

    path: Path

    @classmethod
    def write(cls, path: Path, numbers: Sequence[int]) -> Sheet:
        """One row a number; the same number, the same row."""
        dates = ("29-Jun-17", '"Jun 29, 17"', "2017-06-29")
        lines = [
            f"""40900061107{n % 10}',{dates[n % 3]},"TRF, ""{n}"" é to somebody",,"Jul 1, 17",,"""
            f""""{n % 900},000.00 ","{n}.00 ",.\r\n"""
            for n in numbers
        ]
        path.write_text(HEADER + "".join(lines), "utf-8")
        return cls(path)

    @cached_property
    def rows(self) -> list[tuple[str, ...]]:
        with self.path.open(newline="", encoding="utf-8") as file:
            return [tuple(row[:8]) for row in csv.reader(file)][1:]


class Warehouse:
    """A Postgres server of its own, with the settings of a stack that is meant to last."""

    def __init__(self, home: Path) -> None:
        self.server = Server(home, free_port(), secrets.token_urlsafe(16))
        names = ("LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "REPORTER_PASSWORD")
        self.passwords = {name: secrets.token_urlsafe(16) for name in names}
        self.process: subprocess.Popen | None = None
        self.log = home / "postgres.log"
        self.server.prepare()

    def start(self, **environment: str) -> None:
        """Start the server, with these variables besides ours, and wait until it answers."""
        self.process = self.server.start(self.log, os.environ | environment)
        self.server.wait()

    def initialise(self) -> None:
        """Make the warehouse in it; fsync is on, or a crash would prove nothing."""
        self.server.init_warehouse(PROJECT / "init_db.sql", self.passwords)
        assert self.query("show fsync") == [("on",)]
        assert self.query("show synchronous_commit") == [("on",)]

    def kill(self) -> None:
        """Kill -9 the server and all its processes."""
        postmaster = psutil.Process(self.process.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(family[1:], timeout=10)

    def stop(self) -> None:
        """Stop it in good order, or what is left of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # Postgres' "fast" shutdown
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def environment(self, role: str = "loader", port: int = 0, **more: str) -> dict[str, str]:
        """What a libpq program needs to be that role, through `port` if a proxy is in between."""
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
        """A cursor of the superuser; each statement is a transaction."""
        with contextlib.closing(self.server.connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def query(self, statement: str, database: str = "warehouse") -> list[tuple]:
        with self.session(database) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def forget(self) -> None:
        """As if nothing had ever been loaded."""
        self.query("drop table if exists raw.transactions, raw._loads, raw._rejects cascade")

    def load(self, *arguments: object, **environment) -> subprocess.Popen:
        """Start `data-ingestion load`; see `environment` for the keywords."""
        return subprocess.Popen(
            [LOADER, "load", *map(str, arguments)], env=self.environment(**environment),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_signals,
        )  # fmt: skip

    def wait_until_alone(self, seconds: float = 20, database: str = "warehouse") -> None:
        """Fail unless every session and lock of loaders is gone within `seconds`."""
        locks = "select pid from pg_locks where locktype = 'advisory'"
        deadline = time.monotonic() + seconds
        while left := self.query(f"{SESSIONS} union {locks}", database):
            assert time.monotonic() < deadline, f"sessions or locks are left: {left}"
            time.sleep(0.05)


@dataclass
class Found:
    """What a warehouse holds beside what it should: counts of rows."""

    loaded: set[str]  # names of files
    lost: int
    doubled: int


def compare(warehouse: Warehouse, sheets: Sequence[Sheet], database: str = "warehouse") -> Found:
    """What is in the warehouse, checked against those of the files that raw._loads says are there.

    Raises:
        AssertionError: a load is half there, or its numbers are not those of its file.
    """
    rows_of = {sheet.path.name: sheet.rows for sheet in sheets}
    there = "select to_regclass('raw._loads'), to_regclass('raw.transactions')"
    has_loads, has_rows = warehouse.query(there, database)[0]
    loads, rejects, rows, indexes, by_load = [], [], [], [], Counter()
    if has_loads:
        columns = "load_id, source_file, status, rows_read, rows_loaded, rows_duplicate"
        loads = warehouse.query(f"select {columns} from raw._loads order by 1", database)
        rejects = warehouse.query("table raw._rejects", database)
    if has_rows:
        rows = warehouse.query(f"select {COLUMNS} from raw.transactions", database)
        sizes = "select _load_id, count(*) from raw.transactions group by 1"
        by_load = Counter(dict(warehouse.query(sizes, database)))
        indexes = warehouse.query(
            "select indisvalid from pg_index where indisunique"
            " and indrelid = 'raw.transactions'::regclass", database,
        )  # fmt: skip
        assert not loads or indexes == [(True,)]
    names = [load[1] for load in loads]
    assert [load[0] for load in loads] == list(range(1, len(loads) + 1))
    assert len(set(names)) == len(names) and set(names) <= set(rows_of), names
    assert not rejects
    expected: set[tuple] = set()
    for load_id, name, status, read, loaded, duplicates in loads:
        new = set(rows_of[name]) - expected
        assert (status, read, loaded) == ("loaded", len(rows_of[name]), len(new)), name
        assert read == loaded + duplicates and by_load.pop(load_id, 0) == loaded, name
        expected |= new
    assert not by_load, f"rows of loads that did not end: {by_load}"
    got = set(rows)
    assert got <= expected, "rows that are in no file"
    return Found(set(names), len(expected - got), len(rows) - len(got))


@dataclass
class Story:
    """A table that grows by one file a try, so that what it must hold is known at any time.

    A third of the files come into a fresh table, the others into one with rows; half of those
    overlap with what is there.
    """

    warehouse: Warehouse
    folder: Path
    chance: random.Random
    rows: int = 12_000
    told: list[Sheet] = field(default_factory=list)
    _count: int = 0
    _next: int = 0

    def sheet(self, fresh: bool | None = None) -> Sheet:
        """The next file; `fresh` decides whether it is the table's first one."""
        kind = self.chance.choice(["first", "more", "overlapping"])
        if fresh if fresh is not None else kind == "first" or len(self.told) > 4:
            self.warehouse.forget()
            self.told = []
        overlap = self.rows // 2 if kind == "overlapping" and self.told else 0
        begin = self._next - overlap
        numbers = [*range(begin, begin + self.rows), begin, begin + 1]
        self._next = begin + self.rows
        self._count += 1
        return Sheet.write(self.folder / f"transactions-{self._count}.csv", numbers)

    def verify(self, sheet: Sheet) -> Found:
        """After a fault in its load: all that was told before, and this one whole or not at all."""
        self.warehouse.wait_until_alone()
        found = compare(self.warehouse, [*self.told, sheet])
        before = {known.path.name for known in self.told}
        assert found.loaded in (before, before | {sheet.path.name})
        return found

    def tell(self, sheet: Sheet) -> Found:
        """The next run of the same load: succeeds, and brings exactly what was missing."""
        process = self.warehouse.load(sheet.path)
        ended = process.communicate(timeout=120)
        assert (process.returncode, ended[1]) == (0, ""), ended
        self.told.append(sheet)
        found = self.verify(sheet)
        assert found.loaded == {known.path.name for known in self.told}
        return found
