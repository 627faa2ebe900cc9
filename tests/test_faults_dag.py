"""The DAG loses and duplicates nothing while parts of the real stack are killed.

These tests reuse the stack of test_end_to_end.py or start one. Each DAG run loads a new file. In
each of its tasks the test kills one part at a random moment.
"""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psutil
import psycopg2
import pytest

from harness import (
    FULL,
    LOADER,
    SEED,
    TASKS,
    WARN_ONLY,
    assert_consistent,
    component_process,
    new_file,
    start_by_hand,
    wait_until,
)  # fmt: skip
from support import Stack, task_states

pytestmark = pytest.mark.long

ROWS = 300_000
# Patterns of the command lines of supervisord's processes.
PARTS = {
    "scheduler": "airflow scheduler",
    "api-server": "api.server",
    "DAG processor": "dag.processor",
    "Postgres": "postgres -D",
}
# Processes of one task, from the innermost to the outermost.
TASK_PARTS = ("loader or dbt", "task process", "executor worker")
# Airflow does not retry the test task, so killing its own processes or Postgres makes it fail.
FATAL_TO_TESTS = {"Postgres", *TASK_PARTS}
FAILED = "failed (tests are not retried)"
TASK_INSTANCES = """
    select task_id, state, try_number, end_date from task_instance
    where run_id = (select run_id from dag_run order by id desc limit 1)
"""
NEWEST = "select coalesce(max(id), 0) from dag_run"
RUNS = "select start_date, end_date from dag_run order by start_date desc limit 2"


def kills(*parts: str) -> dict[str, str]:
    return dict(zip(TASKS, parts, strict=True))


def plans() -> list[dict[str, str]]:
    """Return the part to kill in each task, for each DAG run.

    In a full run each part is killed twice in each task.
    """
    if not FULL:
        return [kills("scheduler", "loader or dbt", "api-server")]
    parts = (*PARTS, *TASK_PARTS)
    turns = [tuple(parts[(turn + 2 * n) % len(parts)] for n in range(3)) for turn in range(7)]
    return [kills(*turn) for turn in turns] * 2


def victim(stack: Stack, part: str, process: psutil.Process) -> psutil.Process:
    """Return the process of a part; `process` is the running process of the loader or dbt."""
    if part in TASK_PARTS:
        return [process, *process.parents()][TASK_PARTS.index(part)]
    for child in stack.supervisord.children():
        if re.search(PARTS[part], " ".join(child.cmdline())):
            return child
    raise AssertionError(f"{part} does not run")


def has_ended(stack: Stack, task: str, before: int) -> bool:
    """Return whether the task has ended in a DAG run whose id is above `before`."""
    with contextlib.suppress(psycopg2.OperationalError):  # a killed server has not restarted yet
        states = {
            name: state for name, state, *_ in stack.query(TASK_INSTANCES, database="airflow")
        }
        newer = stack.query(NEWEST, database="airflow")[0][0] > before
        return newer and states.get(task) in ("success", "failed", "upstream_failed")
    return False


def run_with_faults(
    stack: Stack, file: Path, plan: dict[str, str], rng: random.Random
) -> tuple[subprocess.CompletedProcess, dict[str, datetime]]:
    """Trigger a run for the file and kill parts as planned.

    Returns:
        The finished `make trigger`, and the time of the kill by task.
    """
    killed = {}
    before = stack.query(NEWEST, database="airflow")[0][0]
    with ThreadPoolExecutor(1) as pool:
        trigger = pool.submit(stack.make, "trigger", f"FILE={file.name}", *WARN_ONLY, timeout=900)
        for task, part in plan.items():
            wait = rng.uniform(0, 0.5)
            process = wait_until(
                lambda task=task: component_process(stack, task) or has_ended(stack, task, before),
                300,
            )
            if process is True:  # on a busy machine the task may end before the first check
                continue
            time.sleep(wait)
            with contextlib.suppress(psutil.NoSuchProcess):  # the task may have ended meanwhile
                victim(stack, part, process).kill()
                killed[task] = datetime.now().astimezone()
        return trigger.result(), killed


def first_log(stack: Stack, task: str) -> str:
    """Return the log of the task's first try in the newest run."""
    logs = stack.folder.glob(f"state/logs/tasks/*/*/task_id={task}/attempt=1.log")
    return max(logs, key=lambda path: path.stat().st_mtime).read_text()


@pytest.mark.parametrize("plan", plans(), ids=lambda plan: ", ".join(plan.values()))
def test_a_run_completes_although_parts_are_killed(stack, expected, dag_results, rng, plan):
    seed = SEED + len(expected.rows)
    file = new_file(stack, seed, ROWS)
    expected.add(file)
    trigger, killed = run_with_faults(stack, file, plan, rng)
    assert killed
    instances = {task: rest for task, *rest in stack.query(TASK_INSTANCES, database="airflow")}
    fatal = plan["test_transformed_data"] in FATAL_TO_TESTS
    for task in TASKS:
        state, tries, _ = instances[task]
        assert state == "success" or (state == "failed" and fatal and task == TASKS[-1]), (
            task, plan, seed, trigger.stdout,
        )  # fmt: skip
        # A task survives a short outage of the api-server or the DAG processor without a retry.
        if plan[task] in ("api-server", "DAG processor"):
            assert tries == 1, (task, plan, seed)
        if tries > 1 and plan[task] == "loader or dbt":
            assert "the next try starts after a pause" in first_log(stack, task)
    compared = assert_consistent(stack, expected)
    assert not any(component_process(stack, task) for task in TASKS)
    for task, when in killed.items():
        state, tries, end = instances[task]
        outcome = ("continued" if tries == 1 else "retried") if state == "success" else FAILED
        seconds = (end - when).total_seconds()
        dag_results.add(f"{plan[task]} killed during a task", *compared, outcome, seconds)


def test_concurrent_runs_and_manual_loads_duplicate_nothing(stack, expected, dag_results):
    files = [new_file(stack, SEED + n, ROWS // 2) for n in (1, 2)]
    lines = [file.read_text().splitlines(keepends=True) for file in files]
    overlap = stack.data / "transactions_overlap.csv"
    overlap.write_text("".join([*lines[0][: ROWS // 4], *lines[1][1 : ROWS // 4]]))
    for file in [*files, overlap]:
        expected.add(file)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(stack.make, "trigger", f"FILE={file.name}", *WARN_ONLY, timeout=600)
            for file in files
        ]
        for load in [
            start_by_hand(stack, "loader", LOADER, "load", *each) for each in ([overlap], files)
        ]:
            out, _ = load.communicate(timeout=300)
            assert load.returncode == 0, out
    for run in runs:
        assert {state for _, state in task_states(run.result())} == {"success"}, run.result()
    second, first = stack.query(RUNS, database="airflow")
    assert second[0] >= first[1]
    fault = "two concurrent DAG runs, beside two manual loads of the same files"
    compared = assert_consistent(stack, expected)
    dag_results.add(fault, *compared, "ran one after the other", time.monotonic() - began)
