"""The tables of values in the schema `raw`: create, query and fill them.

Every function works inside the caller's transaction, on the caller's cursor.
"""

from collections.abc import Sequence
from typing import IO

from psycopg2.sql import SQL, Identifier

from data_ingestion.contracts import Columns
from data_ingestion.declarations import declared
from data_ingestion.errors import InputError
from data_ingestion.model import ADDED_COLUMNS
from data_ingestion.postgres import load_log
from data_ingestion.postgres.catalog import exists, fetch_value, relation
from data_ingestion.postgres.connection import Connection, Cursor
from data_ingestion.postgres.copy_errors import hide_printed_errors
from data_ingestion.postgres.copy_stream import CopyStream

# Columns that older versions of the loader added. raw._loads has their values once a load.
RETIRED_COLUMNS = ("_source_file", "_loaded_at")
INDEXES = {
    "row_hash_key": "create unique index if not exists {} on {} (_row_hash)",
    "load_id_idx": (
        "create index if not exists {} on {} using brin (_load_id) with (autosummarize = on)"
    ),
}


def create_tables(connection: Connection) -> list[str]:
    """Create the tables of all declared sources that do not exist, and return their names."""
    created = []
    with connection.cursor() as cursor:
        load_log.create_tables(cursor)
        for contract in declared().values():
            if exists(cursor, contract.table):  # without a wait for a load of this table
                continue
            load_log.lock(cursor, contract.table)
            if not exists(cursor, contract.table):
                _create_table(cursor, contract.table, (*contract.columns, *contract.added))
                created.append(contract.table)
    return created


def open_table(cursor: Cursor, table: str, columns: Columns) -> tuple[Columns, bool]:
    """Create the table if it does not exist.

    Returns:
        The columns in the table's order, and whether the table has rows. A table without rows
        counts as created by this transaction.

    Raises:
        InputError: The table has other columns than the file.
    """
    cursor.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0"
        " and not attisdropped order by attnum",
        (relation(table).as_string(cursor),),
    )
    found = [name for (name,) in cursor.fetchall()]
    if not found:
        _create_table(cursor, table, columns.names)
        return columns, False
    _drop_retired_columns(cursor, table, found)
    existing = [name for name in found if name not in (*ADDED_COLUMNS, *RETIRED_COLUMNS)]
    differing = sorted(set(existing) ^ set(columns.names))
    if differing:
        raise InputError(
            f"has other columns than raw.{table} (differing: {', '.join(differing[:12])}): load "
            "it into another table with --table NAME"
        )
    field_of = dict(zip(columns.names, columns.fields, strict=True))
    ordered = Columns(tuple(existing), tuple(field_of[name] for name in existing))
    return ordered, not _reset_if_empty(cursor, table)


def _reset_if_empty(cursor: Cursor, table: str) -> bool:
    """Truncate a table without rows and drop its indexes; return whether it had no rows.

    With `wal_level = minimal`, COPY into a table that its own transaction truncated skips the
    write-ahead log.
    """
    has_rows = SQL("select exists (select from {})").format(relation(table))
    if fetch_value(cursor, has_rows):
        return False
    # A session that ignores the advisory lock may have added rows since. Lock the table and check
    # again.
    cursor.execute(SQL("lock table {} in access exclusive mode").format(relation(table)))
    if fetch_value(cursor, has_rows):
        return False
    cursor.execute(SQL("truncate {}").format(relation(table)))
    # `create_indexes` makes the indexes after the rows. An existing unique index would refuse the
    # duplicates that the load deletes later, and an existing block range index would
    # leave the new pages unsummarised.
    for suffix in INDEXES:
        index = Identifier("raw", _index_name(table, suffix))
        cursor.execute(SQL("drop index if exists {}").format(index))
    return True


def _drop_retired_columns(cursor: Cursor, table: str, found: Sequence[str]) -> None:
    """Drop the columns of `found` that the loader no longer fills. The rows are not rewritten."""
    retired = [Identifier(name) for name in RETIRED_COLUMNS if name in found]
    if retired:
        drops = SQL(", ").join(SQL("drop column {}").format(name) for name in retired)
        cursor.execute(SQL("alter table {} {}").format(relation(table), drops))


def _create_table(cursor: Cursor, table: str, names: Sequence[str]) -> None:
    values = SQL(", ").join(SQL("{} text not null").format(Identifier(name)) for name in names)
    cursor.execute(
        SQL(
            "create table {} ({}, _row_hash uuid not null, _load_id bigint not null,"
            " _source_line bigint not null)"
        ).format(relation(table), values)
    )


def create_indexes(cursor: Cursor, table: str) -> None:
    """Create the table's indexes if they do not exist.

    Creating them is cheaper after the first load than before it. The unique index is the last guard
    against duplicates. The rows of one load are neighbours, so a block range index is enough to
    find them, and it is tiny.
    """
    for suffix, statement in INDEXES.items():
        index = Identifier(_index_name(table, suffix))
        cursor.execute(SQL(statement).format(index, relation(table)))


def _index_name(table: str, suffix: str) -> str:
    return f"{table}__{suffix}"


def existing_hashes(cursor: Cursor, table: str, hashes: IO[bytes]) -> bytes:
    """Return the given hashes that the table already has, 16 bytes each.

    Args:
        cursor: A cursor of the load's transaction.
        table: The table in the schema `raw`.
        hashes: A binary COPY of one column.
    """
    cursor.execute(
        "create temporary table if not exists lookup (hash uuid not null) on commit drop;"
        " truncate lookup"
    )
    copy(cursor, "copy lookup from stdin (format binary)", hashes)
    # Make the planner walk through the unique index once, even if it prefers to scan the table.
    cursor.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
    query = SQL(
        "select coalesce(string_agg(uuid_send(_row_hash), ''), '') from {}"
        " where _row_hash = any(array(select hash from lookup))"
    ).format(relation(table))
    return bytes(fetch_value(cursor, query))


def copy_statement(cursor: Cursor, table: str, columns: Columns, freeze: bool) -> str:
    """Return the COPY for rows of the value columns and ADDED_COLUMNS, in this order.

    Args:
        cursor: A cursor of the load's transaction.
        table: The table in the schema `raw`.
        columns: The value columns.
        freeze: Whether to mark the rows as visible to all transactions, which saves a later pass
            over every page. Allowed only if this transaction created or truncated the table.
    """
    names = SQL(", ").join(map(Identifier, (*columns.names, *ADDED_COLUMNS)))
    statement = SQL("copy {} ({}) from stdin (format binary{})").format(
        relation(table), names, SQL(", freeze" if freeze else "")
    )
    return statement.as_string(cursor)


def copy(cursor: Cursor, statement: str, rows: IO[bytes] | CopyStream) -> int:
    """Send rows and return how many the server reports as stored."""
    with hide_printed_errors():
        cursor.copy_expert(statement, rows, size=1 << 20)
    return cursor.rowcount
