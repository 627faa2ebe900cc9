"""Parse blocks of sound records with pandas into one array of bytes per column."""

import io
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_ingestion.contracts import Columns, Contract
from data_ingestion.model import Dialect, Reject
from data_ingestion.parsing.records import MAX_REJECTS_KEPT, Block, reject_text
from data_ingestion.parsing.scanner import scan_fast

TEXT = pd.ArrowDtype(pa.large_string())
BYTES = pa.large_binary()
BOM = b"\xef\xbb\xbf"


def read_values(
    block: Block, fields: Sequence[int], n_fields: int, dialect: Dialect
) -> list[pa.Array]:
    """Return the values of a block's records: one array of UTF-8 bytes per wanted field.

    Args:
        block: The records, each with `n_fields` fields.
        fields: The indexes of the wanted fields.
        n_fields: The number of fields in each record.
        dialect: How the CSV is written; the block is always UTF-8.

    Raises:
        RuntimeError: pandas read more or fewer rows than the block has records.
    """
    data, n_extra = block.data, 0
    if data.startswith(BOM):
        # pandas would drop the mark, which is part of a value here. An extra row of empty fields
        # before the mark prevents that.
        data, n_extra = dialect.delimiter.encode() * (n_fields - 1) + b"\n" + data, 1
    frame = pd.read_csv(
        io.BytesIO(data),
        sep=dialect.delimiter,
        quotechar=dialect.quotechar,
        header=None,
        names=range(n_fields),
        index_col=False,
        usecols=sorted(fields),
        dtype=TEXT,
        na_filter=False,
        skip_blank_lines=False,
        low_memory=False,  # the blocks are small already
        engine="c",
    )
    if len(frame) - n_extra != len(block.line_numbers):
        raise RuntimeError(
            f"pandas read {len(frame) - n_extra} rows where {len(block.line_numbers)} were counted"
        )
    return [_as_bytes(frame[field])[n_extra:] for field in fields]


def _as_bytes(series: pd.Series) -> pa.Array:
    values = pa.array(series.array)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(BYTES)


def keep_transactions(
    block: Block,
    values: list[pa.Array],
    empty: list[pa.Array],
    columns: Columns,
    contract: Contract,
    dialect: Dialect,
) -> tuple[Block, list[pa.Array]]:
    """Leave out the records that are no transactions, and turn incomplete ones into rejects.

    A totals row or a note lacks a required value. A value of whitespace counts as missing.

    Args:
        block: The records.
        values: Their values, from `read_values`.
        empty: Their values in the fields that have no column.
        columns: The table's columns.
        contract: What is declared about the columns.
        dialect: How the block is written.

    Returns:
        The block with more rejects and skipped records, and the values of the remaining records.
    """
    skipped = _skipped(values, columns, contract)
    reasons: dict[int, str] = {}
    for name in contract.required:
        for index in _missing(values[columns.names.index(name)]):
            reasons.setdefault(index, f"no value in {name}")
    for column in empty:
        for index in set(range(len(column))).difference(_missing(column)):
            reasons.setdefault(index, "a value in a column that must be empty")
    reasons = {index: reason for index, reason in reasons.items() if not skipped[index]}
    if not reasons and not skipped.any():
        return block, values
    records = scan_fast(block.data, 1, dialect)
    rejects = [
        Reject(
            int(block.line_numbers[index]),
            reject_text(block.data[records.starts[index] : records.stops[index]]),
            reason,
        )
        for index, reason in sorted(reasons.items())[:MAX_REJECTS_KEPT]
    ]
    kept = ~skipped
    kept[list(reasons)] = False
    rest = replace(
        block,
        line_numbers=block.line_numbers[kept],
        rejects=sorted(block.rejects + rejects, key=attrgetter("line_number")),
        rejected=block.rejected + len(reasons),
        skipped=block.skipped + int(np.count_nonzero(skipped)),
    )
    return rest, [column.filter(pa.array(kept)) for column in values]


def _skipped(values: list[pa.Array], columns: Columns, contract: Contract) -> NDArray[np.bool_]:
    """Return for each record whether a value tells that it is no transaction."""
    skipped = np.zeros(len(values[0]), bool)
    for name, telling in contract.skipped_rows.items():
        among = pa.array(sorted(telling), pa.large_string())
        texts = pc.utf8_trim_whitespace(values[columns.names.index(name)].cast(pa.large_string()))
        skipped |= pc.is_in(texts, value_set=among).to_numpy(zero_copy_only=False)
    return skipped


def _missing(column: pa.Array) -> list[int]:
    """Return the indexes of the values that are empty or whitespace only."""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    first_bytes = np.frombuffer(data or b"\0", np.uint8).take(bounds[:-1], mode="clip")
    # UTF-8 writes whitespace with a first byte up to 0x20, or from 0xC2 on. That rules out almost
    # every value.
    maybe = (bounds[1:] == bounds[:-1]) | (first_bytes <= 0x20) | (first_bytes >= 0xC2)
    suspects = np.flatnonzero(maybe)
    texts = column.take(pa.array(suspects)).to_pylist() if len(suspects) else []
    return [
        index
        for index, text in zip(suspects.tolist(), texts, strict=True)
        if not text.decode().strip()
    ]
