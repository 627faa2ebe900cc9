"""Rows that a load drops because its file has an equal row before them, and their log.

Two equal lines of a statement can be two transactions. raw._duplicates therefore records such rows,
but no row that was dropped only because an earlier load has it.

Every function works inside the caller's transaction, on the caller's cursor.
"""

from psycopg2.sql import SQL

from data_ingestion.model import Load
from data_ingestion.postgres.catalog import fetch_value, relation
from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import Hashes, Integers, uuid_array


def record(cursor: Cursor, load: Load, hashes: Hashes, line_numbers: Integers) -> None:
    """Write dropped rows to raw._duplicates, one row for each distinct hash."""
    cursor.execute(
        """
        insert into raw._duplicates (table_name, load_id, row_hash, source_line, dropped)
        select %s, %s, row_hash, min(source_line), count(*)
        from unnest(%s::uuid[], %s::bigint[]) as row (row_hash, source_line)
        group by row_hash
        """,
        (load.table, load.load_id, uuid_array(hashes), line_numbers.tolist()),
    )


def repeated_hashes(cursor: Cursor, load: Load, existing: Hashes) -> bytes:
    """Return those hashes that the file has in an earlier batch, too, 16 bytes each.

    Args:
        cursor: A cursor of the load's transaction.
        load: The load, which stored all new rows of earlier batches.
        existing: The hashes of a batch that the table has. Those of earlier loads are remembered
            until the transaction ends.
    """
    cursor.execute(
        "create temporary table if not exists known (hash uuid primary key) on commit drop"
    )
    query = SQL(
        """
        with given as (
            select hash, exists (
                select from {table} where _row_hash = hash and _load_id = %s
            ) as is_own
            from unnest(%s::uuid[]) as given (hash)
        ), remembered as (
            insert into known select hash from given where not is_own on conflict do nothing
        )
        select coalesce(string_agg(uuid_send(hash), ''), '')
        from given
        where is_own or exists (select from known where known.hash = given.hash)
        """
    ).format(table=relation(load.table))
    return bytes(fetch_value(cursor, query, (load.load_id, uuid_array(existing))))


def delete_and_record(cursor: Cursor, load: Load, first_line: int) -> int:
    """Delete all but the first of equal rows, from line `first_line` of their file on.

    The table has the rows of this load only, and no unique index yet.

    Returns:
        The number of deleted rows.
    """
    statement = SQL(
        """
        with deleted as (
            delete from {table} as row using (
                select _row_hash, min(_source_line) as first_line from {table}
                where _source_line >= %s group by _row_hash having count(*) > 1
            ) as repeated
            where row._row_hash = repeated._row_hash and row._source_line > repeated.first_line
            returning row._row_hash, row._source_line
        ), recorded as (
            insert into raw._duplicates (table_name, load_id, row_hash, source_line, dropped)
            select %s, %s, _row_hash, min(_source_line), count(*) from deleted group by _row_hash
            returning dropped
        )
        select coalesce(sum(dropped), 0) from recorded
        """
    ).format(table=relation(load.table))
    # The table is new, so the planner has no statistics. It would expect a few groups and build a
    # hash table that exceeds its memory. A sort keeps within it.
    cursor.execute("set local enable_hashagg = off")
    return int(fetch_value(cursor, statement, (first_line, load.table, load.load_id)))
