"""Write the rows of one file into its table: the hot loop, with bounded memory.

Three steps run side by side on consecutive blocks of records: one block is parsed, the block before
it is hashed and cleared of duplicates, and the one before that is sent to the server. Memory
therefore holds a few blocks and the hashes in `SeenRows`. If the table already has rows, the file's
rows wait in batches of about MAX_BATCH_BYTES, and memory holds two or three batches.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_ingestion.contracts import (
    AccountPattern,
    Columns,
    Contract,
    has_titles,
    name_columns,
    similarity,
)
from data_ingestion.errors import FileRefusedError, InputError, printable
from data_ingestion.formats.sources import Source
from data_ingestion.model import Dialect, Load, Options, Reject, RowCounts
from data_ingestion.parsing.headers import other_delimiter
from data_ingestion.parsing.records import (
    MAX_RECORD,
    MAX_REJECTS_KEPT,
    Block,
    NoHeaderError,
    RecordReader,
)
from data_ingestion.parsing.values import BYTES, keep_transactions, read_values
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
    contract: Contract | None,
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
        contract: What is declared about the file, if its table is that of a source.
        advance: Called with the number of rows read so far.

    Returns:
        The number of rows for each result, and the first rejects.

    Raises:
        FileRefusedError: The file as a whole is bad, or does not fit the table.
    """
    _keep_freed_memory()
    reading = _Reading(options.max_rejects)
    try:
        dialect, reader = _reader(source, contract)
        width, columns = _read_header(reader, dialect, contract, source.is_workbook)
        account = None
        if contract and contract.account:
            account = _account(contract, contract.account, reader.preamble, source.path.name)
            columns = Columns((*columns.names, *contract.added), (*columns.fields, width))
        columns, has_rows = tables.open_table(cursor, load.table, columns)
        load.columns = columns.names
        parsed = (
            _parse(block, columns, width, dialect, contract, account)
            for block in reader.blocks(width)
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


def _reader(source: Source, contract: Contract | None) -> tuple[Dialect, RecordReader]:
    """Return how a file is written, and the reader of its records."""
    dialect, chunks = source.read()
    skipped = (contract.skipped_lines, contract.footer) if contract else ()
    return dialect, RecordReader(chunks, dialect, MAX_RECORD, *skipped)


def _read_header(
    reader: RecordReader, dialect: Dialect, contract: Contract | None, is_workbook: bool
) -> tuple[int, Columns]:
    """Return the number of fields of each row, and the columns of the table."""
    more = bool(contract and contract.trailing_delimiter and not is_workbook)
    if contract and not contract.has_header:
        return len(contract.titles) + more, Columns(contract.columns, contract.positions)
    try:
        header = _header_of(reader, contract)
        # Without a contract, nothing proves that the line behind the blank lines is the header.
        named = [] if reader.blank_lines and contract is None else header
        return len(header) + more, name_columns(named, contract)
    except InputError as error:
        if not contract or not reader.header_line:
            raise
        delimiter = other_delimiter(reader.header_line, dialect, contract)
        if not delimiter:
            raise
        raise InputError(
            f"is separated by {delimiter!r}: load it with --delimiter {delimiter!r}"
        ) from error


def _header_of(reader: RecordReader, contract: Contract | None) -> list[str]:
    """Return the header: below a preamble, or else the first line.

    Without a header below a preamble, the result is the most similar line.
    """
    if contract is None or not contract.preamble:
        return reader.header()
    lines: list[list[str]] = []

    def is_header(line: list[str]) -> bool:
        lines.append(line)
        return has_titles(line, contract)

    try:
        return reader.header(is_header)
    except NoHeaderError:
        closest = max(lines, key=lambda line: similarity(line, contract), default=[])
        if not similarity(closest, contract):
            raise
        return closest


def has_layout_of(file: tuple[Path, Path | None], contract: Contract, dialect: Dialect) -> bool:
    """Return whether the header of a file, or else its first rows, are those of a contract.

    Args:
        file: The file, and the folder that must contain it.
        contract: The contract.
        dialect: How the file is written.

    Raises:
        InputError: The file cannot be read.
    """
    with Source(file[0], dialect, file[1], contract) as source:
        dialect, reader = _reader(source, contract)
        try:
            width, _ = _read_header(reader, dialect, contract, source.is_workbook)
        except InputError:
            return False
        if contract.has_header:
            return True
        block = next(reader.blocks(width), None)
        return block is not None and len(block.line_numbers) > block.rejected


def _account(contract: Contract, wanted: AccountPattern, preamble: str, name: str) -> str:
    """Return the account that the file says once.

    Raises:
        InputError: Neither the lines above the header nor the name of the file has it.
    """
    text = name if wanted.is_in_path else preamble.replace("\r\n", "\n")
    found = re.search(wanted.pattern, text, re.MULTILINE)
    account = (found[1] or "").strip() if found else ""
    if not account or "\0" in account:
        place = "its name" if wanted.is_in_path else "the lines above its header"
        key = "path" if wanted.is_in_path else "preamble"
        raise InputError(
            f"names no account: nothing in {place} matches {printable(wanted.pattern)}, which is "
            f"transaction.account_number.{key} of the source {contract.table}"
        )
    return account


def _parse(
    block: Block,
    columns: Columns,
    width: int,
    dialect: Dialect,
    contract: Contract | None,
    account: str | None,
) -> tuple[Block, list[pa.Array]]:
    """Return the block and its values, without the rows that the contract skips or refuses."""
    if not len(block.line_numbers):
        return block, []
    in_file = [field for field in columns.fields if field < width]
    unnamed = _unnamed(contract, width) if contract else ()
    values = read_values(block, (*in_file, *unnamed), width, dialect)
    values, empty = values[: len(in_file)], values[len(in_file) :]
    if account is not None:
        value = pa.repeat(pa.scalar(account.encode(), BYTES), len(block.line_numbers))
        values.insert(columns.fields.index(width), value)
    if contract:
        block, values = keep_transactions(block, values, empty, columns, contract, dialect)
    block.data = b""  # free its memory
    return block, values


def _unnamed(contract: Contract, width: int) -> tuple[int, ...]:
    """Return the indexes of the fields that must be empty, because they have no column."""
    if contract.any_order:
        return ()
    return tuple(sorted(set(range(width)).difference(contract.positions)))


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
        self._rejected = self._skipped = 0
        self.read = 0

    def counted(
        self, parsed: Iterator[tuple[Block, list[pa.Array]]]
    ) -> Iterator[tuple[list[pa.Array], NDArray[np.int64]]]:
        """Count the records of blocks, and yield the values and line numbers of the sound ones.

        Once the load must fail, there are no more values.
        """
        for block, values in parsed:
            self.read += len(block.line_numbers) + block.rejected + block.skipped
            self._skipped += block.skipped
            self._rejected += block.rejected
            self._rejects += block.rejects[: MAX_REJECTS_KEPT - len(self._rejects)]
            failed = self._rejected > self._max_rejects
            yield ([], np.empty(0, np.int64)) if failed else (values, block.line_numbers)

    def result(self, writer: Writer | None = None) -> RowCounts:
        """Return all counts; without a writer, no row was stored."""
        counts = RowCounts(
            self.read, 0, 0, self._rejected, self._skipped, rejects=tuple(self._rejects)
        )
        if writer is None:
            return counts
        return replace(
            counts,
            loaded=writer.loaded,
            duplicate=writer.duplicate,
            first_row_hash=writer.first_row_hash,
            last_row_hash=writer.last_row_hash,
        )
