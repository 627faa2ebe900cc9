"""Shared parts of the fault tests: expected rows, checks for leftovers, the table of results.

With FAULTS=full in the environment, the tests make as many tries as docs/reliability.md shows (a
full run). Without it each test makes a few, so that it can run with every change. The variable
RELIABILITY_RESULTS names a folder for the results.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psutil

from support import PROJECT, Stack, account_sums, amount

FULL = os.environ.get("FAULTS") == "full"
SEED = 20261122
TASKS = ("parse_and_populate_csv", "transform_data", "test_transformed_data")
COLUMNS = ["fault", "tries", "lost", "duplicated", "outcome"]
LOADER = PROJECT / "data_ingestion" / ".venv" / "bin" / "data-ingestion"
DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"
# Samples of different seeds have the same accounts, and their balances contradict each other.
WARN_ONLY = ("BACKDATED=warn", "BALANCES=warn")
PROGRAMS = {
    "parse_and_populate_csv": ("data-ingestion", "load"),
    "transform_data": ("dbt", "build"),
    "test_transformed_data": ("dbt", "test"),
}
COUNTS = """
    select (select count(*) from raw.transactions),
           (select count(distinct _row_hash) from raw.transactions),
           (select count(*) from staging.transactions),
           (select count(distinct transaction_id) from staging.transactions),
           (select coalesce(sum(transaction_count), 0)::bigint from marts.daily_account_flows)
"""
LOCKS = "select 'lock ' || objid from pg_locks where locktype = 'advisory'"
UNFINISHED_MODELS = (
    "select relname::text from pg_class where relnamespace::regnamespace::text"
    " in ('staging', 'marts', 'audit') and relname like '%\\_\\_dbt\\_%' and relkind in ('r', 'v')"
)


def wait_until(condition: Callable[[], object], seconds: float = 60) -> object:
    """Wait until the condition returns a true value, and return it; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


@dataclass
class ExpectedRows:
    """All rows of the files that a stack loads, read independently of the project's code.

    Attributes:
        rows: Hashes of the distinct rows, by Python's `hash`.
        sums: Withdrawals and deposits by account.
    """

    rows: set[int] = field(default_factory=set)
    sums: dict[str, list[Decimal]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    @classmethod
    def of(cls, stack: Stack) -> ExpectedRows:
        """Return the rows of all files that a stack has loaded so far."""
        expected = cls()
        for (name,) in stack.query("select source_file from raw._loads where status = 'loaded'"):
            expected.add(stack.data / name)
        return expected

    def add(self, file: Path) -> None:
        """Add the rows of a file."""
        with file.open(newline="") as lines:
            for row in list(csv.reader(lines))[1:]:
                key = hash(tuple(row))
                if key not in self.rows:
                    self.rows.add(key)
                    account = self.sums[row[0].rstrip("'")]
                    account[0] += amount(row[5])
                    account[1] += amount(row[6])

    def compare(self, stack: Stack) -> tuple[int, int]:
        """Return the numbers of lost and of duplicated rows in raw, staging and marts."""
        raw, raw_ids, staged, staged_ids, summed = stack.query(COUNTS)[0]
        truth = len(self.rows)
        lost = sum(max(0, truth - found) for found in (raw_ids, staged_ids, summed))
        duplicated = (raw - raw_ids) + (staged - staged_ids) + max(0, summed - truth)
        return lost, duplicated

    def assert_sums(self, stack: Stack) -> None:
        """Check the sums of each account in staging and marts."""
        expected = {account: tuple(sums) for account, sums in self.sums.items()}
        for relation in ("staging.transactions", "marts.daily_account_flows"):
            assert account_sums(stack, relation) == expected, relation


def restore_interrupt() -> None:
    """Make a child process react to SIGINT, which a shell's background processes ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def new_file(stack: Stack, seed: int, rows: int) -> Path:
    """Write a sample file to the stack's data folder. Equal seeds give equal files."""
    file = stack.data / f"transactions_{seed}.csv"
    command = [LOADER, "sample", "--rows", str(rows), "--seed", str(seed), "--out", file]
    subprocess.run(command, check=True, capture_output=True)
    return file


def component_process(stack: Stack, task: str) -> psutil.Process | None:
    """Return the process of the loader or of dbt that a task has started, if it is running."""
    name, command = PROGRAMS[task]
    for process in stack.supervisord.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if command in words and Path(words[words.index(command) - 1]).name == name:
                return process
    return None


def start_by_hand(stack: Stack, role: str, *command: Path | str) -> subprocess.Popen:
    """Start the loader or dbt outside Airflow, connected as a role of the warehouse."""
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


def orphaned_processes(stack: Stack) -> list[str]:
    """Describe the stack's processes that neither supervisord nor this test has started."""
    known = {stack.supervisord.pid, os.getpid()}
    for parent in (stack.supervisord, psutil.Process()):
        known |= {process.pid for process in parent.children(recursive=True)}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            texts = [*words, process.cwd(), *process.environ().values()]
            if process.pid not in known and any(str(stack.folder) in text for text in texts):
                found.append(f"process {process.pid}, parent {process.ppid()}: {words}")
    return found


def assert_consistent(
    stack: Stack, expected: ExpectedRows, orphans: Callable[[Stack], list[str]] = orphaned_processes
) -> tuple[int, int]:
    """Check that each row is stored once, all sums match, and a run has left nothing behind.

    Leftovers would be advisory locks, unfinished models, and orphaned processes or containers.

    Args:
        stack: A stack without a running DAG run.
        expected: All rows of the files that the stack has loaded.
        orphans: Returns the stack's orphaned processes or containers.

    Returns:
        The numbers of lost and of duplicated rows, both 0.
    """
    compared = expected.compare(stack)
    assert compared == (0, 0)
    expected.assert_sums(stack)
    for query in (LOCKS, UNFINISHED_MODELS):
        wait_until(lambda query=query: stack.query(query) == [], 30)
    wait_until(lambda: orphans(stack) == [], 30)
    return compared


def publish(table: str, rows: Iterable[list], columns: list[str] = COLUMNS) -> None:
    """Write a table of results to the folder that RELIABILITY_RESULTS names, if it is set.

    A row replaces the earlier row with the same first cell, such as the fault.
    """
    folder, rows = os.environ.get("RELIABILITY_RESULTS"), {row[0]: row for row in rows}
    if not folder or not rows:
        return
    path = Path(folder, f"{table}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    merged = list(({row[0]: row for row in before} | rows).values())
    path.write_text(json.dumps({"columns": columns, "rows": merged}, indent=1) + "\n")


@dataclass
class DagResults:
    """The results of the faults during DAG runs.

    Attributes:
        tries: Lost rows, duplicated rows, outcome and seconds of each try, by fault.
    """

    tries: dict[str, list[tuple[int, int, str, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, fault: str, lost: int, duplicated: int, outcome: str, seconds: float) -> None:
        """Add one try that finished `seconds` after its fault."""
        self.tries[fault].append((lost, duplicated, outcome, seconds))

    def row(self, fault: str) -> list:
        """Return the row of a fault; COLUMNS are its columns."""
        lost, duplicated, outcomes, seconds = zip(*self.tries[fault], strict=True)
        counts = ", ".join(f"{count} × {text}" for text, count in Counter(outcomes).most_common())
        outcome = f"{counts}; finished within {max(seconds):.0f} s"
        return [fault, len(lost), sum(lost), sum(duplicated), outcome]

    def write(self) -> None:
        """Print and publish the rows."""
        rows = [self.row(fault) for fault in self.tries]
        for row in rows:
            print(*row, sep=" | ")
        publish("dag_faults", rows)
