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
import pyarrow as pa
from numpy.typing import NDArray

from data_ingestion.contracts import CONTRACTS, Columns, Contract, name_columns
from data_ingestion.errors import FileRefusedError, InputError
from data_ingestion.formats.sources import Source
from data_ingestion.model import Dialect, Load, Options, Reject, RowCounts
from data_ingestion.parsing.headers import other_delimiter
from data_ingestion.parsing.records import MAX_REJECTS_KEPT, Block, RecordReader
from data_ingestion.parsing.values import read_values, reject_incomplete
from data_ingestion.postgres import tables
from data_ingestion.postgres.connection import Cursor
from data_ingestion.postgres.copy_format import encode
from data_ingestion.writer import Writer

# Bytes that an array may have for its memory to be kept. The arrays of a block are smaller. The
# filter of `SeenRows` is larger, so only those of its pages that are used take memory.
KEPT_MEMORY = 15 << 20
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
    _keep_freed_memory()
    reading = _Reading(options.max_rejects)
    contract = CONTRACTS.get(options.table)
    try:
        dialect, chunks = source.read()
        reader = RecordReader(chunks, dialect)
        width, columns = _read_header(reader, dialect, contract)
        columns, has_rows = tables.open_table(cursor, load.table, columns)
        parsed = (
            _parse(block, columns, width, dialect, contract) for block in reader.blocks(width)
        )
        with Writer(cursor, load, columns, has_rows, options) as writer:
            for values, line_numbers in _one_ahead(reading.counted(parsed)):
                if len(line_numbers):
                    writer.write(encode(values), line_numbers)
                advance(reading.read)
        tables.create_indexes(cursor, load.table)
    except InputError as error:
        raise FileRefusedError(str(error), reading.result()) from error
    return reading.result(writer)


def _keep_freed_memory() -> None:
    """Make glibc keep the memory of freed arrays; other C libraries ignore the call.

    By default, glibc returns freed arrays to the kernel, and a tenth of a load's CPU time goes into
    new pages. When a large array is freed, even if it is untouched, glibc raises its thresholds:
    from then on it takes arrays up to this size from the heap, and keeps twice this size of free
    memory at the end of the heap (`M_MMAP_THRESHOLD` in mallopt(3)).
    """
    np.empty(KEPT_MEMORY, np.uint8)  # is freed at once


def _read_header(
    reader: RecordReader, dialect: Dialect, contract: Contract | None
) -> tuple[int, Columns]:
    """Return the number of fields of the header, and its columns."""
    try:
        header = reader.header()
        # Without a contract, nothing proves that the line behind the blank lines is the header.
        named = [] if reader.blank_lines and contract is None else header
        return len(header), name_columns(named, contract)
    except InputError as error:
        if not contract or not reader.header_line:
            raise
        delimiter = other_delimiter(reader.header_line, dialect, contract)
        if not delimiter:
            raise
        raise InputError(
            f"is separated by {delimiter!r}: load it with --delimiter {delimiter!r}"
        ) from error


def _parse(
    block: Block, columns: Columns, width: int, dialect: Dialect, contract: Contract | None
) -> tuple[Block, list[pa.Array]]:
    """Return the block and its values, after a check of the contract's required columns."""
    if not len(block.line_numbers):
        return block, []
    values = read_values(block, columns, width, dialect)
    required = contract.required if contract else ()
    block, values = reject_incomplete(block, values, columns, required, dialect)
    block.data = b""  # free its memory
    return block, values


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

    def counted(
        self, parsed: Iterator[tuple[Block, list[pa.Array]]]
    ) -> Iterator[tuple[list[pa.Array], NDArray[np.int64]]]:
        """Count the records of blocks, and yield the values and line numbers of the sound ones.

        Once the load must fail, there are no more values.
        """
        for block, values in parsed:
            self.read += len(block.line_numbers) + block.rejected
            self._rejected += block.rejected
            self._rejects += block.rejects[: MAX_REJECTS_KEPT - len(self._rejects)]
            failed = self._rejected > self._max_rejects
            yield ([], np.empty(0, np.int64)) if failed else (values, block.line_numbers)

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
