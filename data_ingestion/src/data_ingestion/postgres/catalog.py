"""Names of tables in the schema `raw`, and single values from queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg2.sql import Composable, Identifier

from data_ingestion.postgres.connection import Cursor

Parameters = Sequence[Any] | Mapping[str, Any] | None


def relation(table: str) -> Identifier:
    """Return `raw.<table>`, quoted."""
    return Identifier("raw", table)


def exists(cursor: Cursor, table: str) -> bool:
    """Return whether the schema `raw` has the table."""
    name = relation(table).as_string(cursor)
    return bool(fetch_value(cursor, "select to_regclass(%s) is not null", (name,)))


def fetch_value(cursor: Cursor, query: str | Composable, parameters: Parameters = None) -> Any:
    """Run a query that returns one row, and return its first value.

    Raises:
        RuntimeError: The query returned no row.
    """
    cursor.execute(query, parameters)
    row = cursor.fetchone()
    if row is None:
        raise RuntimeError("a query that always returns a row returned none")
    return row[0]
