"""The audit tables of the schema `raw`, `_loads` and `_rejects`, and the lock that orders loads.

Every function works inside the caller's transaction, on the caller's cursor.
"""

from bisect import bisect_right
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
-- Not above, so that the table of an older version gets it, too. That its index is there tells that
-- it is: to ask for a column costs every load some 200 pages of the catalogue.
alter table raw._loads add column if not exists loads_gone bigint not null default 0;
create index if not exists _loads_gone on raw._loads (table_name) where loads_gone > 0;
create index if not exists _rejects_load on raw._rejects (table_name, load_id);
comment on table raw._loads is 'One row per attempt to load a file';
comment on column raw._loads.loads_gone is
    'Earlier loads known to be without rows when this one read its file again';
comment on table raw._rejects is 'Lines that did not fit their file''s header';
"""


def create_tables(cursor: Cursor) -> None:
    """Makes raw._loads and raw._rejects where they, or what a new version adds, are missing."""
    cursor.execute(
        "select num_nulls(to_regclass('raw._loads'), to_regclass('raw._rejects'),"
        " to_regclass('raw._loads_gone')) > 0"
    )
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


class GoneLoads:
    """The loads of a table that brought rows of which none is left, looked for once a run.

    To look costs up to a millisecond a load, and a run may ask for as many files as there are
    loads: what was found is kept, and only loads that came since are looked for.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._looked_up_to = 0
        self._gone: list[int] = []

    def count(self, cursor: Cursor, last: int) -> int:
        """How many of the loads up to `last` are gone."""
        if last > self._looked_up_to:
            self._gone += _gone_loads(cursor, self._table, self._looked_up_to + 1, last)
            self._looked_up_to = last
        return bisect_right(self._gone, last)


def known_load(cursor: Cursor, load: Load, gone: GoneLoads) -> tuple[int, datetime] | None:
    """The id and time of the last load of this very file, its rows being there still.

    If it dropped duplicates, rows of the file may stand in any load before it: then none of those
    may have lost all its rows since. Where one has, None is returned, and `load.loads_gone` says
    how many have: those are no reason to read the file again the next time.
    """
    cursor.execute(
        "select load_id, finished_at, rows_loaded > 0, rows_duplicate > 0, loads_gone"
        " from raw._loads where table_name = %s and file_size = %s and file_sha256 = %s"
        " and status = 'loaded' and duplicates = %s order by load_id desc limit 1",
        (load.table, load.file_size, load.file_sha256, load.duplicates),
    )
    found = cursor.fetchone()
    if found is None:
        return None
    load_id, finished_at, brought_rows, dropped_rows, gone_before = found
    if dropped_rows and load_id > 1:  # else there is no load but itself to hold them
        there = gone.count(cursor, load_id) == gone_before
    else:
        there = not brought_rows or _has_rows(cursor, load.table, load_id)
    if there:
        return load_id, finished_at
    load.loads_gone = gone.count(cursor, next_load_id(cursor, load.table) - 1)
    return None


def _has_rows(cursor: Cursor, table: str, load_id: int) -> bool:
    relation = _relation(cursor, table)
    if relation is None:
        return False
    query = SQL("select exists (select from {} where _load_id = %s)").format(relation)
    cursor.execute(query, (load_id,))
    return cursor.fetchone()[0]


def _gone_loads(cursor: Cursor, table: str, first: int, last: int) -> list[int]:
    """Which of the loads first to last brought rows and have none now, in ascending order.

    One look into the block range index a load, which ends at the load's first row. The distinct
    _load_ids of the table would take a scan of all of it; where there are so many loads that this
    is the cheaper way, the planner is free to take it.
    """
    relation = _relation(cursor, table)
    has_no_rows = SQL("true")
    if relation is not None:
        has_no_rows = SQL("not exists (select from {} as there where _load_id = loads.load_id)")
        has_no_rows = has_no_rows.format(relation)
    cursor.execute(
        SQL(
            "select load_id from raw._loads as loads where table_name = %s and load_id between %s"
            " and %s and status = 'loaded' and rows_loaded > 0 and {} order by load_id"
        ).format(has_no_rows),
        (table, first, last),
    )
    return [load_id for (load_id,) in cursor.fetchall()]


def _relation(cursor: Cursor, table: str) -> Identifier | None:
    """raw.<table>, quoted; None where there is no such table."""
    relation = Identifier("raw", table)
    cursor.execute("select to_regclass(%s) is not null", (relation.as_string(cursor),))
    return relation if cursor.fetchone()[0] else None


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
        " finished_at, duplicates, loads_gone) values (%(table)s, %(load_id)s, %(source_file)s,"
        " %(file_size)s, %(file_sha256)s, %(status)s, %(error)s, %(rows_read)s, %(rows_loaded)s,"
        " %(rows_duplicate)s, %(rows_rejected)s, %(started_at)s, clock_timestamp(),"
        " %(duplicates)s, %(loads_gone)s)",
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
