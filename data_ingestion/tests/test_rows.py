"""The row's hash and the COPY text: both are public format, so their values are pinned here."""

import uuid

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from data_ingestion.contract import Columns
from data_ingestion.model import Dialect
from data_ingestion.records import Block
from data_ingestion.rows import copy_text, hash_lines, hash_occurrences, hex_array, read_lines


def block(data: bytes, records: int) -> Block:
    return Block(data, np.arange(2, records + 2))


def lines_of(data: bytes, records: int, n_fields: int = 2) -> list[str]:
    columns = Columns(tuple("abcdef"[:n_fields]), tuple(range(n_fields)))
    return read_lines(block(data, records), columns, n_fields, Dialect()).to_pylist()


def test_golden_hash():
    """Changing this changes every key in every warehouse."""
    lines = pa.array(["409000611074'\tJun 29, 17\tTRF FROM  X\t\tx", "ü\\t\\\\"], pa.large_string())
    assert hex_array(hash_lines(lines)).to_pylist() == GOLDEN
    assert [xxhash.xxh3_128_hexdigest(text.encode()) for text in lines.to_pylist()] == GOLDEN
    assert all(uuid.UUID(text).hex == text for text in GOLDEN)


GOLDEN = ["f1b01a633dc7044d1787a0a23c9d0477", "acf1b5b387bcaae7df25e1926589a498"]


def test_values_stay_as_they_are():
    data = b'"1,000.00 ",NA\r\n null ,"say ""hi"""\n,""\n'
    assert lines_of(data, 3) == ["1,000.00 \tNA", ' null \tsay "hi"', "\t"]


def test_escapes_are_unambiguous():
    data = b'"a\tb",c\na,"b\nc"\na,"b\r\nc"\na,b\\nc\n\\N,\\.\n'
    assert lines_of(data, 5) == [
        "a\\tb\tc",
        "a\tb\\nc",
        "a\tb\\r\\nc",
        "a\tb\\\\nc",
        "\\\\N\t\\\\.",
    ]


def test_a_byte_order_mark_inside_the_file_is_text():
    assert lines_of(b"\xef\xbb\xbfa,b\nc,d\n", 2) == ["\ufeffa\tb", "c\td"]


def test_one_column_with_spaces_and_empty_values():
    assert lines_of(b'  \n""\nx\n', 3, n_fields=1) == ["  ", "", "x"]


def test_a_row_too_few_is_an_alarm():
    with pytest.raises(RuntimeError, match="pandas read 1 rows where 2 were counted"):
        lines_of(b"a,b\n", 2)


def test_occurrences_have_their_own_hashes():
    lines = pa.array(["a\tb"] * 3, pa.large_string())
    hashes = hex_array(hash_occurrences(lines, np.array([1, 2, 3]))).to_pylist()
    assert hashes == [xxhash.xxh3_128_hexdigest(b"a\tb" + n) for n in (b"", b"\t2", b"\t3")]


def test_copy_text_after_a_filter():
    lines = pa.array(["a", "b", "c"], pa.large_string()).filter(pa.array([False, True, True]))
    hashes = hash_lines(lines)
    text = bytes(copy_text(lines, hashes, "7\tf.csv\tnow", np.array([3, 4])))
    first, second = hex_array(hashes).to_pylist()
    assert text.decode() == f"b\t{first}\t3\t7\tf.csv\tnow\nc\t{second}\t4\t7\tf.csv\tnow\n"
