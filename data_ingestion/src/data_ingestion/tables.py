"""The tables of values in the schema `raw`: how they are made, asked and written.

Every function works inside the caller's transaction, on the caller's cursor.
"""

import sys
from collections.abc import Sequence
from typing import IO

from psycopg2.sql import SQL, Composed, Identifier

from data_ingestion import audit
from data_ingestion.contract import CONTRACTS, Columns
from data_ingestion.errors import InputError
from data_ingestion.model import ADDED_COLUMNS
from data_ingestion.warehouse import Connection, Cursor


INDEXES = {
    "row_hash_key": "create unique index if not exists {} on {} (_row_hash)",
    "load_id_idx": (
        "create index if not exists {} on {} using brin (_load_id) with (autosummarize = on)"
    ),
}


def relation(table: str) -> Identifier:
    """raw.<table>, quoted."""
    return Identifier("raw", table)


def create_tables(connection: Connection) -> list[str]:
    """Makes the tables of all contracts where they are missing; returns the names of those made."""
    made = []
    with connection.cursor() as cursor:
        audit.create_tables(cursor)
        for contract in CONTRACTS.values():
            audit.lock(cursor, contract.table)
            cursor.execute("select to_regclass(%s)", (relation(contract.table).as_string(cursor),))
            if cursor.fetchone()[0] is None:
                _create_table(cursor, contract.table, contract.columns)
                made.append(contract.table)
    return made


def open_table(cursor: Cursor, table: str, columns: Columns) -> tuple[Columns, bool]:
    """Makes the table if it is not there; returns the columns in its order, whether it has rows.

    Raises:
        InputError: the table has other columns than the file.
    """
    cursor.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0"
        " and not attisdropped order by attnum",
        (relation(table).as_string(cursor),),
    )
    there = [name for (name,) in cursor.fetchall() if name not in ADDED_COLUMNS]
    if not there:
        _create_table(cursor, table, columns.names)
        return columns, False
    differing = sorted(set(there) ^ set(columns.names))
    if differing:
        raise InputError(
            f"has other columns than raw.{table} (differing: {', '.join(differing[:12])}): load "
            "it into another table with --table NAME"
        )
    places = dict(zip(columns.names, columns.fields, strict=True))
    ordered = Columns(tuple(there), tuple(places[name] for name in there))
    return ordered, not _is_emptied(cursor, table)


def _is_emptied(cursor: Cursor, table: str) -> bool:
    """Whether the table has no row; then it counts as emptied by this transaction.

    Into such a table COPY can do without the write-ahead log.
    """
    has_rows = SQL("select exists (select from {})").format(relation(table))
    cursor.execute(has_rows)
    if cursor.fetchone()[0]:
        return False
    # Who adds rows without the advisory lock may have done so meanwhile: look again, alone.
    cursor.execute(SQL("lock table {} in access exclusive mode").format(relation(table)))
    cursor.execute(has_rows)
    if cursor.fetchone()[0]:
        return False
    # A load into an empty table ends by making the indexes. Drop those that an earlier load made:
    # rows that are repeated beyond --dedup-memory are deleted only after the COPY, and the unique
    # index would refuse them; and a block range index that exists does not summarise new pages.
    cursor.execute(SQL("truncate {}").format(relation(table)))
    for name in INDEXES:
        index = Identifier("raw", _index_name(table, name))
        cursor.execute(SQL("drop index if exists {}").format(index))
    return True


def _create_table(cursor: Cursor, table: str, names: Sequence[str]) -> None:
    values = SQL(", ").join(SQL("{} text not null").format(Identifier(name)) for name in names)
    cursor.execute(
        SQL(
            "create table {} ({}, _row_hash uuid not null, _load_id bigint not null,"
            " _source_file text not null, _source_line bigint not null,"
            " _loaded_at timestamptz not null)"
        ).format(relation(table), values)
    )


def _index_name(table: str, name: str) -> str:
    return f"{table}__{name}"


def create_indexes(cursor: Cursor, table: str) -> None:
    """Makes the table's indexes where they are missing: after the first load, which is cheaper.

    The unique one is the last guard against doubles. Rows of one load stand side by side: a block
    range index is tiny, and enough to find them.
    """
    for name, statement in INDEXES.items():
        index = Identifier(_index_name(table, name))
        cursor.execute(SQL(statement).format(index, relation(table)))


def hashes_there(cursor: Cursor, table: str, hashes: IO[bytes]) -> bytes:
    """Which of the hashes, given as a binary COPY of one column, the table holds: 16 bytes each."""
    cursor.execute(
        "create temporary table if not exists asked (hash uuid not null) on commit drop;"
        " truncate asked"
    )
    copy(cursor, "copy asked from stdin (format binary)", hashes)
    # One walk through the unique index, also where the planner would rather read a large table.
    cursor.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
    query = SQL(
        "select coalesce(string_agg(uuid_send(_row_hash), ''), '') from {}"
        " where _row_hash = any(array(select hash from asked))"
    ).format(relation(table))
    cursor.execute(query)
    return bytes(cursor.fetchone()[0])


def drop_repeated(cursor: Cursor, table: str, first_line: int) -> int:
    """Of equal rows from `first_line` of their file on, deletes all but the first; says how many.

    For a table that holds this file only, before its unique index is made.
    """
    statement = SQL(
        "delete from {} as row using ("
        " select _row_hash, min(_source_line) as first_line from {} where _source_line >= %s"
        " group by _row_hash having count(*) > 1"
        ") as repeated"
        " where row._row_hash = repeated._row_hash and row._source_line > repeated.first_line"
    ).format(relation(table), relation(table))
    # The table was filled a moment ago, and the planner knows nothing of it: it would believe in a
    # few groups, and hash millions of them beyond its memory. To sort them is safe.
    cursor.execute("set local enable_hashagg = off")
    cursor.execute(statement, (first_line,))
    return cursor.rowcount


def copy_statement(cursor: Cursor, table: str, columns: Columns, fresh: bool) -> str:
    """The COPY for rows of the value columns and ADDED_COLUMNS, in this order.

    `fresh`: this transaction made or emptied the table. Nobody can have seen it, so that its rows
    can be marked right away as visible to all: nobody need come back to each page to do it.
    """
    names = SQL(", ").join(map(Identifier, (*columns.names, *ADDED_COLUMNS)))
    freeze = SQL(", freeze" if fresh else "")
    statement: Composed = SQL("copy {} ({}) from stdin (format binary{})").format(
        relation(table), names, freeze
    )
    return statement.as_string(cursor)


def copy(cursor: Cursor, statement: str, rows: IO[bytes]) -> int:
    """Sends rows; returns how many rows the server says it took."""
    # When the server ends the session in a COPY, psycopg2 not only raises but also prints an error
    # of its own, with a row of data in it.
    hook, sys.excepthook = sys.excepthook, lambda *_: None
    try:
        cursor.copy_expert(statement, rows, size=1 << 20)
    finally:
        sys.excepthook = hook
    return cursor.rowcount
