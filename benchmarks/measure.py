"""What a process costs: seconds, processor time on both sides, memory."""

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

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1 << 10  # bytes, or kilobytes
MEGABYTE = 1 << 20
SETTLE = 0.1  # seconds in which the server's session ends after its client


class TooSlowError(Exception):
    """A process did not end within its time."""


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Attributes:
        seconds: by the wall clock, from before its start until after its end.
        cpu: seconds of processors, user and system, of it and the children it waited for.
        server_cpu: the same of the Postgres server meanwhile; None where /proc is not there.
        memory: the most megabytes that were resident in it, or in one of those children.
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
    """Run a command, which has to succeed.

    Args:
        command: program and arguments.
        environment: all of its environment.
        server: pid of the Postgres server.
        limit: seconds after which it is killed, with its children.

    Raises:
        TooSlowError: it was killed.
        CalledProcessError: it failed; what it said stands in `output`.
    """
    before = server_cpu(server)
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    usage, said = _wait(process, limit)
    seconds = time.monotonic() - began
    if process.returncode == -signal.SIGKILL and seconds >= limit:
        raise TooSlowError(f"more than {limit:.0f} s")
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, said)
    time.sleep(SETTLE)
    after = server_cpu(server)
    return Cost(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        server_cpu=None if before is None else after - before,
        memory=usage.ru_maxrss * MAXRSS_UNIT / MEGABYTE,
    )


def _wait(process: subprocess.Popen, limit: float) -> tuple[resource.struct_rusage, str]:
    """Wait for a process, or kill it; returns what it used and what it said."""
    guard = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
    guard.start()
    said = process.stdout.read()
    # Not `process.wait`: only wait4 tells what the process used.
    _, status, usage = os.wait4(process.pid, 0)
    guard.cancel()
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage, said


def server_cpu(server: int) -> float | None:
    """Seconds of processors that a server used since it started, those of ended sessions too.

    It is the sum over the server's process, the children it has, and those it waited for.
    """
    if not Path("/proc/self/stat").exists():
        return None
    ticks = sum(_times(server, with_ended_children=True))
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        try:
            ticks += sum(_times(int(child), with_ended_children=False))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended: a moment later it is among those waited for
    return ticks / os.sysconf("SC_CLK_TCK")


def _times(pid: int, with_ended_children: bool) -> list[int]:
    """utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in after_name[11 : 15 if with_ended_children else 13]]
