"""A stack that is restored from a backup made during a DAG run continues the run.

These tests run only with FAULTS=full. test_restore.py covers the backup of an idle stack.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import (
    FULL,
    SEED,
    TASKS,
    WARN_ONLY,
    assert_consistent,
    component_process,
    new_file,
    wait_until,
)  # fmt: skip

UNFINISHED_RUNS = "select from dag_run where state in ('queued', 'running')"


@pytest.mark.skipif(not FULL, reason="only with FAULTS=full")
@pytest.mark.parametrize("task", TASKS)
def test_a_restored_stack_continues_the_run_of_its_backup(stack, expected, dag_results, rng, task):
    file = new_file(stack, SEED + len(expected.rows), 300_000)
    expected.add(file)
    with ThreadPoolExecutor(1) as pool:
        trigger = pool.submit(stack.make, "trigger", f"FILE={file.name}", *WARN_ONLY, timeout=600)
        wait_until(lambda: component_process(stack, task), 300)
        time.sleep(rng.uniform(0, 0.5))
        backup = stack.make("backup")
        assert backup.returncode == 0, backup.stdout
        assert "success" in trigger.result().stdout
    newest = max((stack.folder / "backups").iterdir(), key=lambda path: path.name)
    assert stack.make("demo-reset", "FORCE=1").returncode == 0
    began = time.monotonic()
    restore = stack.make("restore", f"FROM={newest}", "FORCE=1", timeout=900)
    assert restore.returncode == 0, restore.stdout
    wait_until(lambda: stack.query(UNFINISHED_RUNS, database="airflow") == [], 600)
    ended = time.monotonic() - began
    # The backup may lack rows of the file. Another run loads them.
    again = stack.make("trigger", f"FILE={file.name}", *WARN_ONLY, timeout=600)
    assert again.returncode == 0, again.stdout
    compared = assert_consistent(stack, expected)
    dag_results.add(
        "stack destroyed, restored from a backup made during a run",
        *compared, "continued", ended,
    )  # fmt: skip
