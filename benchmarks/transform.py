"""Measure dbt, the queries of the dashboard and the size of the warehouse.

    python benchmarks/transform.py --rows 116201 1000000 --rounds 3 --json FILE

The script needs a throwaway warehouse (`elt with-postgres`). It runs dbt's commands as the DAG
does. Each time includes the start of dbt's process, which `dbt run --empty` measures alone: it runs
all models without rows. A ratio compares two steps of the same round, or the size of the warehouse
with the size of the CSV file. The JSON has three parts, each by number of rows and then by name:

    transform          {"seconds": [one per round]} of each step
    transform_ratios   median of all rounds
    dashboard          {"seconds": [one per round]} of each query
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dashboard
import report
from dbt_commands import Dbt
from next_month import next_month
from steps import LOADER, PROJECT, Sample, sample
from warehouse import query, role

NEW_ROWS = 10_000
# The only test that must fail after ordinary rows: each sample has backdated transactions.
BACKDATED = "value_date_greater_than_transaction_date"
# The test that must also fail after rows of another sample. Samples of two seeds have the same
# accounts with other transactions, so their balances contradict each other.
CONTRADICTED = "balances_reconcile"

START = "dbt run --empty"
SAME_CASTS = "create table as, same casts"
SERIAL = "create table as, same casts, one process"
NAIVE = "create table as, naive casts, one process"
FIRST = "first dbt run"
NOTHING_NEW = "dbt run, nothing new"
SOME_NEW = f"dbt run, {NEW_ROWS:,} new rows of the next month"
MORE = f"{NEW_ROWS:,} new rows, more than nothing new"
TEST = "dbt test"
CONTRADICTING = f"dbt run, {NEW_ROWS:,} rows that contradict all balances"
CONTRADICTING_TEST = "dbt test after these rows"
RATIOS = ((FIRST, NAIVE), (FIRST, SERIAL), (FIRST, SAME_CASTS), (TEST, NAIVE))
SIZE = "warehouse after the first dbt run / CSV file, bytes"
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
# Tables with their indexes, in all schemas except those of Postgres itself.
WAREHOUSE_BYTES = """
select sum(pg_total_relation_size(oid))::bigint
from pg_class
where relkind = 'r' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')
"""


@dataclass(frozen=True)
class Round:
    """The measurements of one round.

    Attributes:
        steps: Seconds by name of the step.
        charts: Seconds by name of the chart.
        size: Bytes of the warehouse after the first run.
    """

    steps: dict[str, float]
    charts: dict[str, float]
    size: int


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


def load(file: Path) -> None:
    """Load a file."""
    subprocess.run([LOADER, "load", file], check=True, env=role("loader"))


def reset_transform() -> None:
    """Drop everything that dbt has built, and all loads except the first."""
    statements(
        "drop schema if exists staging, marts, audit cascade",
        "delete from raw.transactions where _load_id > 1",
        "delete from raw._loads where load_id > 1",
        "delete from raw._duplicates where load_id > 1",
    )
    psql("--file", str(PROJECT / "init_db.sql"))
    statements("vacuum analyze raw.transactions", "checkpoint")


def create_table_as(select: str, *settings: str) -> float:
    """Run a plain `create table as`, without index and contract, and return its seconds."""
    seconds = statements(*settings, f"create table public.yardstick as {select}")
    statements("drop table public.yardstick")
    return seconds


def measure(rows: int, rounds: int, seed: int, charts: dict[str, str]) -> dict[str, dict]:
    """Measure each step once per round, so that other load on the machine affects all alike.

    Args:
        rows: Rows of the sample.
        rounds: Number of rounds.
        seed: Seed of the sample. The new rows of a round have a higher seed.
        charts: SQL by name of the chart.

    Returns:
        The three parts of the JSON for this size.
    """
    whole = sample(rows, seed)
    with tempfile.TemporaryDirectory() as name:
        statements("drop schema raw cascade")
        psql("--file", str(PROJECT / "init_db.sql"))
        load(whole.path)
        dbt = Dbt(Path(name))
        casts = dbt.casts()
        measured = []
        for number in range(1, rounds + 1):
            print(f"{rows:,} rows: round {number} of {rounds}", file=sys.stderr)
            reset_transform()
            measured.append(one_round(dbt, casts, whole, seed + number, charts))
    steps = by_name([each.steps for each in measured])
    # In later rounds, the indexes of raw have gaps of deleted rows.
    size = measured[0].size / whole.path.stat().st_size
    return {
        "transform": steps,
        "transform_ratios": ratios(steps) | {SIZE: round(size, 2)},
        "dashboard": by_name([each.charts for each in measured]),
    }


def by_name(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of all rounds as {"seconds": [...]}, by name."""
    return {
        name: {"seconds": [round(seconds[name], 4) for seconds in rounds]} for name in rounds[0]
    }


def ratios(steps: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    """Return the median of the ratios of two steps in the same round, by the names of both."""
    medians = {}
    for step, base in RATIOS:
        pairs = zip(steps[step]["seconds"], steps[base]["seconds"], strict=True)
        medians[f"{step} / {base}"] = round(statistics.median(a / b for a, b in pairs), 2)
    return medians


def one_round(dbt: Dbt, casts: str, whole: Sample, seed: int, charts: dict[str, str]) -> Round:
    """Run each step once, in a warehouse without dbt's tables."""
    seconds = {
        NAIVE: create_table_as(NAIVE_SELECT, ONE_PROCESS),
        SERIAL: create_table_as(casts, ONE_PROCESS),
        SAME_CASTS: create_table_as(casts),
        START: dbt.run("run", "--empty"),
    }
    reset_transform()
    seconds[FIRST] = dbt.run("run")
    ((size,),) = query(os.environ["PGDATABASE"], WAREHOUSE_BYTES)
    seconds[NOTHING_NEW] = dbt.run("run")
    load(next_month(whole, NEW_ROWS, seed))
    seconds[SOME_NEW] = dbt.run("run")
    seconds[MORE] = seconds[SOME_NEW] - seconds[NOTHING_NEW]
    seconds[TEST] = dbt.test(BACKDATED)
    # Measure after `dbt test`, because the dashboard also shows the results of the tests.
    charts_seconds = dashboard.measure(charts)
    load(sample(NEW_ROWS, seed).path)
    seconds[CONTRADICTING] = dbt.run("run")
    seconds[CONTRADICTING_TEST] = dbt.test(BACKDATED, CONTRADICTED)
    return Round(seconds, charts_seconds, size)


def main() -> None:
    """Print the tables of the report and write the results as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[116_201, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if "PSQL" not in os.environ:
        sys.exit("no warehouse is running: `elt with-postgres -- COMMAND` starts one")
    charts = dashboard.queries()
    results: dict[str, dict[str, dict]] = {}
    for rows in options.rows:
        measured = measure(rows, options.rounds, options.seed, charts)
        for part, figures in measured.items():
            results.setdefault(part, {})[str(rows)] = figures
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    print("\n\n".join(report.transform_tables(results)))


if __name__ == "__main__":
    main()
