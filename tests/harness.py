"""What the tests of faults share: a truth that grows, whatever was left behind, and the table.

FAULTS=full in the environment makes as many tries as docs/reliability.md shows; without it each
test makes a few, so that it can run with every change. RELIABILITY_RESULTS names the folder that
the figures are written to.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psutil
import psycopg2

from support import PROJECT, Stack, amount

FULL = os.environ.get("FAULTS") == "full"
SEED = 20261122
TASKS = ("parse_and_populate_csv", "transform_data", "test_transformed_data")
COLUMNS = ["fault", "tries", "lost", "doubled", "what happened"]
LOADER = PROJECT / "data_ingestion" / ".venv" / "bin" / "data-ingestion"
DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"
PROGRAMS = {
    "parse_and_populate_csv": ("data-ingestion", "load"),
    "transform_data": ("dbt", "run"),
    "test_transformed_data": ("dbt", "test"),
}
COUNTS = """
    select (select count(*) from raw.transactions),
           (select count(distinct _row_hash) from raw.transactions),
           (select count(*) from staging.transactions),
           (select count(distinct transaction_id) from staging.transactions),
           (select coalesce(sum(transaction_count), 0)::bigint from marts.daily_account_flows)
"""
SUMS = """
    select account_number, coalesce(sum(withdrawal_amount), 0), coalesce(sum(deposit_amount), 0)
    from {} group by 1
"""
LOCKS = "select 'lock ' || objid from pg_locks where locktype = 'advisory'"
HALF_BUILT = (
    "select relname::text from pg_class where relnamespace::regnamespace::text"
    " in ('staging', 'marts', 'audit') and relname like '%\\_\\_dbt\\_%' and relkind in ('r', 'v')"
)


def wait_until(condition: Callable[[], object], seconds: float = 60) -> object:
    """Return what the condition gives as soon as it gives something; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


@dataclass
class Books:
    """All rows of the files that were given to a stack, read with nothing of the project."""

    rows: set[int] = field(default_factory=set)
    sums: dict[str, list[Decimal]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    @classmethod
    def of(cls, stack: Stack) -> Books:
        """Those of a stack that has loaded some files of its data folder."""
        books = cls()
        for (name,) in stack.query("select source_file from raw._loads where status = 'loaded'"):
            books.add(stack.data / name)
        return books

    def add(self, file: Path) -> None:
        """A file that is to be loaded, too."""
        with file.open(newline="") as lines:
            for row in list(csv.reader(lines))[1:]:
                key = hash(tuple(row))
                if key not in self.rows:
                    self.rows.add(key)
                    account = self.sums[row[0].rstrip("'")]
                    account[0] += amount(row[5])
                    account[1] += amount(row[6])

    def compare(self, stack: Stack) -> tuple[int, int]:
        """Rows that raw, staging and marts lack, and rows they have too often: both to be 0."""
        raw, raw_ids, staged, staged_ids, summed = stack.query(COUNTS)[0]
        truth = len(self.rows)
        lost = sum(max(0, truth - found) for found in (raw_ids, staged_ids, summed))
        doubled = (raw - raw_ids) + (staged - staged_ids) + max(0, summed - truth)
        return lost, doubled

    def assert_sums(self, stack: Stack) -> None:
        expected = {account: tuple(sums) for account, sums in self.sums.items()}
        for relation in ("staging.transactions", "marts.daily_account_flows"):
            rows = stack.query(SUMS.format(relation))
            assert {account: tuple(sums) for account, *sums in rows} == expected, relation


def new_file(stack: Stack, seed: int, rows: int) -> Path:
    """A sample in the stack's data folder: the same for the same seed."""
    file = stack.data / f"transactions_{seed}.csv"
    command = [LOADER, "sample", "--rows", str(rows), "--seed", str(seed), "--out", file]
    subprocess.run(command, check=True, capture_output=True)
    return file


def program(stack: Stack, task: str) -> psutil.Process | None:
    """The loader's or dbt's process in that task, if it runs."""
    name, command = PROGRAMS[task]
    for process in stack.supervisord.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if command in words and Path(words[words.index(command) - 1]).name == name:
                return process
    return None


def metadata(stack: Stack, statement: str) -> list[tuple]:
    """What Airflow's own database says: also while its api-server is away."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=stack.environment["WAREHOUSE_PORT"], dbname="airflow",
        user="postgres", password=stack.environment["POSTGRES_PASSWORD"],
    )  # fmt: skip
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def by_hand(stack: Stack, role: str, *command: Path | str) -> subprocess.Popen:
    """The loader or dbt, started beside Airflow."""
    environment = stack.environment | {
        "PGHOST": "127.0.0.1", "PGPORT": stack.environment["WAREHOUSE_PORT"],
        "PGDATABASE": "warehouse", "PGUSER": role,
        "PGPASSWORD": stack.environment[f"{role.upper()}_PASSWORD"],
        "DBT_TARGET_PATH": str(stack.folder / "dbt"), "DBT_LOG_PATH": str(stack.folder / "dbt"),
    }  # fmt: skip
    return subprocess.Popen(
        command, cwd=command[0].parents[2], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def processes_outside(stack: Stack) -> list[str]:
    """Processes of the stack that are not supervisord's any more, nor started by this test."""
    known = {stack.supervisord.pid, os.getpid()}
    for parent in (stack.supervisord, psutil.Process()):
        known |= {process.pid for process in parent.children(recursive=True)}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            places = [*words, process.cwd(), *process.environ().values()]
            if process.pid not in known and any(str(stack.folder) in place for place in places):
                found.append(f"process {process.pid}, parent {process.ppid()}: {words}")
    return found


def assert_all_is_well(
    stack: Stack, books: Books, outside: Callable[[Stack], list[str]] = processes_outside
) -> tuple[int, int]:
    """Every row once, sums to the cent; no lock, half-built model, process or container is left.

    Args:
        stack: in which no run is on its way.
        books: all that it was given.
        outside: names what runs that nothing of the stack waits for.

    Returns:
        How many rows are lost, and how many doubled: none.
    """
    compared = books.compare(stack)
    assert compared == (0, 0)
    books.assert_sums(stack)
    for question in (LOCKS, HALF_BUILT):
        wait_until(lambda question=question: stack.query(question) == [], 30)
    wait_until(lambda: outside(stack) == [], 30)
    return compared


def publish(table: str, rows: Iterable[list]) -> None:
    """Put rows into the folder of RELIABILITY_RESULTS, if named, over those of the same faults."""
    folder, rows = os.environ.get("RELIABILITY_RESULTS"), {row[0]: row for row in rows}
    if not folder or not rows:
        return
    path = Path(folder, f"{table}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    merged = list(({row[0]: row for row in before} | rows).values())
    path.write_text(json.dumps({"columns": COLUMNS, "rows": merged}, indent=1) + "\n")


@dataclass
class Figures:
    """Rows of the table of faults, kept as they come: each run writes its own over the last."""

    tries: dict[str, list[tuple[int, int, str, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, fault: str, lost: int, doubled: int, happened: str, seconds: float) -> None:
        """Count one try, and how many seconds after the fault it was over."""
        self.tries[fault].append((lost, doubled, happened, seconds))

    def row(self, fault: str) -> list:
        lost, doubled, happened, seconds = zip(*self.tries[fault], strict=True)
        counts = ", ".join(f"{number} {what}" for what, number in Counter(happened).most_common())
        told = f"{counts}; over within {max(seconds):.0f} s"
        return [fault, len(lost), sum(lost), sum(doubled), told]

    def write(self) -> None:
        """Print the rows, and publish them."""
        rows = [self.row(fault) for fault in self.tries]
        for row in rows:
            print(*row, sep=" | ")
        publish("dag_faults", rows)
