"""How long dbt takes, beside one `create table as` with the same casts in the same round.

    python benchmarks/transform.py --rows 116201 1000000 --rounds 3 --json FILE

Runs in a warehouse of its own (`elt with-postgres`). Every dbt figure is the command as
the DAG runs it, the start of its process included: `dbt run --empty` is that start, with all
models and no row. JSON: rows -> name of the work -> {"seconds": one per round}.
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

from warehouse import environment
from works import LOADER, PROJECT, sample

DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"
NEW_ROWS = 10_000
# The one test that fails on the sample, as it should.
BACKDATED = "value_date_greater_than_transaction_date"

START = "dbt run --empty"
SAME_CASTS = "create table as, same casts"
SERIAL = "create table as, same casts, one process"
NAIVE = "create table as, naive casts, one process"
FIRST = "first dbt run"
NOTHING_NEW = "dbt run, nothing new"
SOME_NEW = f"dbt run, {NEW_ROWS:,} new rows"
TEST = "dbt test"
ONE_PROCESS = "set max_parallel_workers_per_gather = 0"

# What a script would write that trusts its data: the first value it does not know stops it.
NAIVE_SELECT = """
select
    _row_hash, rtrim(account_no, '''') as account_number,
    to_date(date, 'Mon DD, YY') as transaction_date,
    nullif(transaction_details, '') as transaction_details, nullif(chq_no, '') as cheque_number,
    to_date(value_date, 'Mon DD, YY') as value_date,
    replace(nullif(withdrawal_amt, ''), ',', '')::numeric(18, 2) as withdrawal_amount,
    replace(nullif(deposit_amt, ''), ',', '')::numeric(18, 2) as deposit_amount,
    replace(nullif(balance_amt, ''), ',', '')::numeric(18, 2) as balance_amount,
    _load_id, _source_file, _source_line, _loaded_at, now() as _staged_at
from raw.transactions
"""


def role(name: str) -> dict[str, str]:
    """The environment of a process that works as that role."""
    return environment(os.environ["PGDATABASE"], name)


def psql(*options: str) -> float:
    """Seconds that psql took as the superuser, which has to succeed."""
    quiet = os.environ | {"PGOPTIONS": "--client-min-messages=warning"}
    began = time.monotonic()
    command = [os.environ["PSQL"], "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *options]
    subprocess.run(command, env=quiet, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def statements(*sql: str) -> float:
    """Seconds that statements took, in one session."""
    return psql(*(f"--command={statement}" for statement in sql))


class Transform:
    """dbt with a folder of its own for what it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
        self.environment = role("transformer") | paths

    def dbt(self, *arguments: str, may_fail: bool = False) -> float:
        """Seconds of one dbt command. Exits with its output if it failed."""
        began = time.monotonic()
        process = subprocess.run(
            [DBT, *arguments], cwd=PROJECT / "dbt", env=self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        seconds = time.monotonic() - began
        if process.returncode != 0 and not may_fail:
            sys.exit(f"dbt {' '.join(arguments)} failed:\n{process.stdout}{process.stderr}")
        return seconds

    def test(self) -> float:
        """Seconds of `dbt test` as the DAG runs it. Exits if any but the one failed."""
        seconds = self.dbt("test", "--exclude-resource-type", "unit_test", may_fail=True)
        results = json.loads((self.folder / "run_results.json").read_text())["results"]
        bad = [r["unique_id"] for r in results if r["status"] not in ("pass", "success")]
        if not results or any(BACKDATED not in name for name in bad):
            sys.exit(f"dbt test: {bad or 'no results'}")
        return seconds

    def casts(self) -> str:
        """The select of staging.transactions as dbt compiles it for a first run."""
        self.dbt("compile", "--full-refresh", "--select", "transactions")
        (file,) = self.folder.glob("compiled/*/models/staging/transactions.sql")
        return file.read_text()


def load(rows: int, seed: int) -> None:
    """Load a sample."""
    subprocess.run([LOADER, "load", sample(rows, seed).path], check=True, env=role("loader"))


def forget_transform() -> None:
    """A warehouse that dbt has not seen yet, with the first load and no other."""
    statements(
        "drop schema if exists staging, marts, audit cascade",
        "delete from raw.transactions where _load_id > 1",
        "delete from raw._loads where load_id > 1",
    )
    psql("--file", str(PROJECT / "init_db.sql"))
    statements("vacuum analyze raw.transactions", "checkpoint")


def create_table_as(select: str, *settings: str) -> float:
    """Seconds of one plain `create table as`: no index, no contract."""
    seconds = statements(*settings, f"create table public.yardstick as {select}")
    statements("drop table public.yardstick")
    return seconds


def measure(rows: int, rounds: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Each kind of work once a round, in turns, so that what disturbs one disturbs all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        statements("drop schema raw cascade")
        psql("--file", str(PROJECT / "init_db.sql"))
        load(rows, seed)
        transform = Transform(folder)
        casts = transform.casts()
        taken: dict[str, list[float]] = {}
        for number in range(1, rounds + 1):
            print(f"{rows:,} rows: round {number} of {rounds}", file=sys.stderr)
            forget_transform()
            for work, seconds in one_round(transform, casts, seed + number).items():
                taken.setdefault(work, []).append(round(seconds, 3))
    return {work: {"seconds": seconds} for work, seconds in taken.items()}


def one_round(transform: Transform, casts: str, seed: int) -> dict[str, float]:
    """Seconds of each kind of work, in a warehouse that dbt has not seen yet."""
    taken = {
        NAIVE: create_table_as(NAIVE_SELECT, ONE_PROCESS),
        SERIAL: create_table_as(casts, ONE_PROCESS),
        SAME_CASTS: create_table_as(casts),
        START: transform.dbt("run", "--empty"),
    }
    forget_transform()
    taken[FIRST] = transform.dbt("run")
    taken[NOTHING_NEW] = transform.dbt("run")
    load(NEW_ROWS, seed)
    taken[SOME_NEW] = transform.dbt("run")
    taken[TEST] = transform.test()
    return taken


def show(rows: int, works: dict[str, dict[str, list[float]]]) -> None:
    """A line per kind of work, and the ratios that the goals are about."""
    median = {work: statistics.median(taken["seconds"]) for work, taken in works.items()}
    print(f"\n{rows:,} rows, medians of {len(works[FIRST]['seconds'])} rounds")
    for work, seconds in median.items():
        print(f"  {work:<46}{seconds:8.2f} s")
    above_start = median[FIRST] - median[START]
    for work in (SERIAL, SAME_CASTS, NAIVE):
        print(f"  {'first run above dbt, × ' + work:<66}{above_start / median[work]:6.2f}")
    print(f"  {'new rows, above nothing new':<46}{median[SOME_NEW] - median[NOTHING_NEW]:8.2f} s")


def main() -> None:
    """Print a table per size, and write all figures where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[116_201, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if "PSQL" not in os.environ:
        sys.exit("there is no warehouse: `elt with-postgres -- COMMAND` brings one")
    results = {rows: measure(rows, options.rounds, options.seed) for rows in options.rows}
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    for rows, works in results.items():
        show(rows, works)


if __name__ == "__main__":
    main()
