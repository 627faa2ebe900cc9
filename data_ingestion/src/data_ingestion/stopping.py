"""Ctrl-C and SIGTERM end a load at once, whatever it waits for.

Python lets a signal through between two steps of the main thread, and one step can be a statement
that waits minutes for a lock or an index. So a second thread, which the signal wakes, hangs up the
connection: the statement fails, the signal gets through, and the server rolls back.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

# The main thread may hang where nobody can wake it (a name server that does not answer).
GRACE = 4.0  # seconds; Airflow waits 5 for its tasks, Docker 10, before they kill
STOPPED = {
    signal.SIGINT: "interrupted",  # Python makes a KeyboardInterrupt of it
    signal.SIGTERM: "terminated",
}


class Terminated(BaseException):
    """SIGTERM came."""


def tell(number: int) -> int:
    """Says that a signal ended the command; returns the exit code that shells have for it."""
    what = STOPPED[signal.Signals(number)]
    print(
        f"{what}: a file is loaded as a whole or not at all; run it again for what is missing",
        file=sys.stderr,
        flush=True,
    )
    return 128 + number


@contextlib.contextmanager
def stoppable(hang_up: Callable[[], None]) -> Iterator[None]:
    """Inside, SIGTERM raises `Terminated` as Ctrl-C does KeyboardInterrupt, after `hang_up()`.

    For the main thread. `hang_up` is called in another one, and must not block.
    """
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    before = signal.signal(signal.SIGTERM, _terminate)
    descriptor = signal.set_wakeup_fd(waking.fileno())
    done = threading.Event()
    threading.Thread(target=_help, args=(woken, hang_up, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGTERM, before)
        waking.close()


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _help(woken: socket.socket, hang_up: Callable[[], None], done: threading.Event) -> None:
    with woken:
        while number := int.from_bytes(woken.recv(1)):  # 0: closed, all went well
            if number in STOPPED:
                hang_up()
                if not done.wait(GRACE):
                    os._exit(tell(number))
