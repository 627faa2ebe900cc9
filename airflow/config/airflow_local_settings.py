"""Imported by every process of Airflow as it starts (its own hook for local settings)."""

import ctypes
import gc
import os
import signal
import sys

# Importing Airflow makes millions of objects that stay, and the collector, by default, looks
# through them again and again: a quarter of the time until the api-server answers.
gc.set_threshold(50_000, 20, 20)


def die_with_parent() -> None:
    """Have every process that this one forks killed by the kernel when this one dies.

    Airflow's executor forks workers, which fork tasks. When the scheduler is killed, its workers
    would wait for ever and ignore SIGTERM. They hold copies of its connections to the metadata
    database, so that the locks it had would stay, too, and the next scheduler would step over the
    rows behind them; and a task would run on beside its own retry.

    Linux only; elsewhere nothing changes. (So none of Airflow's commands can be started with
    `--daemon`, which forks and ends: supervisor and Docker need no daemons.)
    """
    if sys.platform != "linux":
        return
    set_parent_death_signal, libc = 1, ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        nonlocal parent
        libc.prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)
        parent = os.getpid()

    os.register_at_fork(after_in_child=in_child)


die_with_parent()
