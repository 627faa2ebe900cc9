"""Decompression bombs are refused with one clear line, in bounded time and memory."""

import bz2
import gzip
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import openpyxl
import pytest
from conftest import HEADER, LOADS

MB = 1 << 20
MAX_MEMORY = 300  # MB, little more than the load of a small CSV needs
# Run the loader's command line and print the peak memory of the process in bytes. On Linux,
# `ru_maxrss` would begin with the memory of the process that forks this one, which runs all tests.
MEASURED = """
import atexit, re, resource, sys
from data_ingestion.cli import run

def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(re.search("VmHWM:(.*) kB", open("/proc/self/status").read())[1]) * 1024

atexit.register(lambda: print(peak()))
run()
"""
XML = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
SHEET, STRINGS, STYLES = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"
RELATIONS = "xl/_rels/workbook.xml.rels"
STRINGS_RELATION = (
    b'<Relationship Id="strings" Target="sharedStrings.xml" Type="http://schemas'
    b'.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/>'
)
Pieces = tuple[tuple[bytes, int], ...]  # bytes and how many times they occur


def deflated(pieces: Pieces) -> bytes:
    """Compress all pieces to one stream. Each piece is compressed only once, which saves time."""
    out = b""
    for piece, times in pieces:
        press = zlib.compressobj(9, zlib.DEFLATED, -15)
        out += (press.compress(piece) + press.flush(zlib.Z_FULL_FLUSH)) * times
    return out + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def zipped(path: Path, members: dict[str, Pieces], stated_size: int | None = None) -> Path:
    """Write a zip.

    Members of 4 MB or more get a wrong checksum, because the right one would need all their bytes.
    The loader should refuse such members before it compares the checksum.

    Args:
        path: The zip to write.
        members: Pieces of content by member name.
        stated_size: The size that the zip's directory states for members of 4 MB or more.
    """
    body, directory = bytearray(), bytearray()
    for name, pieces in members.items():
        data, checksum = deflated(pieces), 1
        size = sum(len(piece) * times for piece, times in pieces)
        if size < 4 * MB:
            checksum = zlib.crc32(b"".join(piece * times for piece, times in pieces))
        elif stated_size:
            size = stated_size
        fields = struct.pack("<HHHHHI", 20, 0, 8, 0, 33, checksum)
        fields += struct.pack("<IIHH", len(data), size, len(name), 0)
        directory += b"PK\x01\x02\x14\x00" + fields + bytes(10) + struct.pack("<I", len(body))
        directory += name.encode()
        body += b"PK\x03\x04" + fields + name.encode() + data
    count = len(members)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path


def workbook(path: Path, stated_size: int | None = None, **parts: Pieces) -> Path:
    """Write a workbook with openpyxl, then replace some of its parts.

    Args:
        path: The workbook to write.
        stated_size: As in `zipped`.
        parts: The new parts. A keyword is the name of the constant that names the part.
    """
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.save(path)
    with zipfile.ZipFile(path) as made:
        members = {name: ((made.read(name), 1),) for name in made.namelist()}
    relations = members[RELATIONS][0][0].removesuffix(b"</Relationships>") + STRINGS_RELATION
    members |= {RELATIONS: ((relations, 1), (b"</Relationships>", 1)), STRINGS: strings()}
    replaced = {globals()[name]: part for name, part in parts.items()}
    return zipped(path, members | replaced, stated_size)


def sheet(*rows: tuple[bytes, int]) -> Pieces:
    return (
        (XML + b"<worksheet " + MAIN + b"><sheetData>", 1),
        *rows,
        (b"</sheetData></worksheet>", 1),
    )


def strings(*texts: tuple[bytes, int], before: bytes = b"") -> Pieces:
    return (XML + before + b"<sst " + MAIN + b">", 1), *texts, (b"</sst>", 1)


# Each entity repeats the previous one 100 times: the attack "billion laughs".
LAUGHS = b"<!DOCTYPE sst [<!ENTITY a '%s'>%s]>" % (
    b"ha" * 50,
    b"".join(b"<!ENTITY %c '%s'>" % (c, b"&%c;" % (c - 1) * 100) for c in range(98, 104)),
)
ROW = b'<row><c t="inlineStr"><is><t>x</t></is></c></row>'
REFERENCE = b'<row r="1">%s</row>' % (b'<c t="s"><v>0</v></c>' * 1000)
BOMBS = {
    "a gzip with an endless line": (
        lambda path: path.write_bytes(
            gzip.compress(HEADER.encode()) + gzip.compress(b"x" * 32 * MB) * 64
        ),
        "line 2 does not end within 32 MB",
    ),
    "a gzip with an endless header": (
        lambda path: path.write_bytes(gzip.compress(b"x" * 32 * MB) * 64),
        "line 1 does not end within 32 MB",
    ),
    "a gzip in a gzip": (
        lambda path: path.write_bytes(gzip.compress(gzip.compress(bytes(256 * MB)))),
        "is an archive in an archive: unpack it first",
    ),
    "a zip of 4 GB": (
        lambda path: zipped(path, {"a.csv": ((HEADER.encode(), 1), (b"x" * MB, 4096))}, 9),
        "is damaged",
    ),
    "a zip of bzip2": (
        lambda path: bzip2_zip(path, bz2.compress(bytes(64 * MB)) * 30),
        "is a zip that is not compressed with deflate",
    ),
    "a zip of many files": (
        lambda path: zipped(path, {f"{number:06d}": ((b"", 1),) for number in range(30_000)}),
        "is a zip with more than ten thousand files",
    ),
    "a sheet of 4 GB": (
        lambda path: workbook(path, SHEET=sheet((ROW * 20_000, 4300))),
        "unpacks to more than 2048 MB of xl/worksheets/sheet1.xml",
    ),
    "a sheet that is longer than the directory states": (
        lambda path: workbook(path, 999, SHEET=sheet((ROW * 20_000, 4300))),
        "is damaged (Bad CRC-32",
    ),
    "a cell of 1 GB": (
        lambda path: workbook(path, SHEET=sheet((ROW[:30] + b"x" * MB, 1), (b"x" * MB, 1000))),
        "has more than 4 MB between two rows",
    ),
    "unknown elements": (
        lambda path: workbook(path, SHEET=sheet((b"<x/>" * MB, 256))),
        "has more than 4 MB between two rows",
    ),
    "a row number of two billion": (
        lambda path: workbook(path, SHEET=sheet((b'<row r="2000000000"/>', 1))),
        "has a row 2,000,000,000 after row 0",
    ),
    "shared strings of 150 MB": (
        lambda path: workbook(path, STRINGS=strings((b"<si/>" * 30_000, 1000))),
        "unpacks to more than 100 MB of xl/sharedStrings.xml",
    ),
    "shared strings that are longer than the directory states": (
        lambda path: workbook(path, 999, STRINGS=strings((b"<si/>" * 30_000, 14_000))),
        "is damaged (Bad CRC-32",
    ),
    "a long shared string in many cells": (
        lambda path: workbook(
            path,
            SHEET=sheet((REFERENCE, 1)),
            STRINGS=strings((b"<si><t>" + b"x" * MB + b"</t></si>", 1)),
        ),
        "unpacks to more than 32 MB of row 1",
    ),
    "nested entities": (
        lambda path: workbook(path, STRINGS=strings((b"<si><t>&g;</t></si>", 1), before=LAUGHS)),
        "has a document type in xl/sharedStrings.xml",
    ),
    "a million styles": (
        lambda path: workbook(
            path,
            STYLES=(
                (XML + b"<styleSheet " + MAIN + b"><cellXfs>", 1),
                (b"<xf/>" * MB, 1),
                (b"</cellXfs></styleSheet>", 1),
            ),
        ),
        "unpacks to more than 4 MB of xl/styles.xml",
    ),
}


def bzip2_zip(path: Path, data: bytes) -> None:
    """Write a zip whose member consists of many consecutive bzip2 streams."""
    zipped(path, {"a.csv": ((b"", 1),)})
    name = b"a.csv"
    fields = struct.pack("<HHHHHIIIHH", 46, 0, 12, 0, 33, 1, len(data), 1 << 31, len(name), 0)
    body = b"PK\x03\x04" + fields + name + data
    directory = b"PK\x01\x02\x14\x00" + fields + bytes(14) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)


def load(warehouse, path: Path) -> tuple[int, list[str], int]:
    """Load a file in a separate process; return its exit code, errors and peak memory in MB."""
    process = subprocess.run(
        [sys.executable, "-c", MEASURED, "load", path, "--table", "bomb"],
        env=os.environ | warehouse.env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return process.returncode, process.stderr.splitlines(), int(process.stdout) // MB


@pytest.mark.parametrize(("make", "message"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_within_bounds(warehouse, tmp_path, make, message):
    path = tmp_path / "bomb"
    make(path)
    assert path.stat().st_size < 16 * MB
    code, errors, memory = load(warehouse, path)
    assert code == 2, errors
    assert len(errors) == 1 and errors[0].startswith("error: bomb: ")
    assert message in errors[0]
    assert memory < MAX_MEMORY
    assert warehouse.query(LOADS) == [("failed", 0, 0, 0, 0)]
