"""Killed and concurrent dbt runs give the same tables as a full rebuild.

These tests use the same stack as the other test files; its Airflow is running.
"""

from __future__ import annotations

import subprocess
import time

import pytest

from harness import (
    DBT,
    FULL,
    LOADER,
    ExpectedRows,
    assert_consistent,
    new_file,
    start_by_hand,
    wait_until,
)
from support import Stack

pytestmark = pytest.mark.long

KILLED, CONCURRENT = "dbt run killed", "two concurrent dbt runs, beside a load"
DBT_SESSIONS = "select pid from pg_stat_activity where usename = 'transformer'"
# The checksum covers all columns except the build times. It sums the hashes of the rows, because
# one text of all rows could exceed Postgres' limit of 1 GB.
CHECKSUM = """
    select count(*), sum(hashtextextended(row, 0)::numeric) from (
        select (to_jsonb(each) - '_staged_at' - '_first_staged_at')::text as row from {} as each
    ) as rows
"""


def checksums(stack: Stack) -> list[list[tuple]]:
    tables = "staging.transactions", "marts.daily_account_flows"
    return [stack.query(CHECKSUM.format(table)) for table in tables]


def load_and_run_dbt(
    stack: Stack, expected: ExpectedRows, seed: int, runs: int
) -> list[subprocess.Popen]:
    """Start a load of a new file and `runs` dbt runs. A single dbt run starts after the load."""
    file = new_file(stack, seed, 2_000)
    expected.add(file)
    load = start_by_hand(stack, "loader", LOADER, "load", file)
    if runs == 1:
        assert load.wait(timeout=120) == 0
    return [load, *(start_by_hand(stack, "transformer", DBT, "run") for _ in range(runs))]


@pytest.mark.parametrize("fault", [KILLED, CONCURRENT])
def test_dbt_after_a_fault_matches_a_full_rebuild(stack, expected, dag_results, rng, fault):
    for _ in range(20 if FULL else 1):
        began = time.monotonic()
        seed = rng.randrange(10**6)
        running = load_and_run_dbt(stack, expected, seed, runs=1 if fault == KILLED else 2)
        if fault == KILLED:
            wait_until(lambda: stack.query(DBT_SESSIONS))
            time.sleep(rng.uniform(0, 1.5))
            running[-1].kill()
        for process in running:
            process.communicate(timeout=300)
        again = start_by_hand(stack, "transformer", DBT, "run")
        assert again.wait(timeout=300) == 0, again.stdout.read()
        compared = assert_consistent(stack, expected)
        dag_results.add(fault, *compared, "repaired by the next run", time.monotonic() - began)
    incremental = checksums(stack)
    rebuild = start_by_hand(stack, "transformer", DBT, "run", "--full-refresh")
    assert rebuild.wait(timeout=600) == 0, rebuild.stdout.read()
    assert checksums(stack) == incremental
