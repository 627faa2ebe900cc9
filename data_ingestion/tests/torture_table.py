"""The clean file that torture.py damages, and what a damaged one is.

exact     the file means just its rows: all are loaded, nothing is rejected
rejected  the rows that are touched are repaired exactly or rejected, all others loaded
refused   no row can be trusted: one line, and nothing is loaded
untold    the damaged file is as good a file as a clean one would be: `why` says in which way
"""

from dataclasses import dataclass

NAMES = [
    "Account No", "DATE", "TRANSACTION DETAILS", "CHQ.NO.", "VALUE DATE", " WITHDRAWAL AMT ",
    " DEPOSIT AMT ", "BALANCE AMT", ".",
]  # fmt: skip
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

Values = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One damaged file; `rows` are those that it means, `touched` the places of damaged ones.

    `outcome` is what may become of it, loaded with `options`.
    """

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
