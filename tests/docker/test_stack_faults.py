"""Containers that are killed or removed while the DAG runs: nothing lost, nothing doubled, no
container left. On the stack of test_stack.py."""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import FULL, SEED, TASKS, Books, assert_all_is_well, new_file, wait_until
from support import docker, task_states

ROWS = 300_000
COMMANDS = dict(zip(TASKS, ("load", "run", "test"), strict=True))
SERVICES = {
    "scheduler": "airflow-scheduler",
    "warehouse": "warehouse",
    "docker-proxy": "docker-proxy",
    "metadata": "metadata",
}
CONTAINER = "its container removed"
# Tests are not retried: they fail when what runs them is gone, or what they ask.
FATAL_TO_TESTS = {CONTAINER, "warehouse", "docker-proxy"}
REMOVED = "removed the container of a try that was cut off"


def plans() -> list[tuple[str | None, ...]]:
    """What is taken away in each of the three tasks; in full, each in each."""
    if not FULL:
        return [(CONTAINER, "scheduler", None)]
    parts = (CONTAINER, *SERVICES)
    return [tuple(parts[(turn + 2 * n) % 5] for n in range(3)) for turn in range(5)]


@pytest.fixture(scope="module")
def books(docker_stack) -> Books:
    return Books.of(docker_stack)


def running(docker_stack, task: str) -> str | None:
    """Id of the container of that task, if one runs: one question, as it may go at any time."""
    for line in docker_stack.task_containers("{{.ID}} {{.State}} {{.Command}}"):
        container, state, command = line.split(maxsplit=2)
        if state == "running" and COMMANDS[task] in command.strip('"').split():
            return container
    return None


def take_away(docker_stack, part: str, container: str) -> None:
    """Remove a task's container, or kill a service and let it start anew.

    The container stands still meanwhile: it may not end before it has been hurt.
    """
    docker("pause", container)
    if part == CONTAINER:
        docker("rm", "--force", container)
        return
    service = docker_stack.containers()[SERVICES[part]]
    docker("kill", service)
    if part == "scheduler":  # nobody is there who would remove it
        assert container in docker_stack.task_containers()
    docker("unpause", container)
    docker("start", service)


def run_with_faults(
    docker_stack, file: str, plan: tuple[str | None, ...], chance: random.Random
) -> subprocess.CompletedProcess:
    with ThreadPoolExecutor(1) as pool:
        watch = pool.submit(
            docker_stack.make, "trigger", f"FILE={file}", "BACKDATED=warn", timeout=600
        )
        for task, part in zip(TASKS, plan, strict=True):
            if part is not None:
                container = wait_until(lambda task=task: running(docker_stack, task), 180)
                time.sleep(chance.uniform(0, 0.5))
                take_away(docker_stack, part, container)
        return watch.result()


def log(docker_stack, task: str) -> str:
    """What all tries of that task in the newest run have logged."""
    script = 'cat "$(ls -td /opt/airflow/logs/dag_id=transactions_elt/run_id=* | head -n 1)"/*={}/*'
    return docker_stack.compose("exec", "-T", "airflow-apiserver", "sh", "-c", script.format(task))


@pytest.mark.parametrize("plan", plans(), ids=str)
def test_whatever_is_taken_away_in_a_task_the_run_ends_as_it_should(
    docker_stack, books, figures, chance, plan
):
    file = new_file(docker_stack, SEED + len(books.rows), ROWS)
    books.add(file)
    began = time.monotonic()
    watch = run_with_faults(docker_stack, file.name, plan, chance)
    seconds = time.monotonic() - began
    ended = dict(task_states(watch))
    for task, part in zip(TASKS, plan, strict=True):
        fatal = task == TASKS[-1] and part in FATAL_TO_TESTS
        assert ended[task] in ({"success", "failed"} if fatal else {"success"}), watch.stdout
        if part == "scheduler":
            assert REMOVED in log(docker_stack, task)
    compared = assert_all_is_well(docker_stack, books, type(docker_stack).task_containers)
    for task, part in zip(TASKS, plan, strict=True):
        if part is not None:
            what = part if part == CONTAINER else f"{part}'s container killed"
            happened = "the run went on" if ended[task] == "success" else "the test task failed"
            figures.add(f"Docker: {what}, in a task", *compared, happened, seconds)
