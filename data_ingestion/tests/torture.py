"""Damaged files, made by code from one clean file, and what is true of each.

`cases()` yields every single-place damage of CLEAN at each of its rows and columns, and of the file
as a whole. A case knows the rows that its file means, which of them the damage touches, and what
may become of it:

    exact     the file means just its rows: all are loaded, nothing is rejected
    rejected  the rows that are touched are repaired exactly or rejected, all others loaded
    refused   no row can be trusted: one line, and nothing is loaded
    untold    the damaged file is as good a file as a clean one would be: `why` says in which way
"""

import codecs
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

NAMES = (
    "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
    " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,."
).split(",")
# Cells as they stand in the file; the last column is the one that carries nothing.
TABLE = [
    ["409000611074'", '"Jun 29, 17"', '"TRF, to Ann"', "", '"Jun 29, 17"', "", '"1,000.00 "',
     '"1,000.00 "', "."],
    ["409000611074'", "29-Jun-17", "CASH", "862901", "29-Jun-17", "500.00", "", "500.00", "."],
    ["409000611074'", '"Jul 03, 17"', '"say ""hi"", twice"', "", '"Jul 02, 17"', '"2,000.50 "', "",
     '"-1,500.50 "', "."],
    ["1196428'", '"Jul 05, 17"', '"two\nlines, the\n\nlast"', "", '"Jul 05, 17"', "", '"9,000.00 "',
     '"9,000.00 "', "."],
    ["1196428'", "5-Jul-17", "Café Zürich", "", "5-Jul-17", "1.00", "", '"8,999.00 "', "."],
    ["1196428'", '"Jul 06, 17"', '"""quoted"" first"', "7", '"Jul 06, 17"', "1", "", '"8,998.00 "',
     "."],
    ["1196428'", "", '","', "", "", "", '""', '""', ""],
    ['"1196428\'"', '"7-Jul-17"', '"no need"', '""', '"7-Jul-17"', '"5.00"', '""', '"8,993.00"',
     '"."'],
    ["409000611074'", "29-Jun-17", "CASH", "862901", "29-Jun-17", "500.00", "", "500.00", "."],
    ["0012", "2017-07-08", "₹ 東京 / x\\y", "", "2017-07-08", "", "0.10", '"8,993.10 "', "."],
]  # fmt: skip
LAST = len(TABLE) - 1
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
TEXTS = (
    "'); drop table raw._loads; --", "' or 1=1 --", "$$; select 1; $$", "\\. \\N \\", "%s %(x)s {0}",
    "=1+1", "=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "<script>alert(1)</script>", ESCAPE,
    "\x1b[31mred", "a\bb", "\x7f\x85\u2028\u202e", "NULL", "null", "NA", "nan", " ", "\t", "\ufeff",
    "0x1F", "1e5", "true", "{}", "\\x00", "👩‍👩‍👧‍👦", "e\u0301",
)  # fmt: skip
DATES = (
    "Feb 30, 17", "Feb 29, 17", "31-Jun-17", "2017-13-01", "2017-02-30", "00-Jan-17", "Jun 31, 2017",
    "29/06/17", "06/29/2017", "20170629", "42915", "today", "infinity", "0000-00-00", "٢٩-Jun-17",
)  # fmt: skip
AMOUNTS = (
    "-5.00", "0.00", "0", "-0.00", "(1,000.00)", "1.000,00", "1 000,00", "1'000.00", "1,00,000.00",
    "1,5", "₹1,000.00", "1,000.00 CR", "1e5", "NaN", "Infinity", "١٢٣", "1.005", "9" * 40, "--1", "-",
)  # fmt: skip

Values = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One damaged file; `rows` are those that it means, `touched` the places of damaged ones."""

    kind: str
    place: str
    data: bytes
    rows: tuple[Values, ...]
    outcome: str
    touched: frozenset[int] = frozenset()
    options: tuple[str, ...] = ()
    why: str = ""

    @property
    def name(self) -> str:
        """Names one case among all."""
        return f"{self.kind}, {self.place}" if self.place else self.kind


def value(cell: str) -> str:
    """What a cell of TABLE means."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def meant(table: list[list[str]]) -> tuple[Values, ...]:
    """The rows that a table of cells means, without the column that is dropped."""
    return tuple(tuple(value(cell) for cell in row[:8]) for row in table)


def quoted(text: str) -> str:
    """The text as a cell."""
    return '"' + text.replace('"', '""') + '"'


def lines(*rows: list[str], delimiter: str = ",") -> str:
    """Rows of cells as text of a file."""
    return "".join(delimiter.join(row) + "\n" for row in rows)


CLEAN = lines(NAMES, *TABLE)
ROWS = meant(TABLE)


def some(every: int) -> Iterator[Case]:
    """Of each kind of damage the first case, and every so many-th of the others."""
    seen: Counter[str] = Counter()
    for case in cases():
        if seen[case.kind] % every == 0:
            yield case
        seen[case.kind] += 1


def cases(every_position: bool = False) -> Iterator[Case]:
    """All of them, always in the same order; `every_position`: thousands more stray characters."""
    yield Case("clean", "", CLEAN.encode(), ROWS, "exact")
    for row in range(len(TABLE)):
        yield from _damaged_row(row)
        for column in range(len(NAMES)):
            yield from _damaged_cell(row, column)
        if every_position:
            yield from _stray_characters(row)
    yield from chain(_values(), _headers(), _tables(), _line_ends(), _encodings(), _sizes(), _cut())


def _row(kind: str, row: int, text: str, place: str = "", **more: object) -> Case:
    """The clean file with another text in place of a row, line end included."""
    data = lines(NAMES, *TABLE[:row]) + text + lines(*TABLE[row + 1 :])
    told = {"rows": ROWS, "outcome": "rejected", "touched": frozenset({row})} | more
    return Case(kind, f"row {row}{place}", data.encode("utf-8", "surrogateescape"), **told)


def _damaged_cell(row: int, column: int) -> Iterator[Case]:
    cells = TABLE[row]
    cell = cells[column]
    middle = len(cell) // 2

    def becomes(kind: str, text: str, at: str = "", **more: object) -> Case:
        new = [*cells[:column], text, *cells[column + 1 :]]
        return _row(kind, row, lines(new), f", column {column}{at}", **more)

    if column:
        joined = [*cells[: column - 1], cells[column - 1] + cell, *cells[column + 1 :]]
        yield _row("a separator too few", row, lines(joined), f", column {column}")
    yield becomes("a separator too many", f"{cell},")
    yield becomes("a quote at the start", f'"{cell}')
    yield becomes("a quote at the end", f'{cell}"')
    yield becomes("a NUL byte", f"{cell[:middle]}\0{cell[middle:]}")
    # A byte that is no UTF-8, as Latin-1 has it.
    yield becomes("a byte of another encoding", f"{cell}\udce9", outcome="refused")
    if not cell.startswith('"'):
        why = "what a line break leaves of a first cell is a line as good as any other"
        first = {} if column else {"outcome": "untold", "why": why}
        yield becomes("a line break", f"{cell[:middle]}\n{cell[middle:]}", **first)
        yield becomes("a carriage return", f"{cell[:middle]}\r{cell[middle:]}")
        if len(cell) > 1:
            yield becomes("a quote in the middle", f'{cell[:middle]}"{cell[middle:]}')
        return
    if len(cell) > 2:
        yield becomes("a quote in the middle", f'{cell[:middle]}"{cell[middle:]}')
    for at in (i for i, character in enumerate(cell) if character == '"'):
        yield becomes("a quote too few", cell[:at] + cell[at + 1 :], f", {at}")
    if '""' in cell[1:-1]:
        yield becomes("an escape character", cell[0] + cell[1:-1].replace('""', '\\"') + cell[-1])
    if "," in cell:
        yield becomes("an escaped separator", value(cell).replace(",", "\\,"))
    other = {"outcome": "untold", "why": "another quote character around one word is text"}
    told = set(value(cell)) & set(',"\n')
    yield becomes("another quote character", f"'{value(cell)}'", **({} if told else other))


def _stray_characters(row: int) -> Iterator[Case]:
    text = lines(TABLE[row])
    for at in range(len(text)):
        yield _row("a stray quote", row, f'{text[:at]}"{text[at:]}', f", character {at}")
        yield _row("a NUL byte", row, f"{text[:at]}\0{text[at:]}", f", character {at}")


def _damaged_row(row: int) -> Iterator[Case]:
    text = lines(TABLE[row])
    for delimiter in ";\t|":
        yield _row(f"delimiter {delimiter!r}", row, lines(TABLE[row], delimiter=delimiter))
    both = frozenset({row, row + 1} & set(range(len(TABLE))))
    yield _row("no line end", row, text[:-1], touched=both)
    yield _row("CR for a line end", row, text[:-1] + "\r", touched=both)
    yield _row("CR CR LF", row, text[:-1] + "\r\r\n")
    exact = {"outcome": "exact", "touched": frozenset()}
    yield _row("CRLF", row, text[:-1] + "\r\n", **exact)
    yield _row("empty lines", row, f"\n{text}\r\n\n", **exact)
    yield _row("the line twice", row, text * 2, rows=(*ROWS, ROWS[row]), **exact)
    yield _row("a note", row, "-- page 2 --\n" + text, touched=frozenset())
    yield _row("the header again", row, lines(NAMES) + text, touched=frozenset())
    yield _row("another header", row, lines(NAMES[::-1]) + text, outcome="refused")
    yield _row("5,000 columns", row, ",".join("x" * 5_000) + "\n")


def _values() -> Iterator[Case]:
    """Values that are strange, and well-formed: raw means raw."""
    columns = (*[(2, text) for text in TEXTS], *[(1, text) for text in DATES])
    amounts = [(column, text) for text in AMOUNTS for column in (5, 6)]
    for number, (column, text) in enumerate((*columns, *amounts)):
        row = number % len(TABLE)
        table = [list(cells) for cells in TABLE]
        table[row][column] = quoted(text)
        data = lines(NAMES, *table).encode()
        yield Case("a value", f"column {column}: {text[:20]!r}", data, meant(table), "exact")
    for amounts in (('"5.00"', "6.00"), ("", ""), ("0.00", "0.00")):
        table = [list(cells) for cells in TABLE]
        table[1][5:7] = amounts
        data = lines(NAMES, *table).encode()
        yield Case("both or neither amount", str(amounts), data, meant(table), "exact")


def _headers() -> Iterator[Case]:
    body = lines(*TABLE)

    def refused(kind: str, header: str, place: str = "") -> Case:
        return Case(kind, place, (header + body).encode(), ROWS, "refused")

    for column, name in enumerate(NAMES):
        before, after, place = NAMES[:column], NAMES[column + 1 :], f"column {column}"
        for kind, text in (("a quote", f'"{name}'), ("a quote too many", f'{name}"')):
            yield refused(f"{kind} in the header", lines([*before, text, *after]), place)
        if column < 8:
            yield refused("a name too few", lines([*before, *after]), place)
        yield refused("a name too many", lines([*before, name, "", *after]), place)
        yield refused("a name twice", lines([*before, NAMES[column - 1], *after]), place)
        yield refused("another name", lines([*before, f"{name}2", *after]), place)
    everything = frozenset(range(len(TABLE)))
    yield Case("a name too few", "column 8", (lines(NAMES[:8]) + body).encode(), ROWS, "rejected",
               everything)  # fmt: skip
    yield refused("no header", "")
    yield refused("a NUL byte in the header", lines(NAMES).replace("D", "\0", 1))
    yield refused("10 MB in the header", "x" * 10_000_000 + lines(NAMES))
    yield refused("5,000 columns in the header", lines(NAMES)[:-1] + ",x" * 5_000 + "\n")
    for preamble in ("Statement of account\n", "Bank,,,,,,,,\nfrom,to\n\n", "\n;;;\n", "a\nb\nc\n"):
        yield refused("lines before the header", preamble + lines(NAMES), repr(preamble))
    data = lines([name.strip().lower() for name in NAMES]) + body
    yield Case("names in another case", "", data.encode(), ROWS, "exact")


def _tables() -> Iterator[Case]:
    """Columns in another order or number, and two tables in one file."""
    orders = [list(range(9))[::-1], [*range(1, 9), 0]]
    orders += [random.Random(seed).sample(range(9), 9) for seed in range(8)]
    for order in orders:
        name = "".join(map(str, order))
        reordered = [[row[place] for place in order] for row in (NAMES, *TABLE)]
        yield Case("another order of columns", name, lines(*reordered).encode(), ROWS, "exact")
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
    yield Case("two tables, one other name", "", (CLEAN + lines(renamed, *TABLE)).encode(),
               ROWS, "refused")  # fmt: skip
    strange = lines([f"name {n}" for n in range(9)], ["x"] * 9)
    why = "a second table with as many columns and other names is rows of text"
    yield Case("two tables, all other names", "", (CLEAN + strange).encode(), ROWS, "untold",
               why=why)  # fmt: skip
    extra = lines([*NAMES, "branch"], *[[*row, "x"] for row in TABLE])
    yield Case("an extra column", "", extra.encode(), ROWS, "refused")
    yield Case("a separator behind each line", "", CLEAN.replace("\n", ",\n").encode(), ROWS,
               "refused")  # fmt: skip


def _line_ends() -> Iterator[Case]:
    everything = {"outcome": "rejected", "touched": frozenset(range(len(TABLE)))}
    for kind, ends, told in (
        ("CRLF", ["\r\n"], {"outcome": "exact"}),
        ("LF and CRLF", ["\n", "\r\n"], {"outcome": "exact"}),
        ("CR", ["\r"], {"outcome": "refused"}),
        ("CR CR LF", ["\r\r\n"], {"outcome": "refused"}),
        ("LF CR", ["\n\r"], everything),
    ):
        ended = [lines(row)[:-1] + ends[n % len(ends)] for n, row in enumerate((NAMES, *TABLE))]
        yield Case("line ends", kind, "".join(ended).encode(), ROWS, **told)
    yield Case("no last line end", "", CLEAN[:-1].encode(), ROWS, "exact")
    for delimiter in ";\t|":
        text = lines(NAMES, *TABLE, delimiter=delimiter).encode()
        yield Case("another delimiter", repr(delimiter), text, ROWS, "refused")
        options = ("--delimiter", delimiter)
        yield Case("another delimiter, named", repr(delimiter), text, ROWS, "exact", options=options)
    quotes = frozenset(n for n, row in enumerate(TABLE) if '"' in lines(row))
    yield Case("another quote character", "the file", CLEAN.replace('"', "'").encode(), ROWS,
               "untold", quotes, why="another quote character around one word is text")  # fmt: skip


def _encodings() -> Iterator[Case]:
    for encoding, outcome in (
        ("utf-8-sig", "exact"), ("utf-16", "refused"), ("utf-16-le", "refused"),
        ("utf-16-be", "refused"), ("utf-32", "refused"), ("utf-7", "untold"),
        ("latin-1", "refused"), ("cp1252", "refused"), ("mac-roman", "refused"),
        ("cp500", "refused"),
    ):  # fmt: skip
        kept = [row for row in TABLE if lines(row).encode(encoding, "ignore").decode(encoding)
                == lines(row)]  # fmt: skip
        data, rows = lines(NAMES, *kept).encode(encoding), meant(kept)
        why = "text that was written in ASCII as a whole is text" if outcome == "untold" else ""
        touched = frozenset(range(len(rows))) if why else frozenset()
        yield Case("encoding", encoding, data, rows, outcome, touched, why=why)
        if outcome == "refused":
            named = ("--encoding", encoding)
            yield Case("encoding, named", encoding, data, rows, "exact", options=named)
    twice = CLEAN.encode().decode("latin-1").encode()
    yield Case("encoding", "UTF-8 twice", twice, ROWS, "untold", frozenset({4, 9}),
               why="UTF-8 that was taken for Latin-1 and written again is text")  # fmt: skip
    noise = random.Random(1)  # noqa: S311 - for test data
    for number in range(5):
        yield Case("no text", str(number), noise.randbytes(3_000), (), "refused")
    for magic in (b"\x89PNG\r\n\x1a\n", b"GIF89a,\n", b"\x7fELF", b"\x1f\x8b", b"PK\x03\x04"):
        yield Case("no text", repr(magic), magic + noise.randbytes(500), (), "refused")


def _sizes() -> Iterator[Case]:
    header = lines(NAMES).encode()
    for kind, data in (
        ("empty", b""), ("only a line end", b"\r\n"), ("only a byte order mark", codecs.BOM_UTF8),
        ("header only", header), ("header only, no line end", header[:-1]), ("NUL bytes", bytes(99)),
    ):  # fmt: skip
        yield Case(kind, "", data, (), "refused")
    for cell in ("x" * 10_000_000, quoted('", \n' * 2_500_000)):
        table = [*TABLE[:3], [*TABLE[3][:2], cell, *TABLE[3][3:]], *TABLE[4:]]
        text = lines(NAMES, *table).encode()
        yield Case("10 MB in a cell", repr(cell[:3]), text, meant(table), "exact")


def _cut() -> Iterator[Case]:
    data, start = CLEAN.encode(), len(lines(NAMES, *TABLE[:-1]).encode())
    for size in range(start + 1, len(data) - 1):
        try:
            data[:size].decode()
            told = ("rejected", frozenset({LAST}))
        except UnicodeDecodeError:
            told = ("refused", frozenset())
        yield Case("cut in the last line", f"byte {size}", data[:size], ROWS, *told)
    for size in range(1, len(lines(NAMES)) - 2):
        yield Case("cut in the header", f"byte {size}", data[:size], (), "refused")
