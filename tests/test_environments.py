"""dev, staging and prod start, work and stop without Docker. All other tests run in test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from environments import check_programs, check_run, check_settings
from support import PROJECT, Stack, listen, stack_environment, temporary_folder

DEMO_LOGINS = {"AIRFLOW_ADMIN_PASSWORD": "airflow", "SUPERSET_ADMIN_PASSWORD": "admin"}


@contextmanager
def stack_in(environment: str, **settings: str) -> Iterator[Stack]:
    """Yield a stack of an environment that is not started; remove it afterwards."""
    with temporary_folder(f"elt-{environment}-") as folder:
        (folder / "data").mkdir()
        isolated = Stack(folder, stack_environment(folder) | {"ELT_ENV": environment} | settings)
        try:
            yield isolated
        finally:
            isolated.make("demo-reset", "FORCE=1")


def start(stack: Stack) -> None:
    up = stack.make("demo-up", timeout=900)
    assert up.returncode == 0, up.stdout


def dbt_log(stack: Stack) -> str:
    return (stack.folder / "state" / "logs" / "dbt" / "dbt.log").read_text()


@pytest.mark.long
def test_dev_and_staging_run_side_by_side():
    with stack_in("dev", **DEMO_LOGINS) as dev, stack_in("staging", LOG_LEVEL="WARN") as staging:
        for stack in (dev, staging):
            check_settings(stack)
            start(stack)
        assert "airflow / airflow" in dev.make("demo-status").stdout
        assert "(AIRFLOW_ADMIN_PASSWORD in .env)" in staging.make("demo-status").stdout
        for stack in (dev, staging):
            check_programs(stack)
        check_run(staging)
        assert dev.query("select count(*) from raw.transactions") == [(0,)]
        assert "Concurrency: 4 threads" in dbt_log(staging)
        # LOG_LEVEL reaches dbt's output, which the task's log contains.
        (log,) = (staging.folder / "state/logs/tasks").glob("**/task_id=transform_data/*.log")
        assert "Concurrency" not in log.read_text()
        assert staging.make("demo-down").stdout.endswith("stopped\n")
        assert staging.make("demo-status").returncode != 0
        check_run(dev)
        assert "Concurrency: 2 threads" in dbt_log(dev)
        (log,) = (dev.folder / "state/logs/tasks").glob("**/task_id=transform_data/*.log")
        assert "Concurrency" in log.read_text()


@pytest.mark.long
def test_prod_starts_works_and_stops():
    messages: list[str] = []
    listener = listen(messages)
    address = f"json://127.0.0.1:{listener.server_port}"
    with stack_in("prod", ALERT_URL=address) as prod:
        check_settings(prod)
        start(prod)
        check_programs(prod)
        check_run(prod)
        assert messages == []
        assert prod.make("demo-down").stdout.endswith("stopped\n")
    listener.shutdown()


def test_prod_names_all_that_is_missing_and_starts_nothing(tmp_path: Path):
    missing = DEMO_LOGINS | {"ALERT_URL": "none", "DATA_DIR": str(PROJECT / "data_ingestion/data")}
    stack = Stack(tmp_path, stack_environment(tmp_path) | {"ELT_ENV": "prod"} | missing)
    up = stack.make("demo-up")
    assert up.returncode != 0
    assert "4 changes are necessary for ELT_ENV=prod" in up.stdout
    assert re.findall(r"^  - (\w+) ", up.stdout, re.M) == [*DEMO_LOGINS, "DATA_DIR", "ALERT_URL"]
    assert list(tmp_path.iterdir()) == []
