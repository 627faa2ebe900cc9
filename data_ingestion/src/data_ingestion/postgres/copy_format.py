"""Rows in COPY's binary format, and the hash that identifies a row.

The format (https://www.postgresql.org/docs/current/sql-copy.html) writes a field as its length in
bytes (four bytes, big-endian), followed by the value. It costs the server a third less than the
text format: nothing is escaped, and hashes, numbers and times need no parsing.

The hash, stored as `_row_hash`, is public: XXH3 with 128 bits and seed 0 over the row's values as
such fields, in UTF-8 and in the order of the table's columns. Two different rows never have the
same bytes. With `--duplicates keep`, the hash of the n-th equal row of a file also covers n, as
eight more bytes, big-endian. All rows of a table have the same number of fields, so a row with
these bytes never equals another row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from data_ingestion.model import ADDED_COLUMNS

# The hash of a row as two numbers, its first and last 8 bytes; big-endian as in the uuid.
HASH = np.dtype([("high", ">u8"), ("low", ">u8")])
BYTES = pa.large_binary()
EMPTY = pa.scalar(b"", BYTES)
COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # the signature, no flags, no extension
COPY_END = b"\xff\xff"
# Rows to hash at a time. Python then reuses the memory of earlier rows, which is still in the
# processor's cache. Hashing a whole block at once takes twice as long.
ROWS_AT_ONCE = 2_000

Hashes = NDArray[np.void]  # items of the type HASH
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def encode(values: list[pa.Array]) -> pa.Array:
    """Return each row's values as the fields of a binary COPY: one item of bytes per row.

    Args:
        values: One array of bytes per column, all of the same length.
    """
    parts = []
    for column in values:
        offsets = np.frombuffer(column.buffers()[1], np.int64)
        lengths = np.diff(offsets[column.offset : column.offset + len(column) + 1])
        parts += [_fixed_width(lengths.astype(">i4")), column]
    return pc.binary_join_element_wise(*parts, EMPTY)


def _fixed_width(items: NDArray[Any]) -> pa.Array:
    """Return the bytes of each item of a numpy array."""
    size = items.dtype.itemsize
    offsets = np.arange(0, size * len(items) + 1, size, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(items)]
    return pa.Array.from_buffers(BYTES, len(items), buffers)


def hash_rows(rows: pa.Array) -> Hashes:
    """Return the hash of each encoded row."""
    parts = (rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE))
    return np.frombuffer(b"".join([_digests(_items(part)) for part in parts]), HASH)


def hash_occurrences(rows: pa.Array, numbers: Integers) -> Hashes:
    """Return the hash of each encoded row as the n-th equal one of its file.

    For n = 1 the result is the row's own hash.
    """
    digests = _digests(
        [
            row if n == 1 else row + int(n).to_bytes(8, "big")
            for row, n in zip(_items(rows), numbers, strict=True)
        ]
    )
    return np.frombuffer(digests, HASH)


def _digests(rows: Sequence[bytes] | NDArray[Any]) -> bytes:
    return b"".join(map(xxh3_128_digest, rows))


def _items(rows: pa.Array) -> NDArray[Any]:
    items: NDArray[Any] = rows.to_numpy(zero_copy_only=False)  # 5 times as fast as to_pylist
    return items


def is_in(hashes: Hashes, known: bytes) -> Flags:
    """Return for each hash whether it is one of `known`, which holds hashes of 16 bytes each."""
    size = HASH.itemsize
    values, value_set = (
        pa.Array.from_buffers(pa.binary(size), len(data) // size, [None, pa.py_buffer(data)])
        for data in (hashes.tobytes(), known)
    )
    flags: Flags = pc.is_in(values, value_set=value_set).to_numpy(zero_copy_only=False)
    return flags


def uuid_array(hashes: Hashes) -> str:
    """Return the hashes as the text of a Postgres array of uuids."""
    digits = hashes.tobytes().hex()
    return "{" + ",".join(digits[at : at + 32] for at in range(0, len(digits), 32)) + "}"


def copy_of(hashes: Hashes) -> bytes:
    """Return a complete binary COPY of one column that holds the hashes."""
    rows = np.empty(len(hashes), [("fields", ">i2"), ("length", ">i4"), ("hash", HASH)])
    rows["fields"], rows["length"], rows["hash"] = 1, HASH.itemsize, hashes
    return complete(rows.tobytes())


def complete(rows: bytes | memoryview) -> bytes:
    """Return a complete binary COPY of rows in its format."""
    return b"".join((COPY_BEGIN, rows, COPY_END))


@dataclass
class Rows:
    """Encoded rows, the hash of each, and the line on which each begins."""

    encoded: pa.Array
    hashes: Hashes
    line_numbers: Integers

    def __len__(self) -> int:
        return len(self.encoded)

    def where(self, mask: Flags) -> "Rows":
        """Return the rows for which `mask` is true."""
        return Rows(self.encoded.filter(pa.array(mask)), self.hashes[mask], self.line_numbers[mask])

    @classmethod
    def in_order_of_hashes(cls, parts: "list[Rows]") -> "Rows":
        """Return the rows of all parts, sorted like a uuid index."""
        # Without `dtype` numpy converts to the machine's byte order, and the bytes would differ.
        hashes = np.concatenate([part.hashes for part in parts], dtype=HASH)
        order = np.lexsort((hashes["low"], hashes["high"]))
        return cls(
            pa.concat_arrays([part.encoded for part in parts]).take(pa.array(order)),
            hashes[order],
            np.concatenate([part.line_numbers for part in parts])[order],
        )


class CopyFormat:
    """Completes encoded rows with the columns that the loader adds."""

    def __init__(self, load_id: int, n_values: int) -> None:
        """Prepare the values that all rows of a load share.

        Args:
            load_id: The number of the load.
            n_values: The number of columns that come from the file.
        """
        tail = [
            ("hash_length", ">i4"),
            ("hash", HASH),
            ("line_length", ">i4"),
            ("line", ">i8"),
            ("load_id_length", ">i4"),
            ("load_id", ">i8"),
        ]
        self._tail = np.array([(16, (0, 0), 8, 0, 8, load_id)], tail)
        self._head = pa.scalar((n_values + len(ADDED_COLUMNS)).to_bytes(2, "big"), BYTES)

    def rows(self, rows: Rows) -> memoryview:
        """Return the rows as COPY expects them, each with its ADDED_COLUMNS in this order."""
        tail = np.repeat(self._tail, len(rows))
        tail["hash"], tail["line"] = rows.hashes, rows.line_numbers
        joined = pc.binary_join_element_wise(self._head, rows.encoded, _fixed_width(tail), EMPTY)
        _, offsets, data = joined.buffers()
        stop = int(np.frombuffer(offsets, np.int64)[joined.offset + len(joined)])
        return memoryview(data)[:stop]
