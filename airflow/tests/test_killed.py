"""When a process of Airflow is killed, the processes that it started die too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import AIRFLOW
from test_component import run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="parent death signals exist on Linux only"
)
# A process forks a child, and the child forks a grandchild, as the scheduler forks a worker and the
# worker forks a task. All three processes wait.
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
    """Return whether a process runs. A zombie does not count as running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_all_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while running := list(filter(alive, pids)):
        assert time.monotonic() < deadline, running
        time.sleep(0.05)


def test_forked_processes_die_with_a_killed_parent():
    environment = os.environ | {"PYTHONPATH": str(AIRFLOW / "config")}
    first = subprocess.Popen(
        [sys.executable, "-c", FORKS], env=environment, stdout=subprocess.PIPE, text=True
    )
    pids = [int(first.stdout.readline()) for _ in range(3)]
    assert pids[0] == first.pid
    assert all(map(alive, pids))
    first.kill()
    first.wait()
    assert_all_end(pids)


def test_the_program_of_a_killed_task_dies(component):
    pid_file = component / "pid"
    program = component / ".venv" / "bin" / "some-component"
    program.write_text(
        f"#!/bin/sh\necho $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 600\n"
    )
    task = os.fork()
    if task == 0:
        run()
        os._exit(0)
    while not pid_file.exists():
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    assert alive(pid)
    os.kill(task, signal.SIGKILL)
    os.waitpid(task, 0)
    assert_all_end([pid])
