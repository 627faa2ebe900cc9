"""Ctrl-C and SIGTERM end the command at once, whatever it waits for.

Python's own way, an exception in the main thread, has to wait for that thread: for a lock of the
server, for an index that is being made. And libraries in C may swallow it. There is nothing to
tidy up, though: the server rolls back what was not committed when the connection is closed.
"""

import os
import signal
import sys
import threading

STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def end_at_signals() -> None:
    """From now on both signals end the process, with one line and the exit code of shells.

    For the main thread.
    """
    woken, waking = os.pipe()
    os.set_blocking(waking, False)  # as Python asks for
    for number in STOPPED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a shell's background jobs
            signal.signal(number, lambda *_: None)  # without a handler it would not wake anybody
    signal.set_wakeup_fd(waking)
    threading.Thread(target=_end, args=(woken,), daemon=True).start()


def _end(woken: int) -> None:
    number = 0
    while number not in STOPPED:
        number = os.read(woken, 1)[0]
    try:
        begin = "\n" if sys.stderr.isatty() else ""  # below the bar, and the terminal's ^C
        what = STOPPED[signal.Signals(number)]
        print(f"{begin}{what}: a file is loaded whole or not at all; run it again", file=sys.stderr)
        sys.stderr.flush()
    finally:
        os._exit(128 + number)
