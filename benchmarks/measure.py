"""Measure a process: seconds, CPU time of the process and the server, memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1 << 10  # bytes per unit of ru_maxrss
MEGABYTE = 1 << 20
SETTLE = 0.1  # seconds for the server's session to end after its client


class TooSlowError(Exception):
    """A process did not end within its time limit."""


@dataclass(frozen=True)
class Cost:
    """The cost of one run.

    Attributes:
        seconds: Wall-clock time from the start to the end of the process.
        cpu: CPU seconds (user and system) of the process and of the children it waited for.
        server_cpu: CPU seconds of the Postgres server in the same time; None without /proc.
        memory: Peak resident memory in MB, of the process or the largest of those children.
    """

    seconds: float
    cpu: float
    server_cpu: float | None
    memory: float


def run(
    command: Sequence[str | Path],
    environment: dict[str, str],
    server: int,
    limit: float,
) -> Cost:
    """Run a command and measure its cost.

    Args:
        command: Program and arguments.
        environment: Complete environment of the command.
        server: Pid of the Postgres server.
        limit: Seconds after which the command and its children are killed.

    Raises:
        TooSlowError: The command was killed.
        CalledProcessError: The command failed; `output` holds its output.
    """
    before = server_cpu(server)
    start = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    usage, output = _wait(process, limit)
    seconds = time.monotonic() - start
    if process.returncode == -signal.SIGKILL and seconds >= limit:
        raise TooSlowError(f"more than {limit:.0f} s")
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    time.sleep(SETTLE)
    after = server_cpu(server)
    return Cost(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        server_cpu=None if before is None else after - before,
        memory=usage.ru_maxrss * MAXRSS_UNIT / MEGABYTE,
    )


def _wait(process: subprocess.Popen, limit: float) -> tuple[resource.struct_rusage, str]:
    """Wait for a process or kill it after `limit` seconds; return its usage and its output."""
    guard = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
    guard.start()
    output = process.stdout.read()
    # Unlike `process.wait`, wait4 returns the resource usage of the process.
    _, status, usage = os.wait4(process.pid, 0)
    guard.cancel()
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage, output


def server_cpu(server: int) -> float | None:
    """Return the CPU seconds of a server since its start, or None on systems without /proc.

    The sum covers the server's process, its children, and its ended children (sessions).
    """
    if not Path("/proc/self/stat").exists():
        return None
    ticks = sum(_times(server, with_ended_children=True))
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        try:
            ticks += sum(_times(int(child), with_ended_children=False))
        except (FileNotFoundError, ProcessLookupError):
            continue  # the child has just ended; the server counts it a moment later
    return ticks / os.sysconf("SC_CLK_TCK")


def _times(pid: int, with_ended_children: bool) -> list[int]:
    """Return utime and stime, and cutime and cstime: fields 14 to 17 of proc_pid_stat(5)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in after_name[11 : 15 if with_ended_children else 13]]
