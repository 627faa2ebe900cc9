"""Drop the duplicates among the rows of one file, and send the other rows to the server."""

import contextlib
import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import psycopg2
import pyarrow as pa

from data_ingestion.contracts import Columns
from data_ingestion.dedup import SeenRows
from data_ingestion.model import Load, Options
from data_ingestion.postgres import duplicates, tables
from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import (
    HASH,
    CopyFormat,
    Flags,
    Hashes,
    Integers,
    Rows,
    complete,
    copy_of,
    hash_occurrences,
    hash_rows,
    is_in,
)
from data_ingestion.postgres.copy_stream import CopyStream

# A batch of rows is looked up in the table when it reaches either of these sizes.
MAX_BATCH_ROWS = 100_000
MAX_BATCH_BYTES = 20 << 20
Item = TypeVar("Item")


class Writer:
    """Drops duplicates and sends the other rows in a second thread.

    Rows for an empty table are sent as they come, in one COPY. One COPY per block would leave some
    pages of the table empty, and a first load would take a tenth longer. The duplicates that a full
    `SeenRows` missed are deleted at the end.

    For a table with rows, batches of rows are first looked up in the order of its unique index,
    which halves the cost of both the lookup and the later insertion into the index. The lookup also
    finds earlier rows of the same file, so a full `SeenRows` does no harm there.

    raw._duplicates gets the rows that were dropped because the file has an equal row before them,
    and none that was dropped only because an earlier load has it.

    Attributes:
        loaded: The number of rows that the server stored.
        duplicate: The number of duplicates that were dropped.
        first_row_hash: The hash of the file's first row in hexadecimal digits, if there is a row.
        last_row_hash: The hash of its last row.
    """

    def __init__(
        self,
        cursor: Cursor,
        load: Load,
        columns: Columns,
        has_rows: bool,
        options: Options,
    ) -> None:
        self.loaded = self.duplicate = 0
        self.first_row_hash: str | None = None
        self.last_row_hash: str | None = None
        self._cursor, self._load, self._has_rows = cursor, load, has_rows
        self._keep = options.duplicates == "keep"
        self._seen = SeenRows(options.dedup_memory, self._keep, self._idle_cursor)
        self._statement = tables.copy_statement(cursor, load.table, columns, freeze=not has_rows)
        self._format = CopyFormat(load.load_id, len(columns.names))
        self._batch: list[Rows] = []
        self._dropped: list[tuple[Hashes, Integers]] = []  # not yet in raw._duplicates
        # The first line at which `SeenRows` may have missed a duplicate.
        self._incomplete_from: int | None = None
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._stream: CopyStream | None = None
        self._sending: Future[tuple[int, int]] | None = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._send_batch()
                self._send_dropped()
                self._finish()
                self._delete_missed()
        finally:
            if self._stream is not None:
                self._stream.cancel()
            # After an error a COPY may still run, and the connection must stay open until the COPY
            # ends. Cancelling opens a second connection, so first give the COPY time to end.
            if self._sending is not None and wait([self._sending], timeout=1).not_done:
                with contextlib.suppress(psycopg2.Error):
                    self._cursor.connection.cancel()
            self._thread.shutdown()

    def write(self, encoded: pa.Array, line_numbers: Integers) -> None:
        """Send the rows that are new, and count the duplicates."""
        rows = Rows(encoded, hash_rows(encoded), line_numbers)
        numbers = self._seen.occurrences(rows.hashes)
        if not self._seen.complete and self._incomplete_from is None:
            self._incomplete_from = int(line_numbers[0])
        repeated = numbers > 1
        is_repeated = repeated.any()
        if is_repeated and self._keep:
            rows.hashes = hash_occurrences(encoded, numbers)
        self.first_row_hash = self.first_row_hash or rows.hashes[0].tobytes().hex()
        self.last_row_hash = rows.hashes[-1].tobytes().hex()
        if is_repeated and not self._keep:
            self._drop(rows.hashes[repeated], line_numbers[repeated])
            rows = rows.where(~repeated)
        if not self._has_rows:
            self._stream_rows(rows)
            return
        self._batch.append(rows)
        size = sum(rows.encoded.nbytes for rows in self._batch)
        if sum(map(len, self._batch)) >= MAX_BATCH_ROWS or size >= MAX_BATCH_BYTES:
            self._send_batch()

    def _stream_rows(self, rows: Rows) -> None:
        """Add rows to the running COPY, or start one."""
        if self._stream is None:
            stream = CopyStream()
            self._send(self._copy_stream, stream)
            self._stream = stream
        if not self._stream.write(self._format.rows(rows)):
            self._finish()

    def _copy_stream(self, stream: CopyStream) -> tuple[int, int]:
        """Copy all rows of a stream; return the same counts as `_copy`."""
        try:
            return tables.copy(self._cursor, self._statement, stream), 0
        finally:
            stream.stop_reading()

    def _drop(self, hashes: Hashes, line_numbers: Integers) -> None:
        self.duplicate += len(hashes)
        self._dropped.append((hashes, line_numbers))
        if sum(len(hashes) for hashes, _ in self._dropped) >= MAX_BATCH_ROWS:
            self._send_dropped()

    def _send_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, []
            self._send(self._record, dropped)

    def _record(self, dropped: list[tuple[Hashes, Integers]]) -> tuple[int, int]:
        """Record rows that are counted already, so return zero counts."""
        # Without `dtype` numpy converts to the machine's byte order, and the bytes would differ.
        hashes = np.concatenate([hashes for hashes, _ in dropped], dtype=HASH)
        line_numbers = np.concatenate([line_numbers for _, line_numbers in dropped])
        duplicates.record(self._cursor, self._load, hashes, line_numbers)
        return 0, 0

    def _send_batch(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._send(self._copy_if_new, batch)

    def _copy_if_new(self, batch: list[Rows]) -> tuple[int, int]:
        """Copy the rows that the table does not have; return the same counts as `_copy`."""
        rows = Rows.in_order_of_hashes(batch)
        hashes = io.BytesIO(copy_of(rows.hashes))
        table = self._load.table
        existing = is_in(rows.hashes, tables.existing_hashes(self._cursor, table, hashes))
        if self._incomplete_from is not None:
            existing |= self._missed(rows, existing)
        loaded, _ = self._copy(rows.where(~existing))
        return loaded, int(np.count_nonzero(existing))

    def _missed(self, rows: Rows, existing: Flags) -> Flags:
        """Find and record the duplicates in a batch that a full `SeenRows` missed.

        Args:
            rows: The rows of a batch in the order of their hashes.
            existing: Whether the table has each row.
        """
        missed = np.zeros(len(rows), bool)
        if existing.any():
            hashes = duplicates.repeated_hashes(self._cursor, self._load, rows.hashes[existing])
            missed = is_in(rows.hashes, hashes)
        missed[1:] |= rows.hashes[1:] == rows.hashes[:-1]
        if missed.any():
            self._record([(rows.hashes[missed], rows.line_numbers[missed])])
        return missed

    def _delete_missed(self) -> None:
        """Delete the duplicates that `SeenRows` missed, from a table that was empty."""
        if self._incomplete_from is not None and not self._has_rows:
            first_line = self._incomplete_from
            deleted = duplicates.delete_and_record(self._cursor, self._load, first_line)
            self.loaded -= deleted
            self.duplicate += deleted

    def _copy(self, rows: Rows) -> tuple[int, int]:
        """Copy rows; return how many the server stored, and how many duplicates were dropped."""
        if not len(rows):
            return 0, 0
        data = io.BytesIO(complete(self._format.rows(rows)))
        return tables.copy(self._cursor, self._statement, data), 0

    def _send(self, work: Callable[[Item], tuple[int, int]], item: Item) -> None:
        """Start work in the second thread, which alone uses the connection until `_finish`."""
        self._finish()
        self._sending = self._thread.submit(work, item)

    def _idle_cursor(self) -> Cursor:
        """Return the cursor, after the work in the second thread has ended."""
        self._finish()
        return self._cursor

    def _finish(self) -> None:
        """Wait for the second thread.

        Raises:
            psycopg2.Error: The server refused something, or is gone.
        """
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()
        if self._sending is not None:
            loaded, duplicate = self._sending.result()
            self._sending = None
            self.loaded += loaded
            self.duplicate += duplicate
