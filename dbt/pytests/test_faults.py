"""Check that neither a clock that was set back nor concurrent dbt runs corrupt the models."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
from conftest import PROJECT, Warehouse
from test_project import flows, row, staged

WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


@pytest.mark.long
def test_a_clock_that_was_set_back_hides_no_row_from_the_marts(warehouse: Warehouse) -> None:
    warehouse.load([row("28", 1), row("29", 2)], load_id=1)
    assert warehouse.dbt("run").success
    # Simulate a clock that was a day ahead during the first run.
    for table, columns in (
        ("staging.transactions", ("_staged_at",)),
        ("staging.account_days", ("_staged_at",)),
        ("marts.daily_account_flows", ("_staged_at",)),
    ):
        later = ", ".join(f"{column} = {column} + interval '1 day'" for column in columns)
        warehouse.query("transformer", f"update {table} set {later}")
    for load in (2, 3):
        warehouse.load([row("29", load + 1)], load_id=load)
        assert warehouse.dbt("run").success
    incremental = staged(warehouse), flows(warehouse)
    assert [count for *_, count in incremental[1]] == [1, 3]
    assert warehouse.dbt("run", "--full-refresh").success
    assert (staged(warehouse), flows(warehouse)) == incremental


def test_a_run_waits_for_a_model_that_another_run_builds(warehouse: Warehouse) -> None:
    """Hold the lock of a model in another session, and add rows before its release."""
    warehouse.load([row("28", 1)], load_id=1)
    assert warehouse.dbt("run").success
    other_run = psycopg2.connect(
        dbname=warehouse.name, user="transformer", password=os.environ["TRANSFORMER_PASSWORD"]
    )
    with other_run.cursor() as cursor:
        relation = f'"{warehouse.name}"."staging"."transactions"'
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [relation])
    dbt = subprocess.Popen(
        [Path(sys.executable).with_name("dbt"), "run"],
        cwd=PROJECT,
        env=os.environ | warehouse.environment,
    )
    while warehouse.query("transformer", WAITING) != [(1,)]:
        assert dbt.poll() is None, "dbt ended instead of waiting for the lock"
        time.sleep(0.1)
    warehouse.load([row("28", 2)], load_id=2)
    with other_run.cursor() as cursor:
        # The other session stages its rows after the database transaction of this run has begun.
        cursor.execute("update staging.transactions set _staged_at = clock_timestamp()")
        for table in ("staging.account_days", "marts.daily_account_flows"):
            cursor.execute(f"update {table} set _staged_at = clock_timestamp()")
    other_run.commit()
    other_run.close()
    assert dbt.wait(timeout=60) == 0
    assert [count for *_, count in flows(warehouse)] == [2]
