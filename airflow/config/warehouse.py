"""Read-only sessions in the warehouse, for the numbers of alerts and metrics.

Python finds this module in every process of Airflow, because PYTHONPATH names its folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extras import NamedTupleCursor

if TYPE_CHECKING:
    from airflow.sdk import Connection

# Limits in seconds: for the connection, and for one statement.
CONNECT_TIMEOUT = 3
STATEMENT_TIMEOUT = 4


def connect(connection: Connection) -> Any:
    """Open a session with an Airflow connection. It reads only, and nothing in it lasts long.

    Raises:
        psycopg2.OperationalError: The warehouse does not answer.
    """
    session = psycopg2.connect(
        host=connection.host,
        port=connection.port,
        dbname=connection.schema,
        user=connection.login,
        password=connection.password,
        connect_timeout=CONNECT_TIMEOUT,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT}s -c default_transaction_read_only=on",
        cursor_factory=NamedTupleCursor,
    )
    session.autocommit = True
    return session
