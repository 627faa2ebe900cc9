"""An Excel workbook (.xlsx) as the CSV that a spreadsheet program would save of its first sheet.

So the same statement has the same `_row_hash` whether it comes as a workbook or as CSV. Of a
formula, the value is taken that the program stored when it last computed it.
"""

import csv
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import IO
from xml.etree.ElementTree import ParseError

import openpyxl

from data_ingestion.errors import InputError, printable
from data_ingestion.model import Dialect
from data_ingestion.numberformat import FormatError, render

log = logging.getLogger(__name__)
ROWS_PER_CHUNK = 5_000


def sheet_as_csv(file: IO[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Yields the first sheet of the workbook as CSV in UTF-8, with empty rows as empty lines.

    Rows end where the first row with a value ends, unless there is a value further right.

    Raises:
        InputError: not a readable workbook, or a cell whose number format is not covered.
    """
    # It warns of styles and extensions that it leaves out; none of them is about values.
    warnings.filterwarnings("ignore", module="openpyxl")
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        if len(book.worksheets) > 1:
            log.info("reads sheet %s, the first of %d", sheet.title, len(book.worksheets))
        yield from _chunks(sheet.iter_rows(), dialect)
    except (AttributeError, LookupError, OSError, ParseError, TypeError, ValueError) as error:
        raise InputError(
            f"is no workbook that can be read ({printable(str(error))}): save the sheet as CSV"
        ) from error


def _chunks(rows: Iterator[Sequence], dialect: Dialect) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    # The default line end, CRLF: with it the writer also puts a CR inside a cell in quotes.
    writer = csv.writer(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar)
    width = 0
    for number, row in enumerate(rows, start=1):
        values = [_cell_text(cell) for cell in row]
        while values and not values[-1]:
            values.pop()
        width = width or len(values)
        if values:
            writer.writerow(values + [""] * (width - len(values)))
        else:
            text.write("\n")
        if number % ROWS_PER_CHUNK == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _cell_text(cell) -> str:
    try:
        return render(cell.value, cell.number_format) if cell.value is not None else ""
    except FormatError as error:
        raise InputError(
            f"cell {cell.coordinate} has the number format {error}, which cannot be rendered "
            "faithfully: save the sheet as CSV and load that"
        ) from error
