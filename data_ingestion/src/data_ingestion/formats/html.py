"""The tables of an HTML page, as CSV. Some banks give such a page the ending .xls."""

import csv
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain

from data_ingestion.contracts import MAX_COLUMNS
from data_ingestion.model import Dialect

START = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|meta|style|body|div|table)\b",
    re.IGNORECASE | re.DOTALL,
)
# A page shows a run of these characters as one blank, and uses no-break spaces to fill its cells.
BLANKS = re.compile(r"[ \t\r\n\f\u00a0]+")


def is_html(beginning: str) -> bool:
    """Return whether a text begins like an HTML page."""
    return bool(START.match(beginning))


def declared_charset(beginning: bytes) -> str | None:
    """Return the encoding that a page names for itself, if it does."""
    found = re.search(rb"charset\s*=\s*[\"']?([\w-]+)", beginning[:4096], re.IGNORECASE)
    return found[1].decode().lower() if found else None


def tables_as_csv(chunks: Iterator[str], dialect: Dialect, width: int = 0) -> Iterator[str]:
    """Yield the rows of all tables of a page as CSV.

    A row has `width` cells, or else as many as the first row, or more if its own cells need it. A
    cell that spans several columns is followed by empty ones.

    Args:
        chunks: The text of the page.
        dialect: How to write the CSV.
        width: The number of columns, if it is declared.
    """
    parser = _Tables()
    for chunk in chain(chunks, [None]):
        if chunk is None:
            parser.close()
        else:
            parser.feed(chunk)
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar)
        for row in parser.take_rows():
            width = width or len(row)
            writer.writerow(row + [""] * (width - len(row)))
        yield text.getvalue()


class _Tables(HTMLParser):
    """Collects the rows of the tables. Cells and rows may lack their end tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._rows: list[list[str]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._span = 1

    def take_rows(self) -> list[list[str]]:
        """Return the rows that have ended since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def close(self) -> None:
        """End the last row, which may lack its end tag like any other."""
        super().close()
        self._end_row()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell, which ends the one before."""
        if tag == "tr":
            self._end_row()
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._end_cell()
            self._cell = []
            span = dict(attrs).get("colspan") or ""
            self._span = min(int(span), MAX_COLUMNS) if span.isdecimal() else 1
        elif tag in ("br", "p", "div") and self._cell:
            self._cell.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """End a cell or a row."""
        if tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "table"):
            self._end_row()

    def handle_data(self, data: str) -> None:
        """Add text to the cell."""
        if self._cell is not None:
            self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            text = BLANKS.sub(" ", "".join(self._cell)).strip(" ")
            self._row += [text] + [""] * (self._span - 1)
        self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self._row is not None and any(self._row):
            self._rows.append(self._row)
        self._row = None
