"""The connection to the warehouse: retries while it is not available, and errors for people.

libpq's own environment (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and so on) names the server
and the role. The loader has no setting of its own for them.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions

from data_ingestion.errors import CommandError, WarehouseError, printable

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor

# SQLSTATEs of conditions that pass, besides class 08 (connection exception): shutdown, crash,
# start-up, too many connections, serialisation failure, deadlock.
TRANSIENT_STATES = ("57P01", "57P02", "57P03", "53300", "40001", "40P01")
TRANSIENT_TEXTS = (
    "starting up",
    "shutting down",
    "terminating connection",
    "in recovery mode",
    "not yet accepting connections",
    "too many clients",
    "remaining connection slots",
    "too many connections",
)
# Give up on a silent peer (its machine or the network is gone) after a minute. By default that
# takes hours. The first probe is sent after 30 s of silence. A long statement is not affected,
# because the peer's kernel answers the probes. init_db.sql sets the same for the server's side.
PEER_TIMEOUTS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds, for data that was sent and not acknowledged
}
# Advice for people, by SQLSTATE. The message has the server's own line before the advice.
ADVICE = {
    "42501": "the role lacks a right: run init_db.sql as a superuser, or set PGUSER to the loader",
    "3F000": "the schema raw does not exist: run init_db.sql as a superuser",
    "2BP01": "other objects read a column that raw._loads has now: drop them, then load again",
    "53100": "the server's disk is full: make room, then run the load again",
    "23505": "another program wrote the same rows at the same time: run the load again",
}


class Patience:
    """Waits 0.5 s, then 1, 2, 4 and so on up to 15 s, for at most `seconds` in total."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._next = 0.5

    def wait(self, reason: str) -> bool:
        """Log the reason and wait; return false at once if no waiting time is left."""
        if self._left <= 0:
            return False
        delay = min(self._next, self._left, 15.0)
        log.warning("%s; trying again in %.1f s", reason, delay)
        time.sleep(delay)
        self._left -= delay
        self._next *= 2
        return True


class Warehouse:
    """Runs work in transactions, and repeats it from the beginning after a transient failure.

    `patience` is the time in seconds to wait for the server in each call of `run`.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self._patience = patience
        self._connection: Connection | None = None

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Return `work(connection)`, run in one transaction that commits or rolls back.

        Raises:
            WarehouseError: The server did not answer in time, or it refused the login or a
                statement.
        """
        patience = Patience(self._patience)
        while True:
            try:
                connection = self._connect()
                result = work(connection)
                connection.commit()
                return result
            except CommandError:
                self._roll_back()
                raise
            except Exception as error:
                lost = self._connection is None or bool(self._connection.closed)
                self.close()
                if not lost and not isinstance(error, psycopg2.Error):
                    raise
                if not _is_transient(error, lost):
                    raise WarehouseError(_explain(error)) from error
                if not patience.wait(f"the warehouse is not available ({_first_line(error)})"):
                    raise WarehouseError(
                        f"the warehouse at {_address()} is not available ({_first_line(error)}): "
                        "start it, or set PGHOST and PGPORT to its address"
                    ) from error
            except BaseException:
                self.close()
                raise

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg2.Error:  # the connection is lost, and its transaction with it
            self.close()

    def close(self) -> None:
        """End the session; the server rolls back an open transaction."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            settings: dict[str, Any] = {
                "application_name": "data-ingestion",
                **PEER_TIMEOUTS,
                "client_encoding": "UTF8",  # COPY sends UTF-8, whatever PGCLIENTENCODING says
            }
            if "PGCONNECT_TIMEOUT" not in os.environ:
                settings["connect_timeout"] = 10
            self._connection = None
            self._connection = psycopg2.connect("", **settings)
        return self._connection


def _is_transient(error: Exception, lost: bool) -> bool:
    """Return whether a retry can succeed, because the server did not refuse the work itself."""
    code = getattr(error, "pgcode", None) or ""
    if code:
        return code in TRANSIENT_STATES or code.startswith("08")
    text = str(error)
    if any(part in text for part in TRANSIENT_TEXTS):
        return True
    # libpq sets no SQLSTATE when a connection fails. If the server refuses it, the text has FATAL.
    return lost and "FATAL" not in text and "no password supplied" not in text


def _explain(error: Exception) -> str:
    text = _first_line(error)
    code = getattr(error, "pgcode", None)
    if code:
        advice = ADVICE.get(code, "")
        return f"the warehouse refused: {text}" + (f": {advice}" if advice else "")
    role = f"{os.environ.get('PGUSER') or 'the default user'} at {_address()}"
    if "password" in text:
        return f"the warehouse refused {role} ({text}): check PGUSER and PGPASSWORD"
    return f"the warehouse refused {role} ({text}): check PGHOST, PGPORT, PGUSER and PGDATABASE"


def _first_line(error: Exception) -> str:
    if not isinstance(error, psycopg2.Error):  # psycopg2 has other errors for a broken COPY
        return "the connection was lost"
    text = (error.diag.message_primary or str(error)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # libpq tries every address of a host (::1, 127.0.0.1). Report the last failure.
    failures = [line for line in lines if "failed" in line or "FATAL" in line]
    lines = failures[-1:] or lines
    return printable(lines[0] if lines else type(error).__name__).rstrip(".")


def _address() -> str:
    host = os.environ.get("PGHOST") or "the local socket"
    return f"{host}:{os.environ.get('PGPORT') or 5432}"
