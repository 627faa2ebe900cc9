"""The first sheet of an Excel workbook (.xlsx), as the CSV that a spreadsheet program saves.

The same statement therefore has the same `_row_hash` as a workbook and as CSV. For a formula,
the text is the value that the spreadsheet program computed last and stored in the file.

openpyxl reads styles, strings and cells. This module walks through the rows itself, because
openpyxl keeps every row that it has read, and trusts the size that the sheet states.
"""

import csv
import io
import logging
import warnings
from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import ParseError, iterparse

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils import get_column_letter
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from data_ingestion.errors import InputError, printable
from data_ingestion.formats.archive import Workbook, too_long
from data_ingestion.formats.number_format import FormatError, render
from data_ingestion.formats.private_apis import number_format, sheet_parser
from data_ingestion.model import Dialect

log = logging.getLogger(__name__)
CHUNK = 1 << 20  # characters
STRING_TAG, DATA_TAG, ROW_TAG = (f"{{{SHEET_MAIN_NS}}}{tag}" for tag in ("si", "sheetData", "row"))
# Limits in bytes. A sheet, as XML and as CSV, may have more than a million rows of a statement.
MAX_SHEET = 2 << 30
# Shared strings are held in memory, with up to 4 bytes for each byte of XML.
MAX_STRINGS = 100 << 20
# The XML of one row, or of everything before the first row.
MAX_ROW = 4 << 20
MAX_ROW_TEXT = 32 << 20  # as MAX_RECORD in parsing/records.py, because a row becomes a record
MAX_ROWS, MAX_FORMAT = 1_048_576, 255  # Excel's limits: rows of a sheet, characters of a format
# The errors that openpyxl raises for unexpected XML.
UNREADABLE = (
    *(AttributeError, KeyError, IndexError, OSError, ParseError),
    *(RecursionError, TypeError, ValueError),
)


def sheet_as_csv(file: IO[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Yield the first sheet of the workbook as CSV in UTF-8, with empty rows as empty lines.

    A row is as wide as the first row that has values, or wider if its own values need it.

    Raises:
        InputError: The file is not a readable workbook, unpacks to more than the limits, or has a
            cell with a number format that is not supported.
    """
    # openpyxl warns about styles and extensions that it ignores. None of them affects values.
    warnings.filterwarnings("ignore", module="openpyxl")
    try:
        reader = _Reader(file)
        name = reader.first_sheet()
    except UNREADABLE as error:
        raise _unreadable(error) from error
    total = 0
    for chunk in _chunks(reader.rows(name), dialect):
        total += len(chunk)
        if total > MAX_SHEET:
            raise too_long("text", MAX_SHEET)
        yield chunk


class _Reader(ExcelReader):
    """openpyxl's reader, reduced to the parts that affect values, on an archive with bounds."""

    archive: Workbook

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, read_only=True, data_only=True, keep_links=False)
        self.archive = Workbook(file)
        self.read_manifest()
        self.read_strings()
        self.read_workbook()
        apply_stylesheet(self.archive, self.wb)
        self._formats: dict[int, str] = {}

    def read_strings(self) -> None:
        """Read the strings that cells share, and free the XML of each."""
        part = self.package.find(SHARED_STRINGS)  # type: ignore[no-untyped-call]
        if part is None:
            return
        with self.archive.part(part.PartName[1:], MAX_STRINGS) as source:
            table = None
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314 - bounded
                if table is None:
                    table = element
                if event == "end" and element.tag == STRING_TAG:
                    # openpyxl's reader removes the escape of an underscore in the same way.
                    text: Any = Text.from_tree(element)
                    self.shared_strings.append(text.content.replace("x005F_", ""))
                    table.clear()

    def first_sheet(self) -> str:
        """Return the name in the archive of the first sheet with cells.

        Raises:
            InputError: The workbook has no such sheet.
        """
        sheets = [
            (sheet.name, relation.target)
            for sheet, relation in self.parser.find_sheets()
            if relation.Type.endswith("/worksheet") and relation.target in self.valid_files
        ]
        if not sheets:
            raise InputError("is a workbook without a sheet: save the data as CSV")
        if len(sheets) > 1:
            log.info("reading sheet %s, the first of %d", printable(sheets[0][0]), len(sheets))
        return str(sheets[0][1])

    def rows(self, name: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows of the sheet: their numbers, ascending from 1, and their texts.

        Raises:
            InputError: As `sheet_as_csv`.
        """
        before = 0
        try:
            for number, cells in self._parsed_rows(name):
                if not before < number <= MAX_ROWS:
                    raise InputError(
                        f"has a row {number:,} after row {before:,}: save the sheet as CSV"
                    )
                before = number
                yield number, self._texts(cells)
        except UNREADABLE as error:
            raise _unreadable(error) from error

    def _parsed_rows(self, name: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        with self.archive.part(name, MAX_SHEET, row_limit=MAX_ROW) as source:
            parser = sheet_parser(source, self.shared_strings, self.wb)
            rows = None
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314 - bounded
                if event == "start":
                    if element.tag == DATA_TAG:
                        rows = element
                elif element.tag == ROW_TAG and rows is not None:
                    yield parser.parse_row(element)
                    rows.clear()
                    parser.row_dimensions.clear()
                    source.end_row()
                elif element is rows:
                    return  # the rest of the sheet affects only its appearance

    def _texts(self, cells: list[dict[str, Any]]) -> list[str]:
        texts: list[str] = []
        size = 0
        for cell in cells:
            if cell["value"] is None:
                continue
            if cell["column"] <= len(texts):
                raise ValueError(f"row {cell['row']} has cells that are not in column order")
            text = self._text(cell)
            size += len(text)
            if size > MAX_ROW_TEXT:
                raise too_long(f"row {cell['row']:,}", MAX_ROW_TEXT)
            texts += [""] * (cell["column"] - 1 - len(texts)) + [text]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def _text(self, cell: dict[str, Any]) -> str:
        try:
            return render(cell["value"], self._format(cell["style_id"]))
        except FormatError as error:
            raise InputError(
                f"cell {get_column_letter(cell['column'])}{cell['row']} has the number format "
                f"{error}, which cannot be rendered faithfully: save the sheet as CSV and load that"
            ) from error

    def _format(self, style: int) -> str:
        """Return the code of the number format of a style."""
        if style not in self._formats:
            code = number_format(self.wb, style)
            if len(code) > MAX_FORMAT:
                raise ValueError(f"a number format of more than {MAX_FORMAT} characters")
            self._formats[style] = code
        return self._formats[style]


def _chunks(rows: Iterator[tuple[int, list[str]]], dialect: Dialect) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    # Keep the default line end, CRLF: only with it the writer also quotes a cell that has a CR.
    writer = csv.writer(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar)
    width = lines = 0
    for number, values in rows:
        text.write("\n" * (number - lines - 1))
        lines = number
        width = width or len(values)
        if values:
            writer.writerow(values + [""] * (width - len(values)))
        else:
            text.write("\n")
        if text.tell() >= CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _unreadable(error: Exception) -> InputError:
    # openpyxl wraps the error of a part in another one, with several lines.
    text = str(error.__cause__ or error).splitlines()[0] if str(error) else repr(error)
    return InputError(f"is not a readable workbook ({printable(text)}): save the sheet as CSV")
