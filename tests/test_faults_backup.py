"""A backup made while the DAG runs, and a stack that is destroyed: what comes back goes on.

In full only: test_restore.py has the backup of a stack that rests.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import (
    FULL,
    SEED,
    TASKS,
    assert_all_is_well,
    metadata,
    new_file,
    program,
    wait_until,
)  # fmt: skip

ON_ITS_WAY = "select from dag_run where state in ('queued', 'running')"


@pytest.mark.skipif(not FULL, reason="the full run's")
@pytest.mark.parametrize("task", TASKS)
def test_what_a_backup_saw_of_a_run_goes_on(stack, books, figures, chance, task):
    file = new_file(stack, SEED + len(books.rows), 300_000)
    books.add(file)
    with ThreadPoolExecutor(1) as pool:
        watch = pool.submit(
            stack.make, "trigger", f"FILE={file.name}", "BACKDATED=warn", timeout=600
        )
        wait_until(lambda: program(stack, task), 300)
        time.sleep(chance.uniform(0, 0.5))
        backup = stack.make("backup")
        assert backup.returncode == 0, backup.stdout
        assert "success" in watch.result().stdout
    newest = max((stack.folder / "backups").iterdir(), key=lambda path: path.name)
    assert stack.make("demo-reset", "FORCE=1").returncode == 0
    began = time.monotonic()
    restore = stack.make("restore", f"FROM={newest}", "FORCE=1", timeout=900)
    assert restore.returncode == 0, restore.stdout
    wait_until(lambda: metadata(stack, ON_ITS_WAY) == [], 600)
    ended = time.monotonic() - began
    # What the backup did not see, the next run brings.
    again = stack.make("trigger", f"FILE={file.name}", "BACKDATED=warn", timeout=600)
    assert again.returncode == 0, again.stdout
    compared = assert_all_is_well(stack, books)
    figures.add(
        "stack destroyed, restored from a backup made beside a run",
        *compared, "went on", ended,
    )  # fmt: skip
