"""The load log of the schema `raw` (`_loads`, `_rejects`, `_duplicates`), and the lock of loads.

The lock orders the loads of a table.

Every function works inside the caller's transaction, on the caller's cursor.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Composable

from data_ingestion.model import Load
from data_ingestion.postgres.catalog import exists, fetch_value, relation
from data_ingestion.postgres.connection import Cursor

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
    primary key (table_name, load_id)
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
-- Separate statements also add columns to a table that an older version created.
alter table raw._loads add column if not exists loads_gone bigint not null default 0;
create index if not exists _loads_gone on raw._loads (table_name) where loads_gone > 0;
create index if not exists _rejects_load on raw._rejects (table_name, load_id);
-- The columns of the hashes exist if and only if the table _duplicates does.
alter table raw._loads
    add column if not exists first_row_hash uuid,
    add column if not exists last_row_hash uuid;
create table if not exists raw._duplicates (
    table_name text not null,
    load_id bigint not null,
    row_hash uuid not null,
    source_line bigint not null,
    dropped bigint not null
);
create index if not exists _duplicates_load on raw._duplicates (table_name, load_id);
-- The index _loads_skipped exists if and only if this version has changed the table. The loader
-- looks for the index, because a query for a column would read some 200 pages of the catalogue in
-- every load.
alter table raw._loads
    add column if not exists rows_skipped bigint not null default 0,
    drop constraint if exists every_row_accounted_for,
    add constraint every_row_accounted_for check (
        case status
            when 'loaded' then
                rows_read = rows_loaded + rows_duplicate + rows_rejected + rows_skipped
                and error is null
            else rows_loaded = 0 and rows_duplicate = 0 and error is not null
        end
    );
create index if not exists _loads_skipped on raw._loads (table_name) where rows_skipped > 0;
comment on column raw._loads.rows_skipped is
    'Lines that are no transactions, as the source declares them';
comment on table raw._loads is 'One row per attempt to load a file';
comment on column raw._loads.loads_gone is
    'Earlier loads known to be without rows when this one read its file again';
comment on column raw._loads.first_row_hash is
    'The _row_hash of the first row of the file that was loaded or is a duplicate';
comment on column raw._loads.last_row_hash is
    'The _row_hash of the last row of the file that was loaded or is a duplicate';
comment on table raw._rejects is 'Lines that could not be loaded, and the reasons';
comment on table raw._duplicates is
    'Rows that were dropped because the same file has an equal row before them';
comment on column raw._duplicates.source_line is 'The line of the first of the dropped rows';
comment on column raw._duplicates.dropped is 'How many dropped rows this row stands for';
"""


def create_tables(cursor: Cursor) -> None:
    """Create the tables of the load log, and add columns and indexes that older ones lack."""
    query = (
        "select num_nulls(to_regclass('raw._loads'), to_regclass('raw._rejects'),"
        " to_regclass('raw._loads_skipped'), to_regclass('raw._duplicates')) > 0"
    )
    if fetch_value(cursor, query):
        lock(cursor, "_loads")
        cursor.execute(TABLES)


def lock(cursor: Cursor, table: str, wait: bool = True) -> bool:
    """Take the table's advisory lock until the transaction ends.

    The key is `hashtextextended('raw.<table>', 0)`. Other programs that write to the table can
    take the same lock.

    Returns:
        False if another session holds the lock and `wait` is false, otherwise true.
    """
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    query = f"select {function}(hashtextextended(%s, 0))"
    locked = fetch_value(cursor, query, (f"raw.{table}",))
    return wait or bool(locked)


def next_load_id(cursor: Cursor, table: str) -> int:
    """Return the last load id plus one.

    The caller holds the table's lock, so that ids rise in the order in which loads commit.
    """
    query = "select coalesce(max(load_id), 0) + 1 from raw._loads where table_name = %s"
    return int(fetch_value(cursor, query, (table,)))


def is_size_known(cursor: Cursor, load: Load) -> bool:
    """Return whether a file of the same size was loaded. If not, the file cannot be known."""
    query = (
        "select exists (select from raw._loads where table_name = %s and file_size = %s"
        " and status = 'loaded' and (duplicates = %s or duplicates = 'keep'))"
    )
    return bool(fetch_value(cursor, query, (load.table, load.file_size, load.duplicates)))


@dataclass(frozen=True)
class EarlierLoad:
    """An earlier load of a file with the same size and hash."""

    load_id: int
    finished_at: datetime
    rows_loaded: int
    rows_duplicate: int
    loads_gone: int


def find_load(cursor: Cursor, load: Load) -> EarlierLoad | None:
    """Return the last successful load of the same file, or None.

    A load with `keep` has stored every row that one with `drop` would store.
    """
    cursor.execute(
        "select load_id, finished_at, rows_loaded, rows_duplicate, loads_gone"
        " from raw._loads where table_name = %s and file_size = %s and file_sha256 = %s"
        " and status = 'loaded' and (duplicates = %s or duplicates = 'keep')"
        " order by load_id desc limit 1",
        (load.table, load.file_size, load.file_sha256, load.duplicates),
    )
    row = cursor.fetchone()
    return None if row is None else EarlierLoad(*row)


class GoneLoads:
    """The loads of a table that stored rows of which none is left.

    A lookup costs up to a millisecond a load, and a run may ask once per file. Each load is
    therefore looked up once a run, and the result is kept.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._looked_up_to = 0
        self._gone: list[int] = []

    def count(self, cursor: Cursor, last: int) -> int:
        """Return how many of the loads from 1 to `last` are gone."""
        if last > self._looked_up_to:
            self._gone += _gone_loads(cursor, self._table, self._looked_up_to + 1, last)
            self._looked_up_to = last
        return bisect_right(self._gone, last)


def is_still_loaded(cursor: Cursor, table: str, earlier: EarlierLoad, gone: GoneLoads) -> bool:
    """Return whether the file of the earlier load counts as still in the table.

    A load is gone when it has lost all its rows. The earlier load must not be gone. If it dropped
    duplicates, rows of the file may belong to any load before it. Then none of those loads may be
    gone either, except those that were gone already when the earlier load read the file.
    """
    if earlier.rows_duplicate and earlier.load_id > 1:
        return gone.count(cursor, earlier.load_id) == earlier.loads_gone
    return not earlier.rows_loaded or _has_rows(cursor, table, earlier.load_id)


def _has_rows(cursor: Cursor, table: str, load_id: int) -> bool:
    if not exists(cursor, table):
        return False
    query = SQL("select exists (select from {} where _load_id = %s)").format(relation(table))
    return bool(fetch_value(cursor, query, (load_id,)))


def _gone_loads(cursor: Cursor, table: str, first: int, last: int) -> list[int]:
    """Return the loads from `first` to `last` that stored rows and have none now, in order.

    The query looks up each load in the block range index, and stops at the load's first row. A
    query for the distinct _load_ids would scan the whole table. With very many loads the scan is
    cheaper, and the planner is free to choose it.
    """
    has_no_rows: Composable = SQL("true")
    if exists(cursor, table):
        # The alias keeps a table that is itself named `loads` apart from the load log.
        has_no_rows = SQL(
            "not exists (select from {} as target where _load_id = loads.load_id)"
        ).format(relation(table))
    cursor.execute(
        SQL(
            "select load_id from raw._loads as loads where table_name = %s and load_id between %s"
            " and %s and status = 'loaded' and rows_loaded > 0 and {} order by load_id"
        ).format(has_no_rows),
        (table, first, last),
    )
    return [load_id for (load_id,) in cursor.fetchall()]


def is_written(cursor: Cursor, load: Load) -> bool:
    """Return whether raw._loads has this attempt to load the file.

    A client that loses its connection during a commit does not know whether the commit succeeded.
    """
    query = (
        "select exists (select from raw._loads where (table_name, load_id, source_file, started_at,"
        " status) = (%(table)s, %(load_id)s, %(source_file)s, %(started_at)s, %(status)s))"
    )
    return bool(fetch_value(cursor, query, vars(load)))


def write(cursor: Cursor, load: Load) -> None:
    """Write the load to raw._loads and its rejects to raw._rejects."""
    cursor.execute(
        "insert into raw._loads (table_name, load_id, source_file, file_size, file_sha256,"
        " status, error, rows_read, rows_loaded, rows_duplicate, rows_rejected, rows_skipped,"
        " started_at, finished_at, duplicates, loads_gone, first_row_hash, last_row_hash) values"
        " (%(table)s, %(load_id)s, %(source_file)s, %(file_size)s, %(file_sha256)s, %(status)s,"
        " %(error)s, %(rows_read)s, %(rows_loaded)s, %(rows_duplicate)s, %(rows_rejected)s,"
        " %(rows_skipped)s, %(started_at)s, clock_timestamp(), %(duplicates)s, %(loads_gone)s,"
        " %(first_row_hash)s, %(last_row_hash)s)",
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
