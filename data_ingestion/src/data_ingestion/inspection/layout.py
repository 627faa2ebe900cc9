"""How a statement is written: dialect, preamble, header, rows of data and other lines."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data_ingestion.errors import InputError
from data_ingestion.formats.sep_line import take_sep_line
from data_ingestion.inspection.reading import Text
from data_ingestion.inspection.values import clean, kind_of
from data_ingestion.model import DELIMITERS, Dialect

QUOTES = "\"'"
MAX_SCORED = 2_000  # rows that are enough to compare dialects
MAX_TITLE = 100  # characters
MAX_HEADER_LINES = 4
NAMED = 0.6  # the share of the filled columns that a header names
NO_STATEMENT = (
    "has no rows with a date and an amount: it is no statement, or its dates and amounts are "
    "written in an unknown way"
)


class Row(NamedTuple):
    """A record: the line on which it begins, the lines that it has, and its cells."""

    line: int
    lines: list[str]
    cells: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether no cell has a value."""
        return not any(map(str.strip, self.cells))


@dataclass
class Layout:
    """How a statement is written. Rows are told by their index in `rows`.

    Attributes:
        text: The text of the file.
        delimiter: Between cells.
        quotechar: Around quoted cells.
        rows: All records.
        width: The number of cells in a row of data.
        header: The index of the row with the titles, or None.
        names: The text of all lines of the header, by column; empty without a header.
        preamble: The rows above the header, or above the data.
        data: The rows of data.
        others: The rows below the header that are no data.
        has_trailing_delimiter: Whether rows of data have one more cell than the header.
    """

    text: Text
    delimiter: str
    quotechar: str
    rows: list[Row]
    width: int = 0
    header: int | None = None
    names: list[str] = field(default_factory=list)
    preamble: list[int] = field(default_factory=list)
    data: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    has_trailing_delimiter: bool = False

    @property
    def titles(self) -> list[str]:
        """The titles in the header, or `column_1` and so on."""
        if self.header is None:
            return [f"column_{index + 1}" for index in range(self.width)]
        width = self.width - self.has_trailing_delimiter
        return [" ".join(cell.split()) for cell in self.rows[self.header].cells[:width]]

    def preamble_text(self) -> str:
        """Return the lines above the header as they stand."""
        return "".join(line for index in self.preamble for line in self.rows[index].lines)


def layout_of(text: Text) -> Layout:
    """Find out how a statement is written.

    Raises:
        InputError: The text has no rows with a date and an amount.
    """
    content, named = text.content, None
    if not text.is_workbook:
        content, named = _without_sep_line(content)
    best: tuple[float, Layout] | None = None
    for delimiter in "," if text.is_workbook else named or DELIMITERS:
        for quotechar in '"' if text.is_workbook else QUOTES:
            try:
                rows = _records(content, delimiter, quotechar)
            except csv.Error:
                continue
            score = _score(rows[:MAX_SCORED])
            if score > 0 and (best is None or score > best[0]):
                best = score, Layout(text, delimiter, quotechar, rows)
    if best is None:
        raise InputError(NO_STATEMENT)
    layout = best[1]
    if text.is_workbook:
        _pad(layout.rows)
    _find_data(layout)
    if text.is_workbook:
        _trim(layout)
    return layout


def _without_sep_line(content: str) -> tuple[str, str | None]:
    """Return the text without a line such as `sep=;`, and the delimiter that the line names."""
    start = content.partition("\n")[0]
    if not start.lstrip('"').lower().startswith("sep="):
        return content, None
    dialect, data = take_sep_line(content.encode(), Dialect())
    return data.decode(), dialect.delimiter


def _records(text: str, delimiter: str, quotechar: str) -> list[Row]:
    lines = io.StringIO(text, newline="\n").readlines()
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quotechar)
    rows, start = [], 0
    for cells in reader:
        rows.append(Row(start + 1, lines[start : reader.line_num], cells))
        start = reader.line_num
    return rows


def _score(rows: Sequence[Row]) -> float:
    """Return how well a dialect fits: many rows of data, of one width, with many short cells."""
    data = [row for row in rows if _is_data(row.cells)]
    if not data:
        return 0
    width, count = Counter(len(row.cells) for row in data).most_common(1)[0]
    cells = [cell for row in data if len(row.cells) == width for cell in row.cells]
    typed = sum(kind_of(cell) != "text" or len(cell) < 80 for cell in cells) / (count * width)
    broken = sum(cell.count('"') % 2 * cell.count('"') for row in data for cell in row.cells)
    split = sum(_has_split_quotes(row.cells) for row in data)
    odd = len(data) - count
    return count * typed * (width - 1) / width - 0.5 * odd - 0.1 * broken - split


def _is_data(cells: Sequence[str]) -> bool:
    return {"date", "number"} <= set(map(kind_of, cells))


def _has_split_quotes(cells: Sequence[str]) -> bool:
    """Return whether one cell opens a quote and a later one closes it."""
    for quote in QUOTES:
        whole = [len(cell) > 1 and cell[0] == quote == cell[-1] for cell in cells]
        opened = [i for i, cell in enumerate(cells) if cell[:1] == quote and not whole[i]]
        closed = [i for i, cell in enumerate(cells) if cell[-1:] == quote and not whole[i]]
        if opened and closed and closed[0] > opened[0]:
            return True
    return False


def _pad(rows: list[Row]) -> None:
    """Give all rows of a sheet the same width, as the loader does."""
    width = max(len(row.cells) for row in rows)
    for row in rows:
        row.cells.extend([""] * (width - len(row.cells)))


def _trim(layout: Layout) -> None:
    """Forget the empty columns on the right of a sheet."""
    used = [*layout.data, *([] if layout.header is None else [layout.header])]
    filled = [
        index for row in used for index, cell in enumerate(layout.rows[row].cells) if cell.strip()
    ]
    layout.width = max(filled) + 1
    layout.names = layout.names[: layout.width]


def _find_data(layout: Layout) -> None:
    """Tell the rows of data from the lines around them."""
    rows = layout.rows
    data = [index for index, row in enumerate(rows) if _is_data(row.cells)]
    layout.width = Counter(len(rows[index].cells) for index in data).most_common(1)[0][0]
    data = [index for index in data if len(rows[index].cells) == layout.width]
    # The column in which most rows have a date tells data from a line such as a closing balance.
    dated = Counter(
        column
        for index in data
        for column, cell in enumerate(rows[index].cells)
        if kind_of(cell) == "date"
    )
    column = max(dated, key=lambda column: (dated[column], -column))
    data = [index for index in data if kind_of(rows[index].cells[column]) == "date"]
    header = _find_header(layout, data)
    _set_header(layout, header)
    first, start = (header[0], header[-1] + 1) if header else (data[0], data[0])
    layout.data = [index for index in data if index >= start]
    layout.preamble = list(range(layout.header if layout.header is not None else first))
    behind = first if layout.header is None else layout.header + 1
    chosen = set(layout.data)
    layout.others = [
        index
        for index in range(behind, len(rows))
        if index not in chosen and not rows[index].is_empty
    ]


def _set_header(layout: Layout, header: list[int]) -> None:
    """Set the line with the titles: the one of a header over several lines with most names."""
    layout.names = [""] * layout.width
    if not header:
        return
    for index in header:
        for column, cell in enumerate(layout.rows[index].cells[: layout.width]):
            layout.names[column] = f"{layout.names[column]} {' '.join(cell.split())}".strip()
    layout.header = max(
        header, key=lambda index: sum(bool(cell.strip()) for cell in layout.rows[index].cells)
    )
    layout.has_trailing_delimiter = len(layout.rows[layout.header].cells) < layout.width


def _find_header(layout: Layout, data: list[int]) -> list[int]:
    """Return the rows of the header: those above the data that name most of its columns."""
    rows = layout.rows
    filled = {
        column
        for index in data[:50]
        for column, cell in enumerate(rows[index].cells)
        if clean(cell)
    }
    enough = max(2, NAMED * len(filled))
    for last in range(data[0] - 1, -1, -1):
        header: list[int] = []
        named: set[int] = set()
        for index in range(last, max(-1, last - MAX_HEADER_LINES), -1):
            cells = rows[index].cells
            if not _fits(layout, cells, data) or not _is_names(cells):
                break
            header.insert(0, index)
            named |= {column for column, cell in enumerate(cells) if cell.strip()}
            if len(header) == 1 and len(named) >= enough:
                break
        if header:
            return header if len(named) >= enough else []
    return []


def _fits(layout: Layout, cells: Sequence[str], data: list[int]) -> bool:
    """Return whether a row has as many cells as the data, or one less for an empty last one."""
    if len(cells) == layout.width:
        return True
    is_shorter = len(cells) == layout.width - 1
    return is_shorter and not any(layout.rows[index].cells[-1].strip() for index in data)


def _is_names(cells: Sequence[str]) -> bool:
    filled = [cell for cell in map(clean, cells) if cell]
    if not filled or any(kind_of(cell) in ("date", "number") for cell in filled):
        return False
    is_short = all(len(cell) <= MAX_TITLE for cell in filled)
    return is_short and 2 * len(set(filled)) > len(filled)
