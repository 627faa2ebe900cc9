"""dbt killed at random moments and run twice at once: it builds what a rebuild builds.

On the stack of the other tests, beside its Airflow.
"""

from __future__ import annotations

import subprocess
import time

import pytest

from harness import DBT, FULL, LOADER, Books, assert_all_is_well, by_hand, new_file, wait_until
from support import Stack

KILLED, TWICE = "kill -9: dbt run", "two dbt run at once, beside a load"
DBT_IS_CONNECTED = "select pid from pg_stat_activity where usename = 'transformer'"
# All but when it was built; millions of rows are more text than a string may hold.
BUILT = """
    select count(*), sum(hashtextextended(row, 0)::numeric) from (
        select (to_jsonb(each) - '_staged_at' - '_first_staged_at')::text as row from {} as each
    ) as rows
"""


def built(stack: Stack) -> list[list[tuple]]:
    tables = "staging.transactions", "marts.daily_account_flows"
    return [stack.query(BUILT.format(table)) for table in tables]


def load_and_run_dbt(stack: Stack, books: Books, seed: int, runs: int) -> list[subprocess.Popen]:
    """A new file, and so many `dbt run`: after the load when it is one, else beside it."""
    file = new_file(stack, seed, 2_000)
    books.add(file)
    load = by_hand(stack, "loader", LOADER, "load", file)
    if runs == 1:
        assert load.wait(timeout=120) == 0
    return [load, *(by_hand(stack, "transformer", DBT, "run") for _ in range(runs))]


@pytest.mark.parametrize("fault", [KILLED, TWICE])
def test_dbt_builds_what_a_rebuild_builds(stack, books, figures, chance, fault):
    for _ in range(20 if FULL else 1):
        began = time.monotonic()
        seed = chance.randrange(10**6)
        running = load_and_run_dbt(stack, books, seed, runs=1 if fault == KILLED else 2)
        if fault == KILLED:
            wait_until(lambda: stack.query(DBT_IS_CONNECTED))
            time.sleep(chance.uniform(0, 1.5))
            running[-1].kill()
        for process in running:
            process.communicate(timeout=300)
        again = by_hand(stack, "transformer", DBT, "run")
        assert again.wait(timeout=300) == 0, again.stdout.read()
        compared = assert_all_is_well(stack, books)
        figures.add(fault, *compared, "mended by the next run", time.monotonic() - began)
    incremental = built(stack)
    rebuild = by_hand(stack, "transformer", DBT, "run", "--full-refresh")
    assert rebuild.wait(timeout=600) == 0, rebuild.stdout.read()
    assert built(stack) == incremental
