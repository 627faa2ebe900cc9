"""The connection to the warehouse: opened with patience, and its errors put into words.

Where it is and who we are comes from libpq's own environment (PGHOST, PGPORT, PGUSER,
PGPASSWORD, PGDATABASE, ...), and from nothing else.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2
import psycopg2.extensions

from data_ingestion.errors import CommandError, WarehouseError, printable

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor

# Server states that pass by themselves, besides all of class 08 (connection exception):
# shutdown, crash, starting up, too many connections, serialisation failure, deadlock.
PASSING = ("57P01", "57P02", "57P03", "53300", "40001", "40P01")
PASSING_TEXTS = (
    "starting up",
    "shutting down",
    "terminating connection",
    "in recovery mode",
    "not yet accepting connections",
    "too many clients",
    "remaining connection slots",
    "too many connections",
)
# A peer that is gone without a word (its machine, the network) must not keep a load for hours,
# which is the default: asked after 30 s of silence, given up after 60. A statement may take longer,
# as the peer's kernel answers for it. init_db.sql says the same to the server's side.
PEER_IS_GONE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # for what was sent and not acknowledged; milliseconds
}
# What a person can do, by SQLSTATE; the server's own line stands before it.
ADVICE = {
    "42501": "the role lacks a right: run init_db.sql as a superuser, or set PGUSER to the loader",
    "3F000": "there is no schema raw: run init_db.sql as a superuser",
    "53100": "the server's disk is full: make room, then run the load again",
    "23505": "somebody else wrote the same rows at the same time: run the load again",
}


class Patience:
    """Waits 0.5 s, then 1, 2, 4 up to 15, until `seconds` have been spent on waiting."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._next = 0.5

    def wait(self, reason: str) -> bool:
        """Waits and says why; false, without waiting, when all is spent."""
        if self._left <= 0:
            return False
        delay = min(self._next, self._left, 15.0)
        log.warning("%s; trying again in %.1f s", reason, delay)
        time.sleep(delay)
        self._left -= delay
        self._next *= 2
        return True


class Warehouse:
    """Runs work on a connection, again from its beginning when the server was away.

    `patience` is how many seconds are spent on waiting before each piece of work is given up.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self._patience = patience
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Returns `work(connection)`, done in one transaction: committed, or rolled back.

        Raises:
            WarehouseError: no server in time, no access, or the server refused a statement.
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
                if not _passes(error, lost):
                    raise WarehouseError(_explain(error)) from error
                if not patience.wait(f"the warehouse is away ({_first_line(error)})"):
                    raise WarehouseError(
                        f"the warehouse at {_address()} is away ({_first_line(error)}): start "
                        "it, or set PGHOST and PGPORT to where it is"
                    ) from error
            except BaseException:
                self.close()
                raise

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except psycopg2.Error:  # the connection is gone, and the transaction with it
            self.close()

    def close(self) -> None:
        """Ends the session; what was not committed is gone."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            settings = {
                "application_name": "data-ingestion",
                **PEER_IS_GONE,
                "client_encoding": "UTF8",  # whatever PGCLIENTENCODING says: what COPY gets is that
            }
            if "PGCONNECT_TIMEOUT" not in os.environ:
                settings["connect_timeout"] = 10
            self._connection = None
            self._connection = psycopg2.connect("", **settings)
        return self._connection


def _passes(error: Exception, lost: bool) -> bool:
    """Whether the same may go well later: the server was away, not: the server said no."""
    code = getattr(error, "pgcode", None) or ""
    if code:
        return code in PASSING or code.startswith("08")
    text = str(error)
    if any(part in text for part in PASSING_TEXTS):
        return True
    # libpq gives refused connections no code; what the server itself refused says FATAL.
    return lost and "FATAL" not in text and "no password supplied" not in text


def _explain(error: psycopg2.Error) -> str:
    text = _first_line(error)
    if error.pgcode:
        advice = ADVICE.get(error.pgcode, "")
        return f"the warehouse refused: {text}" + (f": {advice}" if advice else "")
    who = f"{os.environ.get('PGUSER') or 'the default user'} at {_address()}"
    if "password" in text:
        return f"the warehouse refused {who} ({text}): check PGUSER and PGPASSWORD"
    return f"the warehouse refused {who} ({text}): check PGHOST, PGPORT, PGUSER and PGDATABASE"


def _first_line(error: Exception) -> str:
    if not isinstance(error, psycopg2.Error):  # what psycopg2 makes of a COPY that was cut off
        return "the connection was lost"
    text = (error.diag.message_primary or str(error)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Of several addresses tried (::1, 127.0.0.1) the last one's line tells the most.
    told = [line for line in lines if "failed" in line or "FATAL" in line][-1:] or lines
    return printable(told[0] if told else type(error).__name__).rstrip(".")


def _address() -> str:
    host = os.environ.get("PGHOST") or "the local socket"
    return f"{host}:{os.environ.get('PGPORT') or 5432}"
