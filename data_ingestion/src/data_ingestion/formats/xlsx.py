"""One sheet of an Excel workbook (.xlsx), as the CSV that a spreadsheet program saves.

The same statement therefore has the same `_row_hash` as a workbook and as CSV, except for dates
that a reader could misunderstand (see `date_format`). For a formula, the text is the value that the
spreadsheet program computed last and stored in the file.
"""

import csv
import io
import logging
from collections.abc import Collection, Iterator
from typing import IO
from xml.etree.ElementTree import ParseError

from data_ingestion.contracts import listed, normalise
from data_ingestion.errors import InputError, printable
from data_ingestion.formats.archive import too_long
from data_ingestion.formats.cells import Cell, bad_cell
from data_ingestion.formats.date_format import FormatError
from data_ingestion.formats.number_format import render
from data_ingestion.formats.workbook import MAX_SHEET, Sheet, Workbook
from data_ingestion.model import Dialect

log = logging.getLogger(__name__)
CHUNK = 1 << 20  # characters
MAX_SHEETS = 100  # in which to look for the columns: each takes up to `MAX_ROW` bytes of reading
MAX_ROW_TEXT = 32 << 20  # as MAX_RECORD in parsing/records.py, because a row becomes a record
# The errors that unexpected XML causes. A missing part is a KeyError.
UNREADABLE = (KeyError, OSError, OverflowError, ParseError, ValueError)


def sheet_as_csv(
    file: IO[bytes],
    dialect: Dialect,
    columns: Collection[str] = (),
    width: int = 0,
    name: str | None = None,
) -> Iterator[bytes]:
    """Yield a sheet of the workbook as CSV in UTF-8, with empty rows as empty lines.

    A row has `width` cells, or else as many as the first row that has values, or more if its own
    values need it.

    Args:
        file: The workbook.
        dialect: How to write the CSV.
        columns: The normalised names of columns that the sheet must have, if there is a choice.
        width: The number of columns, if it is declared.
        name: The name of the sheet, if it is declared.

    Raises:
        InputError: The file is not a readable workbook, unpacks to more than the limits, has a cell
            that cannot be read or rendered, lacks the sheet, or several sheets have the columns.
    """
    total = 0
    try:
        book = Workbook(file)
        sheet = _named(book, name) if name else _choose(book, columns)
        for chunk in _chunks(_rows(book, sheet), dialect, width):
            total += len(chunk)
            if total > MAX_SHEET:
                raise too_long("text", MAX_SHEET)
            yield chunk
    except UNREADABLE as error:
        text = str(error) or type(error).__name__
        raise InputError(
            f"is not a readable workbook ({printable(text)}): save the sheet as CSV"
        ) from error


def _named(book: Workbook, name: str) -> Sheet:
    """Return the sheet with a name. Spreadsheets do not tell upper and lower case apart."""
    for sheet in book.sheets:
        if sheet.name.casefold() == name.casefold():
            return sheet
    names = listed([printable(sheet.name, 40) for sheet in book.sheets])
    raise InputError(f"has no sheet {name!r}, which its source declares; it has {names}")


def _choose(book: Workbook, columns: Collection[str]) -> Sheet:
    """Return the only visible sheet with the columns, or else the first visible sheet."""
    visible = [sheet for sheet in book.sheets if sheet.is_visible]
    if not visible:
        raise InputError(
            "is a workbook without a visible sheet: unhide the sheet with the data and save it"
        )
    chosen, which = visible[0], f"the first of {len(visible)} visible sheets"
    if len(visible) == 1:
        which = "the only visible sheet"
    elif columns:
        if len(visible) > MAX_SHEETS:
            raise InputError(f"has {len(visible)} sheets: save the one with the data as CSV")
        fitting = [sheet for sheet in visible if _has(book, sheet, columns)]
        if len(fitting) > 1:
            names = listed([printable(sheet.name, 40) for sheet in fitting])
            raise InputError(
                f"has {len(fitting)} sheets with the columns of the table ({names}): save each of "
                "them as CSV, or hide all except one"
            )
        if fitting:
            chosen = fitting[0]
            which = f"the only one of {len(visible)} visible sheets with the columns of the table"
    if len(book.sheets) > 1:
        log.info("reading sheet %s, %s", printable(chosen.name), which)
    return chosen


def _has(book: Workbook, sheet: Sheet, columns: Collection[str]) -> bool:
    """Return whether the first row with values has the names of the columns."""
    try:
        header = next((row for _, row in _rows(book, sheet, beginning=True) if row), [])
    except (InputError, *UNREADABLE):
        return False
    return {normalise(text) for text in header}.issuperset(columns)


def _rows(
    book: Workbook, sheet: Sheet, *, beginning: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the sheet: their numbers, ascending from 1, and their texts.

    A row without values, or with nothing but blanks, has no texts.
    """
    for number, cells in book.rows(sheet, beginning=beginning):
        texts: list[str] = []
        size = 0
        for cell in cells:
            text = _text(book, cell, number)
            size += len(text)
            if size > MAX_ROW_TEXT:
                raise too_long(f"row {number:,}", MAX_ROW_TEXT)
            texts += [""] * (cell.column - 1 - len(texts)) + [text]
        yield number, texts if any(map(str.strip, texts)) else []


def _text(book: Workbook, cell: Cell, row: int) -> str:
    try:
        return render(cell.value, cell.code, book.epoch)
    except FormatError as error:
        raise bad_cell(cell.column, row, error) from error


def _chunks(rows: Iterator[tuple[int, list[str]]], dialect: Dialect, width: int) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    # Keep the default line end, CRLF: only with it the writer also quotes a cell that has a CR.
    writer = csv.writer(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar)
    lines = 0
    for number, values in rows:
        text.write("\n" * (number - lines - 1))
        lines = number
        if values:
            while not values[-1]:
                values.pop()
            width = width or len(values)
            writer.writerow(values + [""] * (width - len(values)))
        else:
            text.write("\n")
        if text.tell() >= CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
