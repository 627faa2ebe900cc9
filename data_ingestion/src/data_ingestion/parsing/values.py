"""Parse blocks of sound records with pandas into one array of bytes per column."""

import io

import pandas as pd
import pyarrow as pa

from data_ingestion.contracts import Columns
from data_ingestion.model import Dialect
from data_ingestion.parsing.records import Block

TEXT = pd.ArrowDtype(pa.large_string())
BYTES = pa.large_binary()
BOM = b"\xef\xbb\xbf"


def read_values(block: Block, columns: Columns, n_fields: int, dialect: Dialect) -> list[pa.Array]:
    """Return the values of a block's records: one array of UTF-8 bytes per column of the table.

    Args:
        block: The records, each with `n_fields` fields.
        columns: The table's columns and their fields.
        n_fields: The number of fields in the header.
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
        usecols=sorted(columns.fields),
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
    return [_as_bytes(frame[field])[n_extra:] for field in columns.fields]


def _as_bytes(series: pd.Series) -> pa.Array:
    values = pa.array(series.array)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(BYTES)
