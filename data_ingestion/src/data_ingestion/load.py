"""Load one file: all its rows and its row in the load log in one transaction, or nothing.

1. Take the table's advisory lock. Loads of one table take turns, and load ids rise in the order in
   which loads become visible.
2. Skip a file that is already loaded: raw._loads has its size and SHA-256, and its rows are still
   in the table.
3. Parse and hash blocks of records, and drop duplicates: `SeenRows` finds those of this file, the
   table's unique index those of earlier loads. COPY sends the new rows, while the next block is
   prepared.
4. Create the unique index if it does not exist, check the sum of the counts, and write the load
   log.

Any failure rolls all of this back. If the input was the cause, a second, short transaction writes
the failed load and its rejects, with the same lock and the same rule for load ids.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from data_ingestion.declarations import declared
from data_ingestion.errors import FileRefusedError, InputError, printable
from data_ingestion.formats.sources import Source
from data_ingestion.model import Dialect, Load, Options, RowCounts
from data_ingestion.postgres import load_log
from data_ingestion.postgres.catalog import fetch_value
from data_ingestion.postgres.connection import Connection, Cursor, Warehouse
from data_ingestion.progress import Progress

log = logging.getLogger(__name__)


def load_file(
    path: Path,
    options: Options,
    warehouse: Warehouse,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    gone: load_log.GoneLoads | None = None,
    report: Callable[[Path, Load], None] = lambda *_: None,
) -> Load | None:
    """Load one file and log the result in one line.

    Args:
        path: The file.
        options: How the file is loaded.
        warehouse: The warehouse to load it into.
        folder: The folder that must contain the file after all links are resolved.
        progress: Shows how much of the file was read.
        gone: The loads that lost all their rows. Share one object between the files of a run, so
            that each load is looked up once.
        report: Called with the path and the load after a load or a failed load.

    Returns:
        The load, or None if the file is already loaded.

    Raises:
        InputError: The file is bad. raw._loads and raw._rejects record the failed load.
        WarehouseError: The warehouse cannot be used.
    """
    started = time.monotonic()
    file = _FileLoad(
        path, folder, options, progress or Progress(), gone or load_log.GoneLoads(options.table)
    )
    try:
        load = warehouse.run(file.run)
    except InputError as error:
        failed = file.load
        failed.status, failed.error = "failed", str(error)
        failed.rows_loaded = failed.rows_duplicate = 0
        failed.first_row_hash = failed.last_row_hash = None
        load_id = warehouse.run(lambda connection: _write_failure(connection, failed))
        report(path, failed)
        message = _with_hint(str(error), failed, load_id)
        raise InputError(f"{printable(file.name)}: {message}") from error
    if load is not None:
        _log_summary(load, time.monotonic() - started)
        report(path, load)
    return load


def _write_failure(connection: Connection, load: Load) -> int:
    """Write a failed load to the load log, and return its id."""
    with connection.cursor() as cursor:
        load_log.create_tables(cursor)
        load_log.lock(cursor, load.table)
        if not load_log.is_written(cursor, load):
            load.load_id = load_log.next_load_id(cursor, load.table)
            load_log.write(cursor, load)
    return load.load_id


def _with_hint(message: str, load: Load, load_id: int) -> str:
    if not load.rejects:
        return message
    query = _rejects_query(load.table, load_id)
    return f"{message}; nothing was loaded; list the rejects with: {query}"


def _rejects_query(table: str, load_id: int) -> str:
    """Return the query with which a person can look at the rejects of a load."""
    return (
        "select source_line, reason, line from raw._rejects"  # noqa: S608 - only printed
        f" where table_name = '{table}' and load_id = {load_id}"
    )


def _log_summary(load: Load, seconds: float) -> None:
    log.info(
        "%s: read %s = loaded %s + duplicates %s + rejected %s%s in %.1f s (%s rows/s)",
        printable(load.source_file),
        f"{load.rows_read:,}",
        f"{load.rows_loaded:,}",
        f"{load.rows_duplicate:,}",
        f"{load.rows_rejected:,}",
        f" + skipped {load.rows_skipped:,}" if load.rows_skipped else "",
        seconds,
        f"{load.rows_read / max(seconds, 0.001):,.0f}",
    )
    if load.rows_rejected:
        query = _rejects_query(load.table, load.load_id)
        log.warning("%s rejected; list the rejects with: %s", f"{load.rows_rejected:,}", query)


class _FileLoad:
    """The load of one file. Each call of `run` is an attempt from the beginning."""

    def __init__(
        self,
        path: Path,
        folder: Path | None,
        options: Options,
        progress: Progress,
        gone: load_log.GoneLoads,
    ) -> None:
        self._path, self._folder = path, folder
        self._progress, self._gone = progress, gone
        self._contract = contract = declared().get(options.table)
        self._dialect = options.dialect or (contract.dialect if contract else Dialect())
        if contract and contract.duplicates == "keep":
            options = replace(options, duplicates="keep")
        self._options = options
        self.name = path.name.encode(errors="surrogateescape").decode(errors="replace")
        self.load = self._new_load(datetime.now().astimezone())

    def _new_load(self, started_at: datetime) -> Load:
        return Load(self._options.table, self.name, self._options.duplicates, started_at)

    def run(self, connection: Connection) -> Load | None:
        """Make one attempt in the caller's transaction; return None for a known file."""
        with connection.cursor() as cursor:
            load_log.create_tables(cursor)
            connection.commit()
            self._lock(cursor)
            if self.load.load_id and load_log.is_written(cursor, self.load):
                name = printable(self.name)
                log.info("%s: the load was committed before the connection was lost", name)
                return self.load
            self.load = self._new_load(fetch_value(cursor, "select clock_timestamp()"))
            with Source(self._path, self._dialect, self._folder, self._contract) as source:
                self.load.file_size = source.size
                if not self._options.force and self._is_known(cursor, source):
                    return None
                self.load.load_id = load_log.next_load_id(cursor, self.load.table)
                self._load_rows(cursor, source)
                source.check_unchanged()
            self._check_sum()
            load_log.write(cursor, self.load)
        return self.load

    def _lock(self, cursor: Cursor) -> None:
        table = self._options.table
        if not load_log.lock(cursor, table, wait=False):
            log.info("%s: waiting for another load of raw.%s", printable(self.name), table)
            load_log.lock(cursor, table)

    def _is_known(self, cursor: Cursor, source: Source) -> bool:
        if not load_log.is_size_known(cursor, self.load):
            return False
        self._hash_file(source)
        table, earlier = self.load.table, load_log.find_load(cursor, self.load)
        if earlier is None:
            return False
        if load_log.is_still_loaded(cursor, table, earlier, self._gone):
            log.info(
                "%s: already loaded as load %d on %s, nothing to do",
                printable(self.name),
                earlier.load_id,
                earlier.finished_at.strftime("%Y-%m-%d %H:%M:%S %Z"),
            )
            return True
        # Record how many loads are gone, so that they cause no further reading of the same file.
        last = load_log.next_load_id(cursor, table) - 1
        self.load.loads_gone = self._gone.count(cursor, last)
        return False

    def _hash_file(self, source: Source) -> None:
        self.load.file_sha256 = self.load.file_sha256 or source.sha256()

    def _load_rows(self, cursor: Cursor, source: Source) -> None:
        """Write the rows, while another thread computes the file's hash."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            hashing = thread.submit(self._hash_file, source)
            try:
                self._write_rows(cursor, source)
            except InputError:  # let the hash finish: the load log records it for a bad file, too
                raise
            except BaseException:
                source.stop_hashing()
                raise
        hashing.result()

    def _write_rows(self, cursor: Cursor, source: Source) -> None:
        # Import pandas here: for a known file this import would take longer than everything else.
        from data_ingestion.write import write_rows

        with self._progress.of(self.name, source) as advance:
            try:
                counts = write_rows(
                    cursor, source, self.load, self._options, self._contract, advance
                )
            except FileRefusedError as error:
                self._set_counts(error.counts)
                raise
        self._set_counts(counts)
        limit = self._options.max_rejects
        if not counts.read:
            raise InputError("has a header but no rows: there is nothing to load")
        if counts.rejected > limit:
            raise InputError(
                f"{counts.rejected:,} of {counts.read:,} lines rejected (more than "
                f"--max-rejects {limit}); the first is line {counts.rejects[0].line_number}: "
                f"{counts.rejects[0].reason}"
            )

    def _set_counts(self, counts: RowCounts) -> None:
        load = self.load
        load.rows_read, load.rows_loaded = counts.read, counts.loaded
        load.rows_duplicate, load.rows_rejected = counts.duplicate, counts.rejected
        load.rows_skipped, load.rejects = counts.skipped, counts.rejects
        load.first_row_hash, load.last_row_hash = counts.first_row_hash, counts.last_row_hash

    def _check_sum(self) -> None:
        """Check the scanner's count against those of the server, deduplication and the rejects."""
        load = self.load
        total = load.rows_loaded + load.rows_duplicate + load.rows_rejected + load.rows_skipped
        if load.rows_read != total:
            raise RuntimeError(
                f"{load.rows_read} rows were read, but {load.rows_loaded} loaded +"
                f" {load.rows_duplicate} duplicates + {load.rows_rejected} rejected +"
                f" {load.rows_skipped} skipped = {total}"
            )
