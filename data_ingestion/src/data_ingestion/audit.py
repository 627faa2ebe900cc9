"""The audit tables of the schema `raw`, `_loads` and `_rejects`, and the lock that orders loads.

Every function works inside the caller's transaction, on the caller's cursor.
"""

from datetime import datetime

from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from data_ingestion.model import Load
from data_ingestion.warehouse import Cursor

TABLES = """
create table if not exists raw._loads (
    table_name text not null,
    load_id bigint not null,
    source_file text not null,
    file_size bigint,
    file_sha256 text,
    status text not null check (status in ('loaded', 'failed')),
    error text,
    rows_read bigint not null,
    rows_loaded bigint not null,
    rows_duplicate bigint not null,
    rows_rejected bigint not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    duplicates text not null check (duplicates in ('drop', 'keep')),
    primary key (table_name, load_id),
    constraint every_row_accounted_for check (
        case status
            when 'loaded' then
                rows_read = rows_loaded + rows_duplicate + rows_rejected and error is null
            else rows_loaded = 0 and rows_duplicate = 0 and error is not null
        end
    )
);
create table if not exists raw._rejects (
    table_name text not null,
    load_id bigint not null,
    source_file text not null,
    source_line bigint not null,
    line text not null,
    reason text not null,
    rejected_at timestamptz not null
);
create index if not exists _rejects_load on raw._rejects (table_name, load_id);
comment on table raw._loads is 'One row per attempt to load a file';
comment on table raw._rejects is 'Lines that did not fit their file''s header';
"""


def create_tables(cursor: Cursor) -> None:
    """Makes raw._loads and raw._rejects where they are missing."""
    cursor.execute("select num_nulls(to_regclass('raw._loads'), to_regclass('raw._rejects')) > 0")
    if cursor.fetchone()[0]:
        lock(cursor, "_loads")
        cursor.execute(TABLES)


def lock(cursor: Cursor, table: str, wait: bool = True) -> bool:
    """Takes the table's advisory lock until the transaction ends; false when it is taken.

    Its key is `hashtextextended('raw.<table>', 0)`, for whoever else writes to the table.
    """
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    cursor.execute(f"select {function}(hashtextextended(%s, 0))", (f"raw.{table}",))
    return wait or cursor.fetchone()[0]


def next_load_id(cursor: Cursor, table: str) -> int:
    """One more than the last. Only under the table's lock, so that ids rise in commit order."""
    cursor.execute(
        "select coalesce(max(load_id), 0) + 1 from raw._loads where table_name = %s", (table,)
    )
    return cursor.fetchone()[0]


def sizes_loaded(cursor: Cursor, load: Load) -> bool:
    """Whether a file of the same size was loaded: only then is it worth hashing it first."""
    cursor.execute(
        "select exists (select from raw._loads where table_name = %s and file_size = %s"
        " and status = 'loaded' and duplicates = %s)",
        (load.table, load.file_size, load.duplicates),
    )
    return cursor.fetchone()[0]


def known_load(cursor: Cursor, load: Load) -> tuple[int, datetime] | None:
    """The id and time of the load that brought this very file, its rows being there still.

    When none of its loads brought a row (others had brought them all), the last of them.
    """
    cursor.execute(
        "select load_id, finished_at, rows_loaded > 0 from raw._loads"
        " where table_name = %s and file_size = %s and file_sha256 = %s"
        " and status = 'loaded' and duplicates = %s order by rows_loaded > 0 desc, load_id desc"
        " limit 1",
        (load.table, load.file_size, load.file_sha256, load.duplicates),
    )
    for load_id, finished_at, brought_rows in cursor.fetchall():
        if not brought_rows or _has_rows(cursor, load.table, load_id):
            return load_id, finished_at
    return None


def _has_rows(cursor: Cursor, table: str, load_id: int) -> bool:
    relation = Identifier("raw", table)
    cursor.execute("select to_regclass(%s) is not null", (relation.as_string(cursor),))
    if not cursor.fetchone()[0]:
        return False
    query = SQL("select exists (select from {} where _load_id = %s)").format(relation)
    cursor.execute(query, (load_id,))
    return cursor.fetchone()[0]


def is_written(cursor: Cursor, load: Load) -> bool:
    """Whether this very attempt is in raw._loads: who lost the connection in a commit must ask."""
    cursor.execute(
        "select exists (select from raw._loads where (table_name, load_id, source_file, started_at,"
        " status) = (%(table)s, %(load_id)s, %(source_file)s, %(started_at)s, %(status)s))",
        vars(load),
    )
    return cursor.fetchone()[0]


def write(cursor: Cursor, load: Load) -> None:
    """The load's row in raw._loads, and its rejects."""
    cursor.execute(
        "insert into raw._loads (table_name, load_id, source_file, file_size, file_sha256,"
        " status, error, rows_read, rows_loaded, rows_duplicate, rows_rejected, started_at,"
        " finished_at, duplicates) values (%(table)s, %(load_id)s, %(source_file)s,"
        " %(file_size)s, %(file_sha256)s, %(status)s, %(error)s, %(rows_read)s, %(rows_loaded)s,"
        " %(rows_duplicate)s, %(rows_rejected)s, %(started_at)s, clock_timestamp(),"
        " %(duplicates)s)",
        vars(load),
    )
    execute_values(
        cursor,
        "insert into raw._rejects (table_name, load_id, source_file, source_line, line, reason,"
        " rejected_at) values %s",
        [
            (load.table, load.load_id, load.source_file, r.line_number, r.text, r.reason)
            for r in load.rejects
        ],
        template="(%s, %s, %s, %s, %s, %s, clock_timestamp())",
        page_size=1_000,
    )
