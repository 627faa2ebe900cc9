"""Row hashes and COPY data are exact. Other programs rely on the hash, so its value is pinned."""

import struct
import uuid

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from data_ingestion.contracts import Columns
from data_ingestion.model import Dialect
from data_ingestion.parsing.records import Block
from data_ingestion.parsing.values import read_values
from data_ingestion.postgres.copy_format import (
    CopyFormat,
    Rows,
    complete,
    encode,
    hash_occurrences,
    hash_rows,
)

GOLDEN = ["b111a595917b1cbf66cdcc3b5862ba62", "9fb51c18fa704b4cdab97aed08efa51f"]


def block(data: bytes, records: int) -> Block:
    return Block(data, np.arange(2, records + 2))


def values_of(data: bytes, records: int, n_fields: int = 2) -> list[pa.Array]:
    columns = Columns(tuple("abcdef"[:n_fields]), tuple(range(n_fields)))
    return read_values(block(data, records), columns.fields, n_fields, Dialect())


def table_of(data: bytes, records: int, n_fields: int = 2) -> list[tuple[str, ...]]:
    columns = [column.to_pylist() for column in values_of(data, records, n_fields)]
    return [tuple(value.decode() for value in row) for row in zip(*columns, strict=True)]


def fields(*values: bytes) -> bytes:
    """Encode values in COPY's binary format, independently of the loader's code."""
    return b"".join(struct.pack(f">i{len(value)}s", len(value), value) for value in values)


def hexadecimal(hashes: np.ndarray) -> list[str]:
    return [bytes(item.tobytes()).hex() for item in hashes]


def test_the_row_hash_has_its_published_values():
    """A change of the hash would change every key in every warehouse."""
    data = '409000611074\',"Jun 29, 17"\nü\t\\,\n'
    rows = encode(values_of(data.encode(), 2))
    expected = [fields(b"409000611074'", b"Jun 29, 17"), fields("ü\t\\".encode(), b"")]
    assert rows.to_pylist() == expected
    assert hexadecimal(hash_rows(rows)) == GOLDEN
    assert [xxhash.xxh3_128_hexdigest(row) for row in expected] == GOLDEN
    assert all(uuid.UUID(text).hex == text for text in GOLDEN)


def test_values_are_unchanged():
    data = b'"1,000.00 ",NA\r\n null ,"say ""hi"""\n,""\n"a\tb","b\r\nc"\n\\N,\\.\n'
    assert table_of(data, 5) == [
        ("1,000.00 ", "NA"),
        (" null ", 'say "hi"'),
        ("", ""),
        ("a\tb", "b\r\nc"),
        ("\\N", "\\."),
    ]


def test_a_byte_order_mark_after_the_header_is_text():
    assert table_of(b"\xef\xbb\xbfa,b\nc,d\n", 2) == [("\ufeffa", "b"), ("c", "d")]


def test_a_single_column_keeps_spaces_and_empty_values():
    assert table_of(b'  \n""\nx\n', 3, n_fields=1) == [("  ",), ("",), ("x",)]


def test_a_missing_row_raises_an_error():
    with pytest.raises(RuntimeError, match="pandas read 1 rows where 2 were counted"):
        table_of(b"a,b\n", 2)


def test_repeated_rows_get_different_hashes():
    rows = encode(values_of(b"a,b\n" * 3, 3))
    row = fields(b"a", b"b")
    expected = [row, row + struct.pack(">q", 2), row + struct.pack(">q", 3)]
    hashes = hash_occurrences(rows, np.array([1, 2, 3]))
    assert hexadecimal(hashes) == [xxhash.xxh3_128_hexdigest(text) for text in expected]


def test_filtered_rows_are_encoded_as_a_complete_copy_stream():
    rows = encode(values_of(b"a\nb\nc\n", 3, n_fields=1))
    rows = Rows(rows, hash_rows(rows), np.array([2, 3, 4])).where(np.array([False, True, True]))
    expected = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for value, line in ((b"b", 3), (b"c", 4)):
        digest = xxhash.xxh3_128_digest(fields(value))
        numbers = [struct.pack(">q", number) for number in (line, 7)]
        expected += struct.pack(">h", 4) + fields(value, digest, *numbers)
    expected += b"\xff\xff"
    assert complete(CopyFormat(7, 1).rows(rows)) == expected
