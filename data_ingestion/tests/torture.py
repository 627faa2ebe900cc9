"""Damaged files, generated from one clean file, with the expected outcome of each.

`cases()` damages one place in each row and column of the clean file in turn. It also damages the
file as a whole.
"""

from collections import Counter
from collections.abc import Iterator

from torture_files import whole_files
from torture_table import NAMES, ROWS, TABLE, Case, lines, value


def sample_cases(every: int) -> Iterator[Case]:
    """Yield every `every`-th case of each kind of damage, starting with the first."""
    seen: Counter[str] = Counter()
    for case in cases():
        if seen[case.kind] % every == 0:
            yield case
        seen[case.kind] += 1


def cases(every_position: bool = False) -> Iterator[Case]:
    """Yield all cases, always in the same order.

    Args:
        every_position: Add stray characters at every position, which makes thousands more cases.
    """
    yield Case("clean", "", lines(NAMES, *TABLE).encode(), ROWS, "exact")
    for row in range(len(TABLE)):
        yield from _damaged_row(row)
        for column in range(len(NAMES)):
            yield from _damaged_cell(row, column)
        if every_position:
            yield from _stray_characters(row)
    yield from whole_files()


def _row(kind: str, row: int, text: str, place: str = "", **more: object) -> Case:
    """Return the clean file with another text in place of a row and its line end."""
    data = lines(NAMES, *TABLE[:row]) + text + lines(*TABLE[row + 1 :])
    expected = {"rows": ROWS, "outcome": "rejected", "damaged_rows": frozenset({row})} | more
    return Case(kind, f"row {row}{place}", data.encode("utf-8", "surrogateescape"), **expected)


def _damaged_cell(row: int, column: int) -> Iterator[Case]:
    cells = TABLE[row]
    cell = cells[column]
    middle = len(cell) // 2

    def becomes(kind: str, text: str, at: str = "", **more: object) -> Case:
        new = [*cells[:column], text, *cells[column + 1 :]]
        return _row(kind, row, lines(new), f", column {column}{at}", **more)

    if column:
        joined = [*cells[: column - 1], cells[column - 1] + cell, *cells[column + 1 :]]
        yield _row("a missing separator", row, lines(joined), f", column {column}")
    yield becomes("an extra separator", f"{cell},")
    if column < 2:
        yield becomes("a missing account or date", " ")
    yield becomes("a quote at the start", f'"{cell}')
    yield becomes("a quote at the end", f'{cell}"')
    yield becomes("a NUL byte", f"{cell[:middle]}\0{cell[middle:]}")
    # A byte that is not valid UTF-8, as in a file in Latin-1.
    yield becomes("a byte of another encoding", f"{cell}\udce9", outcome="refused")
    if not cell.startswith('"'):
        why = "the rest of the line after a line break in the first cell is a valid line"
        first = {} if column else {"outcome": "undetectable", "why": why}
        yield becomes("a line break", f"{cell[:middle]}\n{cell[middle:]}", **first)
        yield becomes("a carriage return", f"{cell[:middle]}\r{cell[middle:]}")
        if len(cell) > 1:
            yield becomes("a quote in the middle", f'{cell[:middle]}"{cell[middle:]}')
        return
    if len(cell) > 2:
        yield becomes("a quote in the middle", f'{cell[:middle]}"{cell[middle:]}')
    for at in (i for i, character in enumerate(cell) if character == '"'):
        yield becomes("a missing quote", cell[:at] + cell[at + 1 :], f", {at}")
    if '""' in cell[1:-1]:
        yield becomes("an escape character", cell[0] + cell[1:-1].replace('""', '\\"') + cell[-1])
    if "," in cell:
        yield becomes("an escaped separator", value(cell).replace(",", "\\,"))
    detectable = set(value(cell)) & set(',"\n')
    other = {"outcome": "undetectable", "why": "a word in another quote character is valid text"}
    yield becomes("another quote character", f"'{value(cell)}'", **({} if detectable else other))


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
    yield _row("no line end", row, text[:-1], damaged_rows=both)
    yield _row("CR as line end", row, text[:-1] + "\r", damaged_rows=both)
    yield _row("CR CR LF", row, text[:-1] + "\r\r\n")
    exact = {"outcome": "exact", "damaged_rows": frozenset()}
    yield _row("CRLF", row, text[:-1] + "\r\n", **exact)
    yield _row("empty lines", row, f"\n{text}\r\n\n", **exact)
    for blank in (",,,,,,,,", '" ",,"",\u00a0,,,"\n",\t,', ",,,,"):
        yield _row("a row without values", row, f"{blank}\n{text}", repr(blank), **exact)
    yield _row("a repeated line", row, text * 2, rows=(*ROWS, ROWS[row]), **exact)
    yield _row("a note", row, "-- page 2 --\n" + text, damaged_rows=frozenset())
    for kind, note in (
        ("a totals row", ',,TOTAL,,,"1,250.00 ",5.00,,.'),
        ("a wide note", "Page 2,,,,,,,,"),
    ):
        yield _row(kind, row, f"{note}\n{text}", damaged_rows=frozenset())
    yield _row("a repeated header", row, lines(NAMES) + text, damaged_rows=frozenset())
    yield _row("a different header", row, lines(NAMES[::-1]) + text, outcome="refused")
    yield _row("5,000 columns", row, ",".join("x" * 5_000) + "\n")
