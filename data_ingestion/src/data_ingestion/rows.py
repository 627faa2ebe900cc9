"""Blocks of records → pandas → rows of COPY's binary format, and the hash that is a row's identity.

The format (https://www.postgresql.org/docs/current/sql-copy.html) writes a field as its length in
bytes, four of them, big-endian, and then the value. It costs the server a third less than text:
nothing is escaped, and hashes, numbers and times are taken as they are.

The hash is part of the public format, stored as `_row_hash`: XXH3 with 128 bits and seed 0 over
the row's values as such fields, UTF-8, in the order of the table's columns. No two different rows
make the same bytes. The n-th equal row of a file, where those are kept, is hashed with n as eight
more bytes, big-endian; as all rows of a table have as many fields, none is another one and more.
"""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128_digest

from data_ingestion.contract import Columns
from data_ingestion.model import ADDED_COLUMNS, Dialect, Load
from data_ingestion.records import Block

# One row's hash as two numbers, the first 8 bytes and the last; big-endian as in the uuid.
HASH = np.dtype([("high", ">u8"), ("low", ">u8")])
TEXT = pd.ArrowDtype(pa.large_string())
BYTES = pa.large_binary()
NOTHING = pa.scalar(b"", BYTES)
BOM = b"\xef\xbb\xbf"
COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # the signature, no flags, no extension
COPY_END = b"\xff\xff"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # Postgres counts microseconds from here


def read_values(block: Block, columns: Columns, n_fields: int, dialect: Dialect) -> list[pa.Array]:
    """The sound records of a block as one array of bytes per column of the table.

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
        low_memory=False,  # the blocks are small already
        engine="c",
    )
    if len(frame) - extra != len(block.line_numbers):
        raise RuntimeError(
            f"pandas read {len(frame) - extra} rows where {len(block.line_numbers)} were counted"
        )
    return [_as_bytes(frame[place])[extra:] for place in columns.fields]


def _as_bytes(series: pd.Series) -> pa.Array:
    values = pa.array(series.array)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(BYTES)


def encode(values: list[pa.Array]) -> pa.Array:
    """Each row's values as the fields of a binary COPY, in one piece."""
    parts = []
    for column in values:
        offsets = np.frombuffer(column.buffers()[1], np.int64)
        lengths = np.diff(offsets[column.offset : column.offset + len(column) + 1])
        parts += [fixed_width(lengths.astype(">i4")), column]
    return pc.binary_join_element_wise(*parts, NOTHING)


def fixed_width(items: np.ndarray) -> pa.Array:
    """The items of an array as bytes, one value each."""
    size = items.dtype.itemsize
    offsets = np.arange(0, size * len(items) + 1, size, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(items.tobytes())]
    return pa.Array.from_buffers(BYTES, len(items), buffers)


def hash_rows(rows: pa.Array) -> np.ndarray:
    """One HASH per encoded row."""
    return np.frombuffer(b"".join(map(xxh3_128_digest, _items(rows))), HASH)


def hash_occurrences(rows: pa.Array, numbers: np.ndarray) -> np.ndarray:
    """One HASH per encoded row for the n-th equal one of a file; n = 1 is the row's own hash."""
    numbered = [
        row if n == 1 else row + int(n).to_bytes(8, "big")
        for row, n in zip(_items(rows), numbers, strict=True)
    ]
    return np.frombuffer(b"".join(map(xxh3_128_digest, numbered)), HASH)


def among(hashes: np.ndarray, others: bytes) -> np.ndarray:
    """For each hash, whether it is one of the others, which have 16 bytes each."""
    size = HASH.itemsize
    one, other = (
        pa.Array.from_buffers(pa.binary(size), len(data) // size, [None, pa.py_buffer(data)])
        for data in (hashes.tobytes(), others)
    )
    return pc.is_in(one, value_set=other).to_numpy(zero_copy_only=False)


def copy_of(hashes: np.ndarray) -> bytes:
    """The hashes as a whole COPY of one column."""
    rows = np.empty(len(hashes), [("fields", ">i2"), ("length", ">i4"), ("hash", HASH)])
    rows["fields"], rows["length"], rows["hash"] = 1, HASH.itemsize, hashes
    return b"".join((COPY_BEGIN, rows.tobytes(), COPY_END))


def _items(rows: pa.Array) -> np.ndarray:
    return rows.to_numpy(zero_copy_only=False)  # five times as fast as to_pylist


@dataclass
class Rows:
    """Encoded rows, the hash of each and the line each begins on."""

    encoded: pa.Array
    hashes: np.ndarray
    line_numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.encoded)

    def where(self, keep: np.ndarray) -> "Rows":
        """The rows for which `keep` is true."""
        return Rows(self.encoded.filter(pa.array(keep)), self.hashes[keep], self.line_numbers[keep])

    @classmethod
    def in_order_of_hashes(cls, parts: "list[Rows]") -> "Rows":
        """All of the parts, sorted as a uuid index is."""
        # numpy would make native numbers of them, whose bytes stand the other way round.
        hashes = np.concatenate([part.hashes for part in parts], dtype=HASH)
        order = np.lexsort((hashes["low"], hashes["high"]))
        return cls(
            pa.concat_arrays([part.encoded for part in parts]).take(pa.array(order)),
            hashes[order],
            np.concatenate([part.line_numbers for part in parts])[order],
        )


class CopyFormat:
    """Completes the encoded rows of one load to what its COPY takes."""

    def __init__(self, load: Load, n_values: int) -> None:
        """`n_values` is the number of columns that come from the file."""
        loaded_at = (load.started_at - EPOCH) // timedelta(microseconds=1)
        constants = (_eight(load.load_id), load.source_file.encode(), _eight(loaded_at))
        constant = b"".join(len(value).to_bytes(4, "big") + value for value in constants)
        tail = [
            ("hash_length", ">i4"),
            ("hash", HASH),
            ("line_length", ">i4"),
            ("line", ">i8"),
            ("constant", f"V{len(constant)}"),
        ]
        self._tail = np.array([(16, (0, 0), 8, 0, constant)], tail)
        self._head = pa.scalar((n_values + len(ADDED_COLUMNS)).to_bytes(2, "big"), BYTES)

    def complete(self, rows: Rows) -> bytes:
        """One whole COPY: the rows with their ADDED_COLUMNS, in this order."""
        tail = np.repeat(self._tail, len(rows))
        tail["hash"], tail["line"] = rows.hashes, rows.line_numbers
        whole = pc.binary_join_element_wise(self._head, rows.encoded, fixed_width(tail), NOTHING)
        _, offsets, data = whole.buffers()
        stop = int(np.frombuffer(offsets, np.int64)[whole.offset + len(whole)])
        return b"".join((COPY_BEGIN, memoryview(data)[:stop], COPY_END))


def _eight(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
