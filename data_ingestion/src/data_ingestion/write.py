"""Write the rows of one file into its table: the hot loop, with bounded memory.

Three steps run side by side on consecutive blocks of records: one block is parsed, the block before
it is hashed and cleared of duplicates, and the one before that is sent to the server. Memory
therefore holds a few blocks and the hashes in `SeenRows`. If the table already has rows, the file's
rows wait in batches of about MAX_BATCH_BYTES, and memory holds two or three batches.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from data_ingestion.contracts import CONTRACTS, name_columns
from data_ingestion.errors import FileRefusedError, InputError
from data_ingestion.formats.sources import Source
from data_ingestion.model import Load, Options, Reject, RowCounts
from data_ingestion.parsing.records import MAX_REJECTS_KEPT, Block, RecordReader
from data_ingestion.parsing.values import read_values
from data_ingestion.postgres import tables
from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import encode
from data_ingestion.writer import Writer

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
    try:
        reader = RecordReader(source.chunks(), options.dialect)
        header = reader.header()
        columns = name_columns(header, CONTRACTS.get(options.table))
        columns, has_rows = tables.open_table(cursor, load.table, columns)
        parsed = (
            (read_values(block, columns, len(header), options.dialect), block.line_numbers)
            for block in reading.counted(reader.blocks(len(header)))
        )
        with Writer(cursor, load, columns, has_rows, options) as writer:
            for values, line_numbers in _one_ahead(parsed):
                if len(line_numbers):
                    writer.write(encode(values), line_numbers)
                advance(reading.read)
        tables.create_indexes(cursor, load.table)
    except InputError as error:
        raise FileRefusedError(str(error), reading.result()) from error
    return reading.result(writer)


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

    def result(self, writer: Writer | None = None) -> RowCounts:
        """Return all counts; without a writer, no row was stored."""
        counts = RowCounts(self.read, 0, 0, self._rejected, tuple(self._rejects))
        if writer is None:
            return counts
        return replace(
            counts,
            loaded=writer.loaded,
            duplicate=writer.duplicate,
            first_row_hash=writer.first_row_hash,
            last_row_hash=writer.last_row_hash,
        )
