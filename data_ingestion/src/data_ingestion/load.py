"""Loading one file: everything it brings and its audit row in one transaction, or nothing.

1. The table's advisory lock is taken: loads of one table take turns, and load ids rise in the
   order in which loads become visible.
2. A file that is known (size and sha256 of a load, and no load that may have brought its rows has
   lost them since) ends here.
3. Blocks of records are parsed, hashed and cleared of rows seen before: in this file by
   `SeenRows`, in the table by its unique index. What is new goes through COPY, while the next
   block is being prepared.
4. The unique index is made if it is not there, the sum is checked, the audit row is written.

Whatever fails rolls all of that back. When the input was at fault, a second, short transaction
writes the failed audit row and the rejects, under the same lock and the same rule for load ids.
"""

import gc
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from data_ingestion import audit
from data_ingestion.errors import InputError, printable
from data_ingestion.model import Load, Options
from data_ingestion.progress import Progress
from data_ingestion.sources import Source
from data_ingestion.warehouse import Connection, Cursor, Warehouse

log = logging.getLogger(__name__)


def load_file(
    path: Path,
    options: Options,
    warehouse: Warehouse,
    progress: Progress,
    gone: audit.GoneLoads,
) -> None:
    """Loads one file and says in one line what came of it; `gone` is for all files of a run.

    Raises:
        InputError: the file is bad; raw._loads and raw._rejects say so too.
        WarehouseError: the warehouse cannot be used.
    """
    name = path.name.encode(errors="surrogateescape").decode(errors="replace")
    began = time.monotonic()
    attempt = _FileLoad(path, name, options, progress, gone)
    try:
        load = warehouse.run(attempt.run)
    except InputError as error:
        failed = attempt.load
        failed.status, failed.error = "failed", str(error)
        failed.rows_loaded = failed.rows_duplicate = 0
        load_id = warehouse.run(lambda connection: _write_failure(connection, failed))
        raise InputError(f"{printable(name)}: {_with_hint(failed, load_id)}") from error
    if load is not None:
        _log_summary(load, time.monotonic() - began)


def _write_failure(connection: Connection, load: Load) -> int:
    with connection.cursor() as cursor:
        audit.create_tables(cursor)
        audit.lock(cursor, load.table)
        if not audit.is_written(cursor, load):
            load.load_id = audit.next_load_id(cursor, load.table)
            audit.write(cursor, load)
    return load.load_id


def _with_hint(load: Load, load_id: int) -> str:
    if not load.rejects:
        return load.error
    return f"{load.error}; nothing was loaded; see them: {_rejects_query(load.table, load_id)}"


def _rejects_query(table: str, load_id: int) -> str:
    """What a person runs to look at a load's rejects."""
    return (
        "select source_line, reason, line from raw._rejects"  # noqa: S608 - to be read
        f" where table_name = '{table}' and load_id = {load_id}"
    )


def _log_summary(load: Load, seconds: float) -> None:
    log.info(
        "%s: read %s = loaded %s + duplicates %s + rejected %s in %.1f s (%s rows/s)",
        printable(load.source_file),
        f"{load.rows_read:,}",
        f"{load.rows_loaded:,}",
        f"{load.rows_duplicate:,}",
        f"{load.rows_rejected:,}",
        seconds,
        f"{load.rows_read / max(seconds, 0.001):,.0f}",
    )
    if load.rows_rejected:
        query = _rejects_query(load.table, load.load_id)
        log.warning("%s rejected, see them: %s", f"{load.rows_rejected:,}", query)


def _import_write_rows() -> Callable[..., None]:
    """Imports numpy, pandas and pyarrow: that costs more than all that is done for a known file."""
    # numpy's linear algebra, which nothing here needs, would start its threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # nothing of what an import makes can go: looking for it takes a tenth of the time
    from data_ingestion.write import write_rows

    gc.enable()
    return write_rows


class _FileLoad:
    """The attempts at one file; `run` is one of them, from the beginning."""

    def __init__(
        self,
        path: Path,
        name: str,
        options: Options,
        progress: Progress,
        gone: audit.GoneLoads,
    ) -> None:
        self._path, self._name = path, name
        self._options, self._progress, self._gone = options, progress, gone
        self.load = self._new_load(datetime.now().astimezone())

    def _new_load(self, started_at: datetime) -> Load:
        return Load(self._options.table, self._name, self._options.duplicates, started_at)

    def run(self, connection: Connection) -> Load | None:
        """One attempt in the caller's transaction; None when the file is known already."""
        with connection.cursor() as cursor:
            audit.create_tables(cursor)
            connection.commit()
            self._lock(cursor)
            if self.load.load_id and audit.is_written(cursor, self.load):
                log.info(
                    "%s: the load had ended when the connection was lost", printable(self._name)
                )
                return self.load
            cursor.execute("select clock_timestamp()")
            self.load = load = self._new_load(cursor.fetchone()[0])
            with Source(self._path, self._options.dialect, self._options.inside) as source:
                load.file_size = source.size
                if not self._options.force and self._is_known(cursor, source):
                    return None
                load.load_id = audit.next_load_id(cursor, load.table)
                with ThreadPoolExecutor(max_workers=1) as thread:
                    hashing = thread.submit(self._hash_file, source)
                    try:
                        self._load_rows(cursor, source)
                    except InputError:  # its audit row tells the hash
                        raise
                    except BaseException:
                        source.stop_hashing()
                        raise
                hashing.result()
                source.check_unchanged()
            self._check_sum()
            audit.write(cursor, load)
        return load

    def _lock(self, cursor: Cursor) -> None:
        table = self._options.table
        if not audit.lock(cursor, table, wait=False):
            log.info("%s: waiting for another load of raw.%s", printable(self._name), table)
            audit.lock(cursor, table)

    def _is_known(self, cursor: Cursor, source: Source) -> bool:
        if not audit.sizes_loaded(cursor, self.load):
            return False
        self._hash_file(source)
        known = audit.known_load(cursor, self.load, self._gone)
        if known is None:
            return False
        log.info(
            "%s: already loaded as load %d on %s, nothing to do",
            printable(self._name),
            known[0],
            known[1].strftime("%Y-%m-%d %H:%M:%S %Z"),
        )
        return True

    def _hash_file(self, source: Source) -> None:
        self.load.file_sha256 = self.load.file_sha256 or source.sha256()

    def _load_rows(self, cursor: Cursor, source: Source) -> None:
        write_rows = _import_write_rows()
        load, most = self.load, self._options.max_rejects
        with self._progress.of(self._name, source) as advance:
            write_rows(cursor, source, load, self._options, advance)
        if not load.rows_read:
            raise InputError("holds a header and no rows: there is nothing to load")
        if load.rows_rejected > most:
            raise InputError(
                f"{load.rows_rejected:,} of {load.rows_read:,} lines do not fit (more than "
                f"--max-rejects {most}), the first is line {load.rejects[0].line_number}: "
                f"{load.rejects[0].reason}"
            )

    def _check_sum(self) -> None:
        """What the scanner counted against what deduplication dropped and the server took."""
        load = self.load
        total = load.rows_loaded + load.rows_duplicate + load.rows_rejected
        if load.rows_read != total:
            raise RuntimeError(
                f"{load.rows_read} rows were read, but {load.rows_loaded} loaded +"
                f" {load.rows_duplicate} duplicates + {load.rows_rejected} rejected = {total}"
            )
