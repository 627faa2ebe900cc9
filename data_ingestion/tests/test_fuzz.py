"""The reader accepts or refuses any bytes without a crash, a hang or unbounded memory.

FAULTS=full tries many more examples. A failure prints how to reproduce it.
"""

import csv
import gzip
import io
import os
import tracemalloc
import zipfile
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torture_table import CLEAN

from data_ingestion.contracts import Columns
from data_ingestion.errors import InputError
from data_ingestion.formats.sources import CHUNK, Source
from data_ingestion.model import Dialect
from data_ingestion.parsing.records import RecordReader
from data_ingestion.parsing.values import read_values

FULL = os.environ.get("FAULTS") == "full"
CHECKED = settings(
    max_examples=5_000 if FULL else 150,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DIALECTS = [Dialect(), Dialect(";", "'"), Dialect("\t"), Dialect("|", "`"), Dialect(" ", ",")]
MEMORY = 400 << 20  # bytes of Python and numpy objects, enough for the worst known input


def outcome(chunks: Iterator[bytes], dialect: Dialect) -> tuple:
    """Return header, rows, line numbers and rejects, or only that the reader refused the bytes."""
    reader = RecordReader(chunks, dialect)
    try:
        header = reader.header()
        columns = Columns(tuple(map(str, range(len(header)))), tuple(range(len(header))))
        rows, lines, rejects = [], [], []
        for block in reader.blocks(len(header)):
            lines += block.line_numbers.tolist()
            rejects += block.rejects
            if len(block.line_numbers):
                values = read_values(block, columns.fields, len(header), dialect)
                rows += zip(*(column.to_pylist() for column in values), strict=True)
    except InputError as error:
        assert str(error).isprintable()
        return ("refused",)
    assert len(rows) == len(lines)
    return header, rows, lines, rejects


def damaged(draw, data: bytes) -> bytes:
    """Change, remove, duplicate or insert a few pieces of the bytes."""
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 40)))
        new = draw(st.one_of(special, st.binary(max_size=20), st.just(data[start:stop] * 2)))
        data = data[:start] + new + data[stop:]
    return data


special = st.sampled_from(
    [b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff", b"'", b";", b""]
)


@st.composite
def texts(draw) -> bytes:
    """Draw bytes that resemble CSV, or arbitrary bytes."""
    pieces = st.lists(st.one_of(special, st.sampled_from([b"a", b" ", b"1", b"\xc3\xa9"])))
    return draw(st.one_of(st.binary(), pieces.map(b"".join))) if draw(st.booleans()) else damaged(
        draw, CLEAN.encode()
    )  # fmt: skip


@CHECKED
@given(texts(), st.sampled_from(DIALECTS), st.lists(st.integers(0, 1_200), max_size=8))
def test_the_cuts_between_chunks_do_not_change_the_result(data, dialect, cuts):
    borders = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    chunks = (data[start:stop] for start, stop in pairwise(borders))
    assert outcome(chunks, dialect) == outcome(iter([data] if data else []), dialect)


def wrapped() -> dict[str, bytes]:
    """Return the clean file in each compressed format."""
    zipped, book = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("transactions.csv", CLEAN)
    workbook = openpyxl.Workbook()
    for row in csv.reader(io.StringIO(CLEAN, newline="")):
        workbook.active.append(row)
    workbook.save(book)
    return {
        "gzip": gzip.compress(CLEAN.encode()),
        "zip": zipped.getvalue(),
        "xlsx": book.getvalue(),
    }


WRAPPED = wrapped()


@pytest.mark.parametrize("kind", WRAPPED)
@CHECKED
@given(st.data())
def test_any_damaged_wrapper_is_read_or_refused(kind, tmp_path: Path, data):
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(damaged(data.draw, WRAPPED[kind]))
    with Source(path, Dialect()) as source:
        outcome(source.chunks(), Dialect())


@st.composite
def workbooks(draw) -> bytes:
    """Draw a workbook with damaged parts in an intact zip."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(WRAPPED["xlsx"])) as whole,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name in whole.namelist():
            archive.writestr(name, damaged(draw, whole.read(name)))
    return packed.getvalue()


@settings(CHECKED, max_examples=2_000 if FULL else 40)  # fewer, as each takes ten times as long
@given(workbooks())
def test_any_damaged_part_of_a_workbook_is_read_or_refused(tmp_path: Path, data):
    path = tmp_path / "damaged.xlsx"
    path.write_bytes(data)
    with Source(path, Dialect()) as source:
        outcome(source.chunks(), Dialect())


def repeated(start: bytes, unit: bytes, size: int) -> Iterator[bytes]:
    """Yield `start`, then `unit` repeated up to `size` bytes, in chunks as from a file."""
    chunk = unit * (CHUNK // len(unit))
    yield start
    for _ in range(size // CHUNK):
        yield chunk


HEADER = b"h,i,j\n"
OPEN_QUOTE = HEADER + b'1,2,"'
UNITS = [b'""', b",", b"\n", b"x", b"x\n", b'"",', b",,\n", b'x"\n', b"\0\n"]
# The combinations that need the most memory. The last one has longer and thus fewer lines, because
# each of them takes time.
WORST = [
    pytest.param(OPEN_QUOTE, b"\n", marks=pytest.mark.long),
    (OPEN_QUOTE, b'""'),
    (HEADER, b"x\n"),
    pytest.param(HEADER, b"x" * 30 + b'"\n', marks=pytest.mark.long),
]


@pytest.mark.parametrize(
    ("start", "unit"), [*product([HEADER, OPEN_QUOTE], UNITS)] if FULL else WORST
)
def test_the_readers_memory_is_bounded_for_any_bytes(start, unit):
    # An open quote needs more bytes than the longest allowed line (32 MB). Other input needs only a
    # few of the reader's windows, because more windows would repeat the same work.
    size = 36 << 20 if start == OPEN_QUOTE else (12 if FULL else 4) << 20
    reader = RecordReader(repeated(start, unit, size), Dialect())
    n_fields = len(reader.header())
    tracemalloc.start()
    try:
        for block in reader.blocks(n_fields):
            assert len(block.rejects) <= block.rejected
    except InputError as error:
        assert "does not end within" in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY
