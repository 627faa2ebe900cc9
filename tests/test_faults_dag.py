"""The DAG on the real stack while its parts are killed: nothing lost, nothing doubled, none left.

Runs after test_end_to_end.py on the same stack; alone, it starts one. Each run loads a file of its
own, and one part is killed in each of its tasks, at a random moment.
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
    assert_all_is_well,
    by_hand,
    metadata,
    new_file,
    program,
    wait_until,
)  # fmt: skip
from support import Stack, task_states

ROWS = 300_000
# Processes that supervisord has started, by what stands in their command lines.
PARTS = {
    "scheduler": "airflow scheduler",
    "api-server": "api.server",
    "DAG processor": "dag.processor",
    "Postgres": "postgres -D",
}
# Those of one task, from the inside out.
TASK_PARTS = ("loader or dbt", "task process", "executor's worker")
# Tests are not retried: they fail when what runs them is killed, or what they ask.
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
    """Which part is killed in which task: one run by default, each in each when in full."""
    if not FULL:
        return [kills("scheduler", "loader or dbt", "api-server")]
    parts = (*PARTS, *TASK_PARTS)
    turns = [tuple(parts[(turn + 2 * n) % len(parts)] for n in range(3)) for turn in range(7)]
    return [kills(*turn) for turn in turns] * 2


def victim(stack: Stack, part: str, process: psutil.Process) -> psutil.Process:
    """The part that is to be killed while that process of a task runs."""
    if part in TASK_PARTS:
        return [process, *process.parents()][TASK_PARTS.index(part)]
    for child in stack.supervisord.children():
        if re.search(PARTS[part], " ".join(child.cmdline())):
            return child
    raise AssertionError(f"{part} does not run")


def has_ended(stack: Stack, task: str, before: int) -> bool:
    """Whether that task of the newest run has, which is later than that one."""
    with contextlib.suppress(psycopg2.OperationalError):  # the server that has been killed
        states = {name: state for name, state, *_ in metadata(stack, TASK_INSTANCES)}
        newer = metadata(stack, NEWEST)[0][0] > before
        return newer and states.get(task) in ("success", "failed", "upstream_failed")
    return False


def run_with_faults(
    stack: Stack, file: Path, plan: dict[str, str], chance: random.Random
) -> tuple[subprocess.CompletedProcess, dict[str, datetime]]:
    """Trigger a run of that file and kill as planned; returns its watch, and when it was killed."""
    killed = {}
    before = metadata(stack, NEWEST)[0][0]
    with ThreadPoolExecutor(1) as pool:
        watch = pool.submit(
            stack.make, "trigger", f"FILE={file.name}", "BACKDATED=warn", timeout=900
        )
        for task, part in plan.items():
            wait = chance.uniform(0, 0.5)
            process = wait_until(
                lambda task=task: program(stack, task) or has_ended(stack, task, before), 300
            )
            if process is True:  # too quick to be seen, on a machine that is too busy to look
                continue
            time.sleep(wait)
            with contextlib.suppress(psutil.NoSuchProcess):  # the task may have ended meanwhile
                victim(stack, part, process).kill()
                killed[task] = datetime.now().astimezone()
        return watch.result(), killed


def first_log(stack: Stack, task: str) -> str:
    """What the first try of that task in the newest run has logged."""
    logs = stack.folder.glob(f"state/logs/tasks/*/*/task_id={task}/attempt=1.log")
    return max(logs, key=lambda path: path.stat().st_mtime).read_text()


@pytest.mark.parametrize("plan", plans(), ids=lambda plan: ", ".join(plan.values()))
def test_whatever_is_killed_in_a_task_the_run_ends_as_it_should(
    stack, books, figures, chance, plan
):
    seed = SEED + len(books.rows)
    file = new_file(stack, seed, ROWS)
    books.add(file)
    watch, killed = run_with_faults(stack, file, plan, chance)
    assert killed
    instances = {task: rest for task, *rest in metadata(stack, TASK_INSTANCES)}
    fatal = plan["test_transformed_data"] in FATAL_TO_TESTS
    for task in TASKS:
        state, tries, _ = instances[task]
        assert state == "success" or (state == "failed" and fatal and task == TASKS[-1]), (
            task, plan, seed, watch.stdout,
        )  # fmt: skip
        # An api-server or a DAG processor that is away for a while costs no task a try.
        if plan[task] in ("api-server", "DAG processor"):
            assert tries == 1, (task, plan, seed)
        if tries > 1 and plan[task] == "loader or dbt":
            assert "the next one begins after a pause" in first_log(stack, task)
    compared = assert_all_is_well(stack, books)
    assert not any(program(stack, task) for task in TASKS)
    for task, when in killed.items():
        state, tries, end = instances[task]
        happened = ("went on" if tries == 1 else "tried again") if state == "success" else FAILED
        seconds = (end - when).total_seconds()
        figures.add(f"kill -9: {plan[task]}, in a task", *compared, happened, seconds)


def test_two_runs_at_once_take_turns_and_loads_beside_them_double_nothing(stack, books, figures):
    files = [new_file(stack, SEED + n, ROWS // 2) for n in (1, 2)]
    lines = [file.read_text().splitlines(keepends=True) for file in files]
    overlap = stack.data / "transactions_overlap.csv"
    overlap.write_text("".join([*lines[0][: ROWS // 4], *lines[1][1 : ROWS // 4]]))
    for file in [*files, overlap]:
        books.add(file)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(stack.make, "trigger", f"FILE={file.name}", "BACKDATED=warn", timeout=600)
            for file in files
        ]
        for load in [
            by_hand(stack, "loader", LOADER, "load", *each) for each in ([overlap], files)
        ]:
            out, _ = load.communicate(timeout=300)
            assert load.returncode == 0, out
    for run in runs:
        assert {state for _, state in task_states(run.result())} == {"success"}, run.result()
    second, first = metadata(stack, RUNS)
    assert second[0] >= first[1]
    fault = "two DAG runs at once, and two loads of the same files by hand"
    compared = assert_all_is_well(stack, books)
    figures.add(fault, *compared, "took turns", time.monotonic() - began)
