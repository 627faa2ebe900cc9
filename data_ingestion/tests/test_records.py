"""The reader agrees with Python's csv module, at block sizes down to one byte."""

import csv
import io
import sys
from itertools import chain, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_ingestion.contracts import Columns
from data_ingestion.errors import InputError
from data_ingestion.model import Dialect
from data_ingestion.parsing.blanks import WHITESPACE, blank_finder
from data_ingestion.parsing.records import MAX_REJECT_TEXT, RecordReader
from data_ingestion.parsing.values import read_values

DIALECTS = [Dialect(), Dialect(";", "'"), Dialect("\t"), Dialect(" ", ","), Dialect(",", " ")]
SIZES = (1, 2, 3, 7, 16, 1 << 20)


def read(data: bytes, size: int = 1 << 20, max_record: int = 32 << 20):
    """Read CSV bytes in chunks.

    Returns:
        The header, the rows as (line, values) and the rejects as (line, text, reason).
    """
    chunks = (data[i : i + size] for i in range(0, len(data), size))
    reader = RecordReader(chunks, Dialect(), max_record)
    header = reader.header()
    columns = Columns(tuple(f"c{i}" for i in range(len(header))), tuple(range(len(header))))
    rows, rejects = [], []
    for block in reader.blocks(len(header)):
        if len(block.line_numbers):
            values = read_values(block, columns.fields, len(header), Dialect())
            table = zip(*(column.to_pylist() for column in values), strict=True)
            lines = [[value.decode() for value in row] for row in table]
            rows += zip(block.line_numbers.tolist(), lines, strict=True)
        rejects += [(r.line_number, r.text, r.reason) for r in block.rejects]
    return header, rows, rejects


cells = st.text(st.sampled_from('ab,"\n\r\t\\ é😀'), max_size=6)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8)
)


@settings(max_examples=60, deadline=None, print_blob=True)
@given(tables, st.sampled_from(["\n", "\r\n"]), st.sampled_from(SIZES), st.booleans())
def test_any_table_is_read_as_the_csv_module_reads_it(table, line_end, size, quote_all):
    if line_end == "\n" and not quote_all:  # in this mode Python's writer does not quote a CR
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, lineterminator=line_end, quoting=quoting)
    writer.writerow(["h"] * len(table[0]))
    lines = []
    for row in table:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    truth = list(csv.reader(io.StringIO(text.getvalue(), newline="")))[1:]
    _, rows, rejects = read(text.getvalue().encode(), size)
    assert rejects == []
    assert rows == [
        (line, row)
        for line, row in zip(lines, truth, strict=True)
        if any(value.strip() for value in row)
    ]


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.text(st.sampled_from('a,"\n\r\0'), max_size=40), st.sampled_from(SIZES[:-1]))
def test_the_block_size_does_not_change_the_result(text, size):
    data = b"h,h\n" + text.encode()
    assert read(data, size) == read(data)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.text(st.sampled_from('a,"\n'), max_size=40))
def test_every_line_ends_in_a_row_or_a_reject(text):
    """Only lines without any value disappear."""
    _, rows, rejects = read(b"h,h\n" + text.encode())
    inside = sum(value.count("\n") for _, values in rows for value in values)
    inside += sum(reject.count("\n") for _, reject, _ in rejects)
    # A line without a value is skipped, except inside a quoted field, where it counts.
    filled = [line for line in text.split("\n") if "a" in line]
    assert len(filled) <= len(rows) + len(rejects) + inside <= text.count("\n") + 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"x", "1 field instead of 3"),
        (b"x,y,z,,", "5 fields instead of 3"),
        (b'x,a "b" c,z', "a quote inside a field that does not begin with one"),
        (b'x,"y"b,z', "text between a closing quote and the next delimiter"),
        (b'x,"y ,z', "text between a closing quote and the next delimiter"),
        (b"x,y\rz,z", "a carriage return inside a line"),
        (b"x,y\0,z", "a NUL byte, which no text in Postgres can hold"),
    ],
)
def test_a_bad_line_does_not_affect_its_neighbours(size, damage, reason):
    data = b'h,i,j\n"1","a\nb",3\n' + damage + b'\n4,"5","6"\r\n\n7,8,9'
    _, rows, rejects = read(data, size)
    assert rows == [(2, ["1", "a\nb", "3"]), (5, ["4", "5", "6"]), (7, ["7", "8", "9"])]
    text = damage.decode().replace("\0", "␀")
    assert rejects == [(4, text, reason)]


def test_whitespace_is_that_of_unicode():
    everything = map(chr, range(sys.maxunicode + 1))
    assert "".join(filter(str.isspace, everything)) == WHITESPACE


BLANK = [",,", '" ",,""', " ,\t,", '"\n",,', "\u00a0,\u3000,\x1f", ",", "   ", '""', ",,,,,,,,,,,,"]
FILLED = [",,x", '"""",,', '",",,', "\ufeff,,", "\u200b,,", "0,,", "\\,,", ",,.", " ,,'"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_record_without_values_is_an_empty_line(size, line_end):
    data = line_end.join([*BLANK, "h,i,j", *BLANK, "1,2,3", *BLANK, *FILLED, *BLANK])
    header, rows, rejects = read(data.encode(), size)
    assert header == ["h", "i", "j"]
    assert [values for _, values in rows] == [["1", "2", "3"], *csv.reader(FILLED)]
    lines = data.replace("\r", "").split("\n")
    assert [lines[number - 1] for number, _ in rows] == ["1,2,3", *FILLED]
    assert rejects == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_record_is_blank_if_the_csv_module_reads_no_value(dialect):
    """Try all short records. With whitespace as quotes, a blank record may count as filled."""
    form = {"delimiter": dialect.delimiter, "quotechar": dialect.quotechar, "strict": True}
    marks = ("a", " ", "\t", dialect.delimiter, dialect.quotechar)
    for record in map("".join, chain.from_iterable(product(marks, repeat=n) for n in range(6))):
        try:
            has_value = any(map(str.strip, next(csv.reader([record], **form), [])))
        except csv.Error:  # the record breaks the rules
            continue
        is_blank = blank_finder(dialect).is_blank(record.encode())
        if is_blank or not dialect.quotechar.isspace():
            assert is_blank != has_value, repr(record)


@pytest.mark.parametrize("size", SIZES)
def test_an_unclosed_quote_rejects_only_its_own_line(size):
    _, rows, rejects = read(b'h,i\n1,2\n3,"4\n5,6\n7,""\n9,0\n', size)
    assert rows == [(2, ["1", "2"]), (4, ["5", "6"]), (5, ["7", ""]), (6, ["9", "0"])]
    assert rejects == [(3, '3,"4', "a quoted field is not closed")]


def test_a_record_above_the_size_limit_counts_as_unclosed():
    data = b'h,i\n1,"2\n' + b"3,4\n" * 100
    _, rows, rejects = read(data, size=16, max_record=64)
    assert rejects == [(2, '1,"2', "a quoted field is not closed")]
    assert [line for line, _ in rows] == list(range(3, 103))


def test_a_line_above_the_size_limit_is_refused():
    with pytest.raises(InputError, match="line 2 does not end within"):
        read(b"h\n" + b"x" * 200, size=16, max_record=64)


def test_a_cell_of_ten_megabytes_is_read():
    long = b"x" * 10_000_000
    _, rows, _ = read(b'h,i\n1,"' + long + b'"\n2,3\n', size=1 << 20)
    assert [values[1] for _, values in rows] == [long.decode(), "3"]


def test_the_text_of_a_reject_is_bounded():
    _, _, rejects = read(b"h,i\n" + b"x" * 50_000 + b"\n")
    assert rejects[0][1] == "x" * MAX_REJECT_TEXT + "… (50,001 bytes)"


@pytest.mark.parametrize("size", (3, 1 << 20))
def test_invalid_utf8_is_refused_with_its_line(size):
    with pytest.raises(InputError, match=r"line 3 is not valid UTF-8 \(byte 0xe9\)"):
        read(b"h,i\n1,2\ncaf\xe9,4\n", size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\n\r\n", "empty"),
        (b'a,"b\nc,d\n', "line 1, the header: a quoted field"),
        (b"a," * 1_000 + b"a\n", "has 1,001 columns"),
    ],
)
def test_a_missing_or_bad_header_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        read(data)


def test_a_quoted_header_may_span_two_lines():
    header, rows, _ = read(b'\n"a\nb","c ""d"""\n1,2\n')
    assert header == ["a\nb", 'c "d"']
    assert rows == [(4, ["1", "2"])]


HEADER = b"ID,First Name,.,B\n"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "again",
    [
        HEADER,
        HEADER.lower().replace(b" ", b"_"),
        b'" ID ","FIRST-NAME",".","b"\r\n',
        b"\xef\xbb\xbf" + HEADER,
    ],
)
def test_a_repeated_header_is_rejected(again, size):
    _, rows, rejects = read(HEADER + b"1,ID,.,B\n" + again + b"ID,2,3,4\n", size)
    assert [values for _, values in rows] == [["1", "ID", ".", "B"], ["ID", "2", "3", "4"]]
    assert rejects == [(3, again.decode().rstrip("\r\n"), "repeats the header")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("other", [b"B,first name,ID,.\n", b"id,First Name,.,Branch\n"])
def test_a_different_header_refuses_the_file(other, size):
    with pytest.raises(InputError, match="line 3 is another header"):
        read(HEADER + b"1,2,3,4\n" + other + b"5,6,7,8\n", size)


def test_a_row_like_a_two_column_header_is_kept():
    _, rows, rejects = read(b"from,to\nto,from\nfrom,to\n")
    assert (len(rows), rejects) == (2, [])
