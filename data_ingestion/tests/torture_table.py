"""The clean file that torture.py damages, and the expected outcomes of a damaged file.

exact         all rows of the file are loaded and nothing is rejected
rejected      each damaged row is repaired exactly or rejected; all other rows are loaded
refused       no row can be trusted: the load fails with one line and loads nothing
undetectable  the damaged file is itself a valid file, for the reason in `why`
"""

from dataclasses import dataclass

NAMES = [
    "Account No", "DATE", "TRANSACTION DETAILS", "CHQ.NO.", "VALUE DATE", " WITHDRAWAL AMT ",
    " DEPOSIT AMT ", "BALANCE AMT", ".",
]  # fmt: skip
# Cells as written in the file. The loader drops the last column, because it carries nothing.
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
    ["1196428'", "6-Jul-17", '","', "", "", "", '""', '""', ""],
    ['"1196428\'"', '"7-Jul-17"', '"no need"', '""', '"7-Jul-17"', '"5.00"', '""', '"8,993.00"',
     '"."'],
    ["409000611074'", "29-Jun-17", "CASH", "862901", "29-Jun-17", "500.00", "", "500.00", "."],
    ["0012", "2017-07-08", "₹ 東京 / x\\y", "", "2017-07-08", "", "0.10", '"8,993.10 "', "."],
]  # fmt: skip

Values = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One damaged file.

    Attributes:
        kind: The kind of damage.
        place: The damaged place; with `kind` it names the case.
        data: The bytes of the file.
        rows: The true rows.
        outcome: The expected outcome of a load, one of those in the module's docstring.
        damaged_rows: Indexes of the damaged rows.
        options: Options for the load.
        why: The reason why the damage cannot be detected.
    """

    kind: str
    place: str
    data: bytes
    rows: tuple[Values, ...]
    outcome: str
    damaged_rows: frozenset[int] = frozenset()
    options: tuple[str, ...] = ()
    why: str = ""

    @property
    def name(self) -> str:
        """The unique name of the case."""
        return f"{self.kind}, {self.place}" if self.place else self.kind


def value(cell: str) -> str:
    """Return the value of a cell of TABLE, without quotes."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def values_of(table: list[list[str]]) -> tuple[Values, ...]:
    """Return the values of a table of cells, without the column that the loader drops."""
    return tuple(tuple(value(cell) for cell in row[:8]) for row in table)


def quoted(text: str) -> str:
    """Return the text as a quoted cell."""
    return '"' + text.replace('"', '""') + '"'


def lines(*rows: list[str], delimiter: str = ",") -> str:
    """Join rows of cells to the text of a file."""
    return "".join(delimiter.join(row) + "\n" for row in rows)


CLEAN = lines(NAMES, *TABLE)
ROWS = values_of(TABLE)
