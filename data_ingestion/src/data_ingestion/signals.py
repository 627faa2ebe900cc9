"""End the command at once on Ctrl-C or SIGTERM, whatever it waits for.

By default Python raises an exception in the main thread, but only when that thread runs bytecode. A
wait for a lock or an index of the server would delay the exception, and a C library may swallow it.
Nothing needs cleaning up: the server rolls back the transaction when the connection closes.
"""

import os
import signal
import sys
import threading

MESSAGES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def exit_on_signals() -> None:
    """Make SIGINT and SIGTERM end the process with one line and the exit code that shells use.

    Call this in the main thread: Python sets signal handlers only there.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # signal.set_wakeup_fd requires it
    for number in MESSAGES:
        # Shells start background jobs with SIGINT ignored. Such a job keeps ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            # Python writes to the wakeup descriptor only for a signal that has a handler.
            signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing)
    threading.Thread(target=_exit_on_signal, args=(reading,), daemon=True).start()


def _exit_on_signal(descriptor: int) -> None:
    number = 0
    while number not in MESSAGES:
        number = os.read(descriptor, 1)[0]
    try:
        start = "\n" if sys.stderr.isatty() else ""  # below the progress bar and the ^C
        message = MESSAGES[signal.Signals(number)]
        print(
            f"{start}{message}: a file is loaded completely or not at all; run the command again",
            file=sys.stderr,
        )
        sys.stderr.flush()
    finally:
        os._exit(128 + number)
