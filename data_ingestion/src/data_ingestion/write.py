"""The rows of one file into its table: the hot loop, and the memory it needs.

A block of records is parsed while the one before it is hashed and cleared of rows seen before, and
the one before that is on its way to the server. So a few blocks are in memory at any time, and what
`SeenRows` keeps; of rows that may be in the table already, MAX_WAITING bytes twice or three times.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import psycopg2
import pyarrow as pa

from data_ingestion import tables
from data_ingestion.contract import CONTRACTS, Columns, name_columns
from data_ingestion.model import Load, Options
from data_ingestion.records import MAX_REJECTS_KEPT, Block, RecordReader
from data_ingestion.rows import (
    CopyFormat,
    Rows,
    among,
    copy_of,
    encode,
    hash_occurrences,
    hash_rows,
    read_values,
)
from data_ingestion.seen import SeenRows
from data_ingestion.sources import Source
from data_ingestion.warehouse import Cursor

# Rows that may be in the table are asked for so many at a time, or so many bytes of them.
ASKED_AT_ONCE = 100_000
MAX_WAITING = 20 << 20
Item = TypeVar("Item")


def write_rows(
    cursor: Cursor,
    source: Source,
    load: Load,
    options: Options,
    advance: Callable[[int], None],
) -> None:
    """Writes a file's new rows, counting in `load`; calls `advance` with the rows read so far.

    The table is made if it is not there. When more than `options.max_rejects` records do not
    fit, the rest of the file is only looked through for more of them; the caller rolls back.

    Raises:
        InputError: the file as a whole is bad, or does not fit the table.
    """
    reader = RecordReader(source.chunks(), options.dialect)
    header = reader.header()
    columns = name_columns(header, CONTRACTS.get(options.table))
    columns, has_rows = tables.open_table(cursor, load.table, columns)
    blocks = _judged(reader.blocks(len(header)), load, options.max_rejects)
    parsed = (
        (read_values(block, columns, len(header), options.dialect), block.line_numbers)
        for block in blocks
    )
    with _Writer(cursor, load, columns, has_rows, options) as writer:
        for values, line_numbers in _one_ahead(parsed):
            if len(line_numbers):
                writer.write(encode(values), line_numbers)
            advance(load.rows_read)
    tables.create_indexes(cursor, load.table)


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yields the same items, each made in a second thread while the one before is in use."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


def _judged(blocks: Iterator[Block], load: Load, most: int) -> Iterator[Block]:
    """Counts records and keeps rejects; yields empty blocks once the load cannot succeed."""
    for block in blocks:
        load.rows_read += len(block.line_numbers) + block.rejected
        load.rows_rejected += block.rejected
        load.rejects += block.rejects[: MAX_REJECTS_KEPT - len(load.rejects)]
        yield block if load.rows_rejected <= most else Block(b"", np.empty(0, np.int64))


class _Writer:
    """Drops what was seen before and sends the rest, one COPY at a time in a second thread.

    Into an empty table rows go as they come. What may be in the table already is asked for, many
    rows at a time, in the order of its unique index: to find them, and to add the others to it,
    costs half of what it would in the order of the file. That also finds the rows of this file
    that went before, so there it does not matter when `SeenRows` is full; into an empty table the
    rows that it could not tell are looked through at the end.
    """

    def __init__(
        self,
        cursor: Cursor,
        load: Load,
        columns: Columns,
        has_rows: bool,
        options: Options,
    ) -> None:
        self._cursor, self._load, self._has_rows = cursor, load, has_rows
        self._keep = options.duplicates == "keep"
        self._seen = SeenRows(options.dedup_memory, self._keep, self._ask)
        self._statement = tables.copy_statement(cursor, load.table, columns, not has_rows)
        self._format = CopyFormat(load, len(columns.names))
        self._unsure: list[Rows] = []
        self._unseen_from: int | None = None  # the line from which on rows may be repeated
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._sending: Future[tuple[int, int]] | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self._send_unsure()
                self._finish()
                self._drop_unseen()
        finally:
            # Broken off; nobody may close the connection under it. To cancel takes a connection of
            # its own: not for what is about to end, or is lost.
            if self._sending is not None and wait([self._sending], timeout=1).not_done:
                with contextlib.suppress(psycopg2.Error):
                    self._cursor.connection.cancel()
            self._thread.shutdown()

    def write(self, encoded: pa.Array, line_numbers: np.ndarray) -> None:
        """Writes the rows that are new; counts the others."""
        rows = Rows(encoded, hash_rows(encoded), line_numbers)
        numbers = self._seen.occurrences(rows.hashes)
        if not self._seen.complete and self._unseen_from is None:
            self._unseen_from = int(line_numbers[0])
        repeated = numbers > 1
        if repeated.any():
            if self._keep:
                rows.hashes = hash_occurrences(encoded, numbers)
            else:
                rows = rows.where(~repeated)
                self._load.rows_duplicate += int(np.count_nonzero(repeated))
        if not self._has_rows:
            self._send(self._copy, rows)
            return
        self._unsure.append(rows)
        waiting = sum(rows.encoded.nbytes for rows in self._unsure)
        if sum(map(len, self._unsure)) >= ASKED_AT_ONCE or waiting >= MAX_WAITING:
            self._send_unsure()

    def _send_unsure(self) -> None:
        if self._unsure:
            unsure, self._unsure = self._unsure, []
            self._send(self._copy_if_new, unsure)

    def _copy_if_new(self, unsure: list[Rows]) -> tuple[int, int]:
        """Copies what the table does not hold yet; as `_copy`."""
        rows = Rows.in_order_of_hashes(unsure)
        asked = io.BytesIO(copy_of(rows.hashes))
        there = among(rows.hashes, tables.hashes_there(self._cursor, self._load.table, asked))
        there[1:] |= rows.hashes[1:] == rows.hashes[:-1]
        loaded, _ = self._copy(rows.where(~there))
        return loaded, int(np.count_nonzero(there))

    def _drop_unseen(self) -> None:
        """Into an empty table: of equal rows that `SeenRows` could not tell, the first stays."""
        if self._unseen_from is not None and not self._has_rows:
            dropped = tables.drop_repeated(self._cursor, self._load.table, self._unseen_from)
            self._load.rows_loaded -= dropped
            self._load.rows_duplicate += dropped

    def _copy(self, rows: Rows) -> tuple[int, int]:
        """Copies rows; returns how many the server took, and how many were there already."""
        if not len(rows):
            return 0, 0
        whole = io.BytesIO(self._format.complete(rows))
        return tables.copy(self._cursor, self._statement, whole), 0

    def _send(self, work: Callable[[Item], tuple[int, int]], item: Item) -> None:
        """Has the second thread do it: the connection's only user, until `_finish` has waited."""
        self._finish()
        self._sending = self._thread.submit(work, item)

    def _ask(self) -> Cursor:
        """The cursor, once what is under way on its connection has ended."""
        self._finish()
        return self._cursor

    def _finish(self) -> None:
        if self._sending is not None:
            loaded, duplicate = self._sending.result()
            self._sending = None
            self._load.rows_loaded += loaded
            self._load.rows_duplicate += duplicate
