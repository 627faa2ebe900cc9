"""Damaged or unusual files: values, header, tables, line ends, encoding, size, cut-off end."""

import codecs
import random
from collections.abc import Iterator
from itertools import chain

from torture_table import CLEAN, NAMES, ROWS, TABLE, Case, lines, quoted, values_of

LAST = len(TABLE) - 1
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
TEXTS = (
    "'); drop table raw._loads; --", "' or 1=1 --", "$$; select 1; $$", "\\. \\N \\", "%s %(x)s",
    "=1+1", "=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "<script>alert(1)</script>", ESCAPE,
    "\x1b[31mred", "a\bb", "\x7f\x85\u2028\u202e", "NULL", "null", "NA", "nan", " ", "\t", "\ufeff",
    "0x1F", "1e5", "true", "{}", "\\x00", "👩‍👩‍👧‍👦", "e\u0301",
)  # fmt: skip
DATES = (
    "Feb 30, 17", "Feb 29, 17", "31-Jun-17", "2017-13-01", "2017-02-30", "00-Jan-17", "Jun 31, 17",
    "29/06/17", "06/29/2017", "20170629", "42915", "today", "infinity", "0000-00-00", "٢٩-Jun-17",
)  # fmt: skip
AMOUNTS = (
    "-5.00", "0.00", "0", "-0.00", "(1,000.00)", "1.000,00", "1 000,00", "1'000.00", "1,00,000.00",
    "1,5", "₹1,000.00", "1,000.00 CR", "1e5", "NaN", "Infinity", "١٢٣", "1.005", "9" * 40, "--1",
)  # fmt: skip


def whole_files() -> Iterator[Case]:
    """Yield all cases, always in the same order."""
    yield from chain(_values(), _headers(), _tables(), _line_ends(), _encodings(), _sizes(), _cut())


def _values() -> Iterator[Case]:
    """Yield unusual but well-formed values, which must be loaded unchanged."""
    columns = (*[(2, text) for text in TEXTS], *[(1, text) for text in DATES])
    amounts = [(column, text) for text in AMOUNTS for column in (5, 6)]
    for number, (column, text) in enumerate((*columns, *amounts)):
        row = number % len(TABLE)
        table = [list(cells) for cells in TABLE]
        table[row][column] = quoted(text)
        data = lines(NAMES, *table).encode()
        yield Case("a value", f"column {column}: {text[:20]!r}", data, values_of(table), "exact")
    for amounts in (('"5.00"', "6.00"), ("", ""), ("0.00", "0.00")):
        table = [list(cells) for cells in TABLE]
        table[1][5:7] = amounts
        data = lines(NAMES, *table).encode()
        yield Case("both or neither amount", str(amounts), data, values_of(table), "exact")


def _headers() -> Iterator[Case]:
    body = lines(*TABLE)

    def refused(kind: str, header: str, place: str = "") -> Case:
        return Case(kind, place, (header + body).encode(), ROWS, "refused")

    for column, name in enumerate(NAMES):
        before, after, place = NAMES[:column], NAMES[column + 1 :], f"column {column}"
        for kind, text in (("a quote", f'"{name}'), ("an extra quote", f'{name}"')):
            yield refused(f"{kind} in the header", lines([*before, text, *after]), place)
        if column < 8:
            yield refused("a missing name", lines([*before, *after]), place)
        yield refused("an extra name", lines([*before, name, "", *after]), place)
        yield refused("a repeated name", lines([*before, NAMES[column - 1], *after]), place)
        yield refused("a different name", lines([*before, f"{name}2", *after]), place)
    everything = frozenset(range(len(TABLE)))
    yield Case("a missing name", "column 8", (lines(NAMES[:8]) + body).encode(), ROWS, "rejected",
               everything)  # fmt: skip
    yield refused("no header", "")
    yield refused("a NUL byte in the header", lines(NAMES).replace("D", "\0", 1))
    yield refused("10 MB in the header", "x" * 10_000_000 + lines(NAMES))
    yield refused("5,000 columns in the header", lines(NAMES)[:-1] + ",x" * 5_000 + "\n")
    for preamble in ("Statement of account\n", "Bank,,,,,,,,\nfrom,to\n\n", "\n;;;\n", "a\nb\nc\n"):
        yield refused("lines before the header", preamble + lines(NAMES), repr(preamble))
    yield refused("a sep line of another delimiter", "sep=;\n" + lines(NAMES))
    yield Case("a sep line", "", ("sep=,\r\n" + lines(NAMES) + body).encode(), ROWS, "exact")
    data = ",,,,,,,,\n" * 3 + lines(NAMES) + body
    yield Case("blank lines before the header", "", data.encode(), ROWS, "exact")
    data = lines([name.strip().lower() for name in NAMES]) + body
    yield Case("names in another case", "", data.encode(), ROWS, "exact")


def _tables() -> Iterator[Case]:
    """Yield files with columns in another order or number, or with two tables."""
    orders = [list(range(9))[::-1], [*range(1, 9), 0]]
    orders += [random.Random(seed).sample(range(9), 9) for seed in range(8)]  # noqa: S311
    for order in orders:
        name = "".join(map(str, order))
        reordered = [[row[place] for place in order] for row in (NAMES, *TABLE)]
        yield Case("columns in another order", name, lines(*reordered).encode(), ROWS, "exact")
        for gap in ("", "\n", "\ufeff"):
            glued = CLEAN + gap + lines(*reordered)
            place = f"{name}, gap {gap!r}"
            yield Case("two tables, another order", place, glued.encode(), ROWS * 2, "refused")
    for gap in ("", "\n", "\ufeff"):
        twice = (CLEAN + gap + CLEAN).encode()
        yield Case("two tables, the same header", repr(gap), twice, ROWS * 2, "rejected")
    for number in (2, 8, 10):
        other = lines(*[["x"] * number] * 3)
        name = f"two tables, {number} columns"
        yield Case(name, "", (CLEAN + other).encode(), ROWS, "rejected")
    renamed = [*NAMES[:3], "x", *NAMES[4:]]
    yield Case("two tables, one name differs", "", (CLEAN + lines(renamed, *TABLE)).encode(),
               ROWS, "refused")  # fmt: skip
    strange = lines([f"name {n}" for n in range(9)], ["x"] * 9)
    why = "a second table with as many columns and other names is valid rows of text"
    yield Case("two tables, all names differ", "", (CLEAN + strange).encode(), ROWS, "undetectable",
               why=why)  # fmt: skip
    extra = lines([*NAMES, "branch"], *[[*row, "x"] for row in TABLE])
    yield Case("an extra column", "", extra.encode(), ROWS, "refused")
    yield Case("a trailing separator", "", CLEAN.replace("\n", ",\n").encode(), ROWS,
               "refused")  # fmt: skip


def _line_ends() -> Iterator[Case]:
    everything = {"outcome": "rejected", "damaged_rows": frozenset(range(len(TABLE)))}
    for kind, ends, expected in (
        ("CRLF", ["\r\n"], {"outcome": "exact"}),
        ("LF and CRLF", ["\n", "\r\n"], {"outcome": "exact"}),
        ("CR", ["\r"], {"outcome": "refused"}),
        ("CR CR LF", ["\r\r\n"], {"outcome": "refused"}),
        ("LF CR", ["\n\r"], everything),
    ):
        ended = [lines(row)[:-1] + ends[n % len(ends)] for n, row in enumerate((NAMES, *TABLE))]
        yield Case("line ends", kind, "".join(ended).encode(), ROWS, **expected)
    yield Case("no last line end", "", CLEAN[:-1].encode(), ROWS, "exact")
    for delimiter in ";\t|":
        text = lines(NAMES, *TABLE, delimiter=delimiter).encode()
        yield Case("another delimiter", repr(delimiter), text, ROWS, "refused")
        named = ("--delimiter", delimiter)
        yield Case("delimiter, named", repr(delimiter), text, ROWS, "exact", options=named)
    quotes = frozenset(n for n, row in enumerate(TABLE) if '"' in lines(row))
    yield Case("another quote character", "the file", CLEAN.replace('"', "'").encode(), ROWS,
               "undetectable", quotes,
               why="a word in another quote character is valid text")  # fmt: skip


def _encodings() -> Iterator[Case]:
    for encoding, outcome in (
        ("utf-8-sig", "exact"), ("utf-16", "refused"), ("utf-16-le", "refused"),
        ("utf-16-be", "refused"), ("utf-32", "refused"), ("utf-7", "undetectable"),
        ("latin-1", "refused"), ("cp1252", "refused"), ("mac-roman", "refused"),
        ("cp500", "refused"),
    ):  # fmt: skip
        encodable = [row for row in TABLE if lines(row).encode(encoding, "ignore").decode(encoding)
                     == lines(row)]  # fmt: skip
        data, rows = lines(NAMES, *encodable).encode(encoding), values_of(encodable)
        why = "an encoding that uses only ASCII bytes is valid text"
        why = why if outcome == "undetectable" else ""
        damaged_rows = frozenset(range(len(rows))) if why else frozenset()
        yield Case("encoding", encoding, data, rows, outcome, damaged_rows, why=why)
        if outcome == "refused":
            named = ("--encoding", encoding)
            yield Case("encoding, named", encoding, data, rows, "exact", options=named)
    twice = CLEAN.encode().decode("latin-1").encode()
    yield Case("encoding", "UTF-8 encoded twice", twice, ROWS, "undetectable", frozenset({4, 9}),
               why="UTF-8 read as Latin-1 and encoded again is valid text")  # fmt: skip
    noise = random.Random(1)  # noqa: S311 - for test data
    for number in range(5):
        yield Case("not text", str(number), noise.randbytes(3_000), (), "refused")
    for magic in (b"\x89PNG\r\n\x1a\n", b"GIF89a,\n", b"\x7fELF", b"\x1f\x8b", b"PK\x03\x04"):
        yield Case("not text", repr(magic), magic + noise.randbytes(500), (), "refused")


def _sizes() -> Iterator[Case]:
    header = lines(NAMES).encode()
    for kind, data in (
        ("empty", b""), ("only a line end", b"\r\n"), ("only a byte order mark", codecs.BOM_UTF8),
        ("header only", header), ("header only, no line end", header[:-1]),
        ("NUL bytes", bytes(99)),
    ):  # fmt: skip
        yield Case(kind, "", data, (), "refused")
    for cell in ("x" * 10_000_000, quoted('", \n' * 2_500_000)):
        table = [*TABLE[:3], [*TABLE[3][:2], cell, *TABLE[3][3:]], *TABLE[4:]]
        text = lines(NAMES, *table).encode()
        yield Case("10 MB in a cell", repr(cell[:3]), text, values_of(table), "exact")


def _cut() -> Iterator[Case]:
    data, start = CLEAN.encode(), len(lines(NAMES, *TABLE[:-1]).encode())
    for size in range(start + 1, len(data) - 1):
        try:
            data[:size].decode()
            expected = ("rejected", frozenset({LAST}))
        except UnicodeDecodeError:
            expected = ("refused", frozenset())
        yield Case("cut in the last line", f"byte {size}", data[:size], ROWS, *expected)
    for size in range(1, len(lines(NAMES)) - 2):
        yield Case("cut in the header", f"byte {size}", data[:size], (), "refused")
