"""Blocks of records → pandas → the lines of a COPY, and the hash that is a row's identity.

The hash is part of the public format, stored as `_row_hash`: XXH3 with 128 bits and seed 0 over
the row's values as one line of Postgres' COPY text format, UTF-8, in the order of the table's
columns, without the line end (https://www.postgresql.org/docs/current/sql-copy.html): values
joined with tabs; backslash, tab, line feed and carriage return in a value written as `\\\\`, `\\t`,
`\\n` and `\\r`. So no two different rows make the same line. The n-th equal row of a file, where
those are kept, is hashed with a tab and n behind the line; no row has that many values.
"""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128_digest

from data_ingestion.contract import Columns
from data_ingestion.model import COPY_ESCAPES, Dialect
from data_ingestion.records import Block

# One row's hash as two numbers, the first 8 bytes and the last; big-endian as in the uuid.
HASH = np.dtype([("high", ">u8"), ("low", ">u8")])
TAB = pa.scalar("\t", pa.large_string())
TEXT = pd.ArrowDtype(pa.large_string())
BOM = b"\xef\xbb\xbf"


def read_lines(block: Block, columns: Columns, n_fields: int, dialect: Dialect) -> pa.Array:
    """The sound records of a block as COPY lines of the table's columns, without line ends.

    Raises:
        RuntimeError: pandas found another number of rows than the records that were counted.
    """
    data, extra = block.data, 0
    if data.startswith(BOM):  # pandas would take it for the file's own mark and drop it
        data, extra = dialect.delimiter.encode() * (n_fields - 1) + b"\n" + data, 1
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
        engine="c",
    )
    if len(frame) - extra != len(block.line_numbers):
        raise RuntimeError(
            f"pandas read {len(frame) - extra} rows where {len(block.line_numbers)} were counted"
        )
    values = [_as_array(frame[place])[extra:] for place in columns.fields]
    lines = pc.binary_join_element_wise(*values, TAB)
    if _needs_escape(lines, len(values) - 1):
        lines = pc.binary_join_element_wise(*[_escaped(v) for v in values], TAB)
    return lines


def _as_array(series: pd.Series) -> pa.Array:
    values = pa.array(series.array)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _needs_escape(lines: pa.Array, tabs: int) -> bool:
    """Whether a value holds a character that COPY escapes: seen in all the lines at once."""
    text = np.frombuffer(lines.buffers()[2] or b"", np.uint8)
    if np.count_nonzero(text == ord("\t")) != tabs * len(lines):
        return True
    return any((text == ord(character)).any() for character in "\\\n\r")


def _escaped(values: pa.Array) -> pa.Array:
    for character, escape in COPY_ESCAPES.items():
        values = pc.replace_substring(values, character, escape)
    return values


def hash_lines(lines: pa.Array) -> np.ndarray:
    """One HASH per line."""
    digests = map(xxh3_128_digest, lines.cast(pa.large_binary()).to_pylist())
    return np.frombuffer(b"".join(digests), HASH)


def hash_occurrences(lines: pa.Array, numbers: np.ndarray) -> np.ndarray:
    """One HASH per line for the n-th equal row of a file; n = 1 is the row's own hash."""
    numbered = [
        line if n == 1 else line + b"\t%d" % n
        for line, n in zip(lines.cast(pa.large_binary()).to_pylist(), numbers, strict=True)
    ]
    return np.frombuffer(b"".join(map(xxh3_128_digest, numbered)), HASH)


def hex_array(hashes: np.ndarray) -> pa.Array:
    """The hashes as 32 hexadecimal digits each, which Postgres reads as uuid."""
    digits = pa.py_buffer(np.ascontiguousarray(hashes).tobytes().hex().encode())
    offsets = pa.py_buffer(np.arange(0, 32 * len(hashes) + 1, 32, dtype=np.int64))
    return pa.LargeStringArray.from_buffers(len(hashes), offsets, digits)


def copy_text(
    lines: pa.Array, hashes: np.ndarray, tail: str, line_numbers: np.ndarray
) -> pa.Buffer:
    """What COPY takes: each line with its hash, line number and the load's constant `tail`."""
    numbers = pa.array(line_numbers).cast(pa.large_string())
    whole = pc.binary_join_element_wise(
        lines, hex_array(hashes), numbers, pa.scalar(tail + "\n", pa.large_string()), TAB
    )
    offsets = np.frombuffer(whole.buffers()[1], np.int64)
    return whole.buffers()[2].slice(int(offsets[whole.offset]), int(offsets[-1]))
