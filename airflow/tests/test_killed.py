"""Nothing that Airflow has started outlives it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import AIRFLOW
from test_component import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
# As the scheduler, its worker and a task are: each forks the next, and waits.
FORKS = """
import airflow_local_settings, os, time
print(os.getpid(), flush=True)
for _ in range(2):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    else:
        break
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether it runs; one that has died and waits to be asked for its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_they_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while left := list(filter(alive, pids)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_what_a_killed_process_has_forked_dies_with_it():
    environment = os.environ | {"PYTHONPATH": str(AIRFLOW / "config")}
    first = subprocess.Popen(
        [sys.executable, "-c", FORKS], env=environment, stdout=subprocess.PIPE, text=True
    )
    pids = [int(first.stdout.readline()) for _ in range(3)]
    assert pids[0] == first.pid
    assert all(map(alive, pids))
    first.kill()
    first.wait()
    assert_they_end(pids)


def test_the_command_of_a_task_that_is_killed_dies_with_it(component):
    told = component / "pid"
    program = component / ".venv" / "bin" / "program"
    program.write_text(f"#!/bin/sh\necho $$ > {told}.new; mv {told}.new {told}; exec sleep 600\n")
    task = os.fork()
    if task == 0:
        run(["program"])
        os._exit(0)
    while not told.exists():
        time.sleep(0.05)
    pid = int(told.read_text())
    assert alive(pid)
    os.kill(task, signal.SIGKILL)
    os.waitpid(task, 0)
    assert_they_end([pid])
