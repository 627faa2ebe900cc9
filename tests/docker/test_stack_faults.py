"""Killing or removing containers during a DAG run loses no row and leaves no container.

These tests use the stack of test_stack.py.
"""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import (
    FULL,
    SEED,
    TASKS,
    WARN_ONLY,
    ExpectedRows,
    assert_consistent,
    new_file,
    wait_until,
)  # fmt: skip
from support import docker, task_states

ROWS = 300_000
COMMANDS = dict(zip(TASKS, ("load", "build", "test"), strict=True))
SERVICES = {
    "scheduler": "airflow-scheduler",
    "warehouse": "warehouse",
    "docker-proxy": "docker-proxy",
    "metadata": "metadata",
}
CONTAINER = "task container"
# Airflow does not retry the test task, so it fails without its container or these services.
FATAL_TO_TESTS = {CONTAINER, "warehouse", "docker-proxy"}
REMOVED = "removed the container of a try that was cut off"  # logged by the task's operator


def plans() -> list[tuple[str | None, ...]]:
    """Return the part to remove or kill in each task, for each DAG run.

    In a full run each part is used once in each task.
    """
    if not FULL:
        return [(CONTAINER, "scheduler", None)]
    parts = (CONTAINER, *SERVICES)
    return [tuple(parts[(turn + 2 * n) % 5] for n in range(3)) for turn in range(5)]


@pytest.fixture(scope="module")
def expected(docker_stack) -> ExpectedRows:
    return ExpectedRows.of(docker_stack)


def running(docker_stack, task: str) -> str | None:
    """Return the id of the task's container if it is running.

    One call returns all attributes, because the container may end between two calls.
    """
    for line in docker_stack.task_containers("{{.ID}} {{.State}} {{.Command}}"):
        container, state, command = line.split(maxsplit=2)
        if state == "running" and COMMANDS[task] in command.strip('"').split():
            return container
    return None


def remove_or_kill(docker_stack, part: str, container: str) -> None:
    """Remove a task's container, or kill and restart a service.

    The task's container is paused until the fault has happened, so that it cannot end earlier.
    """
    docker("pause", container)
    if part == CONTAINER:
        docker("rm", "--force", container)
        return
    service = docker_stack.containers()[SERVICES[part]]
    docker("kill", service)
    if part == "scheduler":  # the task's operator died with the scheduler
        assert container in docker_stack.task_containers()
    docker("unpause", container)
    docker("start", service)


def run_with_faults(
    docker_stack, file: str, plan: tuple[str | None, ...], rng: random.Random
) -> subprocess.CompletedProcess:
    """Trigger a run for the file, inject the planned faults, and return the finished trigger."""
    with ThreadPoolExecutor(1) as pool:
        trigger = pool.submit(docker_stack.make, "trigger", f"FILE={file}", *WARN_ONLY, timeout=600)
        for task, part in zip(TASKS, plan, strict=True):
            if part is not None:
                container = wait_until(lambda task=task: running(docker_stack, task), 180)
                time.sleep(rng.uniform(0, 0.5))
                remove_or_kill(docker_stack, part, container)
        return trigger.result()


def log(docker_stack, task: str) -> str:
    """Return the logs of all tries of the task in the newest run."""
    script = 'cat "$(ls -td /opt/airflow/logs/dag_id=transactions_elt/run_id=* | head -n 1)"/*={}/*'
    return docker_stack.compose("exec", "-T", "airflow-apiserver", "sh", "-c", script.format(task))


@pytest.mark.parametrize("plan", plans(), ids=str)
def test_a_run_completes_although_containers_are_killed(
    docker_stack, expected, dag_results, rng, plan
):
    file = new_file(docker_stack, SEED + len(expected.rows), ROWS)
    expected.add(file)
    began = time.monotonic()
    trigger = run_with_faults(docker_stack, file.name, plan, rng)
    seconds = time.monotonic() - began
    ended = dict(task_states(trigger))
    for task, part in zip(TASKS, plan, strict=True):
        fatal = task == TASKS[-1] and part in FATAL_TO_TESTS
        assert ended[task] in ({"success", "failed"} if fatal else {"success"}), trigger.stdout
        if part == "scheduler":
            assert REMOVED in log(docker_stack, task)
    compared = assert_consistent(docker_stack, expected, type(docker_stack).task_containers)
    for task, part in zip(TASKS, plan, strict=True):
        if part is not None:
            fault = f"{part} removed" if part == CONTAINER else f"{part} container killed"
            outcome = "run continued" if ended[task] == "success" else "test task failed"
            dag_results.add(f"Docker: {fault} during a task", *compared, outcome, seconds)
