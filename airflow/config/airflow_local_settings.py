"""Local settings: every process of Airflow imports this module when it starts."""

import ctypes
import os
import signal
import sys


def die_with_parent() -> None:
    """Ask the kernel to kill each forked child when its parent dies (Linux only).

    The scheduler's executor forks workers, and the workers fork tasks. Without this function, the
    workers of a killed scheduler wait forever and ignore SIGTERM. They hold copies of the
    scheduler's connections to the metadata database, so its row locks stay, and the next scheduler
    skips the locked rows. A running task would also continue beside its own retry.

    The function breaks the option `--daemon` of Airflow's commands, because the parent of a daemon
    exits. Supervisor and Docker start Airflow without that option.
    """
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1  # from <linux/prctl.h>
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def in_child() -> None:
        nonlocal parent
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)
        parent = os.getpid()

    os.register_at_fork(after_in_child=in_child)


die_with_parent()
