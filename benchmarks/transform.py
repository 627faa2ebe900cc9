"""Measure dbt, compared with one `create table as` with the same casts in the same round.

    python benchmarks/transform.py --rows 116201 1000000 --rounds 3 --json FILE

The script needs a throwaway warehouse (`elt with-postgres`). It runs dbt's commands as the DAG
does. Each time includes the start of dbt's process, which `dbt run --empty` measures alone: it runs
all models without rows. The JSON is {rows: {name of the step: {"seconds": [one per round]}}}.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from steps import LOADER, PROJECT, sample
from warehouse import environment

DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"
NEW_ROWS = 10_000
# These tests must fail, and no other. The sample has backdated transactions. Samples of two seeds
# have the same accounts with other transactions, so their balances contradict each other.
EXPECTED_FAILURES = {"value_date_greater_than_transaction_date", "balances_reconcile"}

START = "dbt run --empty"
SAME_CASTS = "create table as, same casts"
SERIAL = "create table as, same casts, one process"
NAIVE = "create table as, naive casts, one process"
FIRST = "first dbt run"
NOTHING_NEW = "dbt run, nothing new"
SOME_NEW = f"dbt run, {NEW_ROWS:,} new rows"
TEST = "dbt test"
ONE_PROCESS = "set max_parallel_workers_per_gather = 0"

# Casts as in a script that trusts its data: a value in an unexpected format stops it.
NAIVE_SELECT = """
select
    _row_hash, rtrim(account_no, '''') as account_number,
    to_date(date, 'Mon DD, YY') as transaction_date,
    nullif(transaction_details, '') as transaction_details, nullif(chq_no, '') as cheque_number,
    to_date(value_date, 'Mon DD, YY') as value_date,
    replace(nullif(withdrawal_amt, ''), ',', '')::numeric(18, 2) as withdrawal_amount,
    replace(nullif(deposit_amt, ''), ',', '')::numeric(18, 2) as deposit_amount,
    replace(nullif(balance_amt, ''), ',', '')::numeric(18, 2) as balance_amount,
    _load_id, _source_line, now() as _staged_at
from raw.transactions
"""


def role(name: str) -> dict[str, str]:
    """Return the environment of a process that connects as the role."""
    return environment(os.environ["PGDATABASE"], name)


def psql(*options: str) -> float:
    """Run psql as the superuser and return its seconds.

    Raises:
        CalledProcessError: psql failed.
    """
    quiet = os.environ | {"PGOPTIONS": "--client-min-messages=warning"}
    start = time.monotonic()
    command = [os.environ["PSQL"], "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *options]
    subprocess.run(command, env=quiet, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def statements(*sql: str) -> float:
    """Run statements in one session and return their seconds."""
    return psql(*(f"--command={statement}" for statement in sql))


class Transform:
    """Runs dbt with a separate folder for its target and its logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
        self.environment = role("transformer") | paths

    def dbt(self, *arguments: str, may_fail: bool = False) -> float:
        """Run one dbt command and return its seconds.

        Raises:
            SystemExit: The command failed and `may_fail` is false; the message is its output.
        """
        start = time.monotonic()
        process = subprocess.run(
            [DBT, *arguments], cwd=PROJECT / "dbt", env=self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        seconds = time.monotonic() - start
        if process.returncode != 0 and not may_fail:
            sys.exit(f"dbt {' '.join(arguments)} failed:\n{process.stdout}{process.stderr}")
        return seconds

    def test(self) -> float:
        """Run `dbt test` as the DAG does and return its seconds.

        Raises:
            SystemExit: Other tests than EXPECTED_FAILURES failed, or there are no results.
        """
        seconds = self.dbt("test", "--exclude-resource-type", "unit_test", may_fail=True)
        results = json.loads((self.folder / "run_results.json").read_text())["results"]
        names = (r["unique_id"] for r in results if r["status"] not in ("pass", "success"))
        failed = {name.split(".")[2] for name in names}
        if failed != EXPECTED_FAILURES:
            sys.exit(f"dbt test: {', '.join(sorted(failed)) or 'no failures'}")
        return seconds

    def casts(self) -> str:
        """Return the select of staging.transactions that dbt compiles for a first run."""
        self.dbt("compile", "--full-refresh", "--select", "transactions")
        (file,) = self.folder.glob("compiled/*/models/staging/transactions.sql")
        return file.read_text()


def load(rows: int, seed: int) -> None:
    """Load a sample."""
    subprocess.run([LOADER, "load", sample(rows, seed).path], check=True, env=role("loader"))


def reset_transform() -> None:
    """Drop everything that dbt has built, and all loads except the first."""
    statements(
        "drop schema if exists staging, marts, audit cascade",
        "delete from raw.transactions where _load_id > 1",
        "delete from raw._loads where load_id > 1",
    )
    psql("--file", str(PROJECT / "init_db.sql"))
    statements("vacuum analyze raw.transactions", "checkpoint")


def create_table_as(select: str, *settings: str) -> float:
    """Run a plain `create table as`, without index and contract, and return its seconds."""
    seconds = statements(*settings, f"create table public.yardstick as {select}")
    statements("drop table public.yardstick")
    return seconds


def measure(rows: int, rounds: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Measure each step once per round, so that other load on the machine affects all alike.

    Returns:
        The seconds of all rounds as {"seconds": [...]}, by name of the step.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        statements("drop schema raw cascade")
        psql("--file", str(PROJECT / "init_db.sql"))
        load(rows, seed)
        transform = Transform(folder)
        casts = transform.casts()
        all_seconds: dict[str, list[float]] = {}
        for number in range(1, rounds + 1):
            print(f"{rows:,} rows: round {number} of {rounds}", file=sys.stderr)
            reset_transform()
            for step, seconds in one_round(transform, casts, seed + number).items():
                all_seconds.setdefault(step, []).append(round(seconds, 3))
    return {step: {"seconds": seconds} for step, seconds in all_seconds.items()}


def one_round(transform: Transform, casts: str, seed: int) -> dict[str, float]:
    """Run each step once, in a warehouse without dbt's tables; return the seconds by step."""
    seconds = {
        NAIVE: create_table_as(NAIVE_SELECT, ONE_PROCESS),
        SERIAL: create_table_as(casts, ONE_PROCESS),
        SAME_CASTS: create_table_as(casts),
        START: transform.dbt("run", "--empty"),
    }
    reset_transform()
    seconds[FIRST] = transform.dbt("run")
    seconds[NOTHING_NEW] = transform.dbt("run")
    load(NEW_ROWS, seed)
    seconds[SOME_NEW] = transform.dbt("run")
    seconds[TEST] = transform.test()
    return seconds


def show(rows: int, steps: dict[str, dict[str, list[float]]]) -> None:
    """Print the median seconds of each step and the ratios that docs/performance.md discusses."""
    median = {step: statistics.median(rounds["seconds"]) for step, rounds in steps.items()}
    print(f"\n{rows:,} rows, medians of {len(steps[FIRST]['seconds'])} rounds")
    for step, seconds in median.items():
        print(f"  {step:<46}{seconds:8.2f} s")
    above_start = median[FIRST] - median[START]
    for step in (SERIAL, SAME_CASTS, NAIVE):
        print(f"  {'first run minus start, ratio to ' + step:<74}{above_start / median[step]:6.2f}")
    difference = median[SOME_NEW] - median[NOTHING_NEW]
    print(f"  {'new rows, minus the run with nothing new':<46}{difference:8.2f} s")


def main() -> None:
    """Print a table per size and write the results as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[116_201, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if "PSQL" not in os.environ:
        sys.exit("no warehouse is running: `elt with-postgres -- COMMAND` starts one")
    results = {rows: measure(rows, options.rounds, options.seed) for rows in options.rows}
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    for rows, steps in results.items():
        show(rows, steps)


if __name__ == "__main__":
    main()
