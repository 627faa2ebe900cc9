"""Keep psycopg2 from printing an error of a COPY, with a row of data in it.

psycopg2 2.9 reports an error of a COPY twice when the server ends the session: it raises an
exception, and it prints one through `sys.excepthook`. That hook belongs to the whole process, but a
COPY runs in one thread. This module therefore installs its hook once, never removes it, and hides
only the errors of threads that are inside a COPY. See
docs/decisions/0007-psycopg2-for-the-loader.md.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]

_state = threading.local()
_install_lock = threading.Lock()
_installed = False


@contextmanager
def hide_printed_errors() -> Iterator[None]:
    """Silence `sys.excepthook` for this thread within the block. Exceptions are still raised."""
    _install()
    _state.hidden = True
    try:
        yield
    finally:
        _state.hidden = False


def _install() -> None:
    global _installed
    with _install_lock:
        if not _installed:
            sys.excepthook = _filtered(sys.excepthook)
            _installed = True


def _filtered(hook: ExceptHook) -> ExceptHook:
    def filtered(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not getattr(_state, "hidden", False):
            hook(kind, error, traceback)

    return filtered
