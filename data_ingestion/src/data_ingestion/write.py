"""Write the rows of one file into its table: the hot loop, with bounded memory.

Three steps run side by side on consecutive blocks of records: one block is parsed, the block before
it is hashed and cleared of duplicates, and the one before that is sent to the server. Memory
therefore holds a few blocks and the hashes in `SeenRows`. If the table already has rows, the file's
rows wait in batches of about MAX_BATCH_BYTES, and memory holds two or three batches.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import psycopg2
import pyarrow as pa
from numpy.typing import NDArray

from data_ingestion.contracts import CONTRACTS, Columns, name_columns
from data_ingestion.dedup import SeenRows
from data_ingestion.errors import FileRefusedError, InputError
from data_ingestion.formats.sources import Source
from data_ingestion.model import Load, Options, Reject, RowCounts
from data_ingestion.parsing.records import MAX_REJECTS_KEPT, Block, RecordReader
from data_ingestion.parsing.values import read_values
from data_ingestion.postgres import tables
from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import (
    CopyFormat,
    Rows,
    copy_of,
    encode,
    hash_occurrences,
    hash_rows,
    is_in,
)

# A batch of rows is looked up in the table when it reaches either of these sizes.
MAX_BATCH_ROWS = 100_000
MAX_BATCH_BYTES = 20 << 20
Item = TypeVar("Item")


def write_rows(
    cursor: Cursor,
    source: Source,
    load: Load,
    options: Options,
    advance: Callable[[int], None],
) -> RowCounts:
    """Write the new rows of a file into its table, which is created if it does not exist.

    Once more than `options.max_rejects` records are rejected, the rest of the file is only searched
    for further rejects, and the caller rolls back.

    Args:
        cursor: A cursor of the load's transaction.
        source: The file.
        load: The load that the rows belong to.
        options: How the file is loaded.
        advance: Called with the number of rows read so far.

    Returns:
        The number of rows for each result, and the first rejects.

    Raises:
        FileRefusedError: The file as a whole is bad, or does not fit the table.
    """
    reading = _Reading(options.max_rejects)
    loaded = duplicate = 0
    try:
        reader = RecordReader(source.chunks(), options.dialect)
        header = reader.header()
        columns = name_columns(header, CONTRACTS.get(options.table))
        columns, has_rows = tables.open_table(cursor, load.table, columns)
        parsed = (
            (read_values(block, columns, len(header), options.dialect), block.line_numbers)
            for block in reading.counted(reader.blocks(len(header)))
        )
        with _Writer(cursor, load, columns, has_rows, options) as writer:
            for values, line_numbers in _one_ahead(parsed):
                if len(line_numbers):
                    writer.write(encode(values), line_numbers)
                advance(reading.read)
        loaded, duplicate = writer.loaded, writer.duplicate
        tables.create_indexes(cursor, load.table)
    except InputError as error:
        raise FileRefusedError(str(error), reading.result(loaded, duplicate)) from error
    return reading.result(loaded, duplicate)


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the same items. A second thread makes the next item while the caller uses one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


class _Reading:
    """Counts the records that were read, and collects the first rejects."""

    def __init__(self, max_rejects: int) -> None:
        self._max_rejects = max_rejects
        self._rejects: list[Reject] = []
        self._rejected = 0
        self.read = 0

    def counted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks after counting them; once the load must fail, yield empty ones."""
        for block in blocks:
            self.read += len(block.line_numbers) + block.rejected
            self._rejected += block.rejected
            self._rejects += block.rejects[: MAX_REJECTS_KEPT - len(self._rejects)]
            failed = self._rejected > self._max_rejects
            yield Block(b"", np.empty(0, np.int64)) if failed else block

    def result(self, loaded: int, duplicate: int) -> RowCounts:
        """Return all counts."""
        return RowCounts(self.read, loaded, duplicate, self._rejected, tuple(self._rejects))


class _Writer:
    """Drops duplicates and sends the other rows, one COPY at a time in a second thread.

    Rows for an empty table are sent as they come. For a table with rows, batches of rows are first
    looked up in the order of its unique index, which halves the cost of both the lookup and the
    later insertion into the index. The lookup also finds earlier rows of the same file, so a full
    `SeenRows` does no harm there. In an empty table, the duplicates that a full `SeenRows` missed
    are deleted at the end.

    Attributes:
        loaded: The number of rows that the server stored.
        duplicate: The number of duplicates that were dropped.
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
        self._cursor, self._table, self._has_rows = cursor, load.table, has_rows
        self._keep = options.duplicates == "keep"
        self._seen = SeenRows(options.dedup_memory, self._keep, self._idle_cursor)
        self._statement = tables.copy_statement(cursor, load.table, columns, freeze=not has_rows)
        self._format = CopyFormat(load, len(columns.names))
        self._batch: list[Rows] = []
        # The first line at which `SeenRows` may have missed a duplicate.
        self._incomplete_from: int | None = None
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._sending: Future[tuple[int, int]] | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._send_batch()
                self._finish()
                self._delete_missed()
        finally:
            # After an error a COPY may still run, and the connection must stay open until the COPY
            # ends. Cancelling opens a second connection, so first give the COPY time to end.
            if self._sending is not None and wait([self._sending], timeout=1).not_done:
                with contextlib.suppress(psycopg2.Error):
                    self._cursor.connection.cancel()
            self._thread.shutdown()

    def write(self, encoded: pa.Array, line_numbers: NDArray[np.int64]) -> None:
        """Send the rows that are new, and count the duplicates."""
        rows = Rows(encoded, hash_rows(encoded), line_numbers)
        numbers = self._seen.occurrences(rows.hashes)
        if not self._seen.complete and self._incomplete_from is None:
            self._incomplete_from = int(line_numbers[0])
        repeated = numbers > 1
        if repeated.any():
            if self._keep:
                rows.hashes = hash_occurrences(encoded, numbers)
            else:
                rows = rows.where(~repeated)
                self.duplicate += int(np.count_nonzero(repeated))
        if not self._has_rows:
            self._send(self._copy, rows)
            return
        self._batch.append(rows)
        size = sum(rows.encoded.nbytes for rows in self._batch)
        if sum(map(len, self._batch)) >= MAX_BATCH_ROWS or size >= MAX_BATCH_BYTES:
            self._send_batch()

    def _send_batch(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._send(self._copy_if_new, batch)

    def _copy_if_new(self, batch: list[Rows]) -> tuple[int, int]:
        """Copy the rows that the table does not have; return the same counts as `_copy`."""
        rows = Rows.in_order_of_hashes(batch)
        hashes = io.BytesIO(copy_of(rows.hashes))
        existing = is_in(rows.hashes, tables.existing_hashes(self._cursor, self._table, hashes))
        # A full `SeenRows` may have missed rows that are equal to another row of the batch.
        existing[1:] |= rows.hashes[1:] == rows.hashes[:-1]
        loaded, _ = self._copy(rows.where(~existing))
        return loaded, int(np.count_nonzero(existing))

    def _delete_missed(self) -> None:
        """Delete the duplicates that `SeenRows` missed, from a table that was empty."""
        if self._incomplete_from is not None and not self._has_rows:
            deleted = tables.delete_duplicates(self._cursor, self._table, self._incomplete_from)
            self.loaded -= deleted
            self.duplicate += deleted

    def _copy(self, rows: Rows) -> tuple[int, int]:
        """Copy rows; return how many the server stored, and how many duplicates were dropped."""
        if not len(rows):
            return 0, 0
        data = io.BytesIO(self._format.complete(rows))
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
        if self._sending is not None:
            loaded, duplicate = self._sending.result()
            self._sending = None
            self.loaded += loaded
            self.duplicate += duplicate
