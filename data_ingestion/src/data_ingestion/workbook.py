"""An Excel workbook (.xlsx) as the CSV that a spreadsheet program would save of its first sheet.

So the same statement has the same `_row_hash` whether it comes as a workbook or as CSV. Of a
formula, the value is taken that the program stored when it last computed it.

openpyxl reads styles, strings and cells; the sheet's rows are walked here, because it keeps what it
has read of them and believes what the sheet says of its own size.
"""

import csv
import io
import logging
import warnings
from collections.abc import Iterator
from typing import IO
from xml.etree.ElementTree import ParseError, iterparse

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._reader import DATA_TAG, ROW_TAG, WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from data_ingestion import archive
from data_ingestion.errors import InputError, printable
from data_ingestion.model import Dialect
from data_ingestion.numberformat import FormatError, render

log = logging.getLogger(__name__)
CHUNK = 1 << 20
STRING_TAG = f"{{{SHEET_MAIN_NS}}}si"
# What a sheet may come to, as XML and as CSV: more than a million rows of a statement do.
MAX_SHEET = 2 << 30
# Texts that cells share are held in memory: up to 4 bytes for each of these.
MAX_STRINGS = 100 << 20
# The XML of a row, or of what stands before the first one.
MAX_ROW = 4 << 20
MAX_ROW_TEXT = 32 << 20  # as records.MAX_RECORD, which this becomes
MAX_ROWS, MAX_FORMAT = 1_048_576, 255  # rows of a sheet, characters of a number format: Excel's
# All that openpyxl raises when the XML is not what it expects.
UNREADABLE = (
    *(AttributeError, KeyError, IndexError, OSError, ParseError),
    *(RecursionError, TypeError, ValueError),
)


def sheet_as_csv(file: IO[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Yields the first sheet of the workbook as CSV in UTF-8, with empty rows as empty lines.

    Rows end where the first row with a value ends, unless there is a value further right.

    Raises:
        InputError: not a readable workbook, one that unpacks to more than a sheet can be, or a
            cell whose number format is not covered.
    """
    # It warns of styles and extensions that it leaves out; none of them is about values.
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
            raise archive.too_long("text", MAX_SHEET)
        yield chunk


class _Reader(ExcelReader):
    """The parts of openpyxl's reader that are about values, over an archive with bounds."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, read_only=True, data_only=True, keep_links=False)
        self.archive = archive.Workbook(file)
        self.read_manifest()
        self.read_strings()
        self.read_workbook()
        apply_stylesheet(self.archive, self.wb)
        self._formats: dict[int, str] = {}

    def read_strings(self) -> None:
        """The texts that cells share, without the XML that they stood in."""
        part = self.package.find(SHARED_STRINGS)
        if part is None:
            return
        with self.archive.part(part.PartName[1:], MAX_STRINGS) as source:
            table = None
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314 - bounded
                if table is None:
                    table = element
                if event == "end" and element.tag == STRING_TAG:
                    # openpyxl's own way with the escape of an underscore
                    self.shared_strings.append(
                        Text.from_tree(element).content.replace("x005F_", "")
                    )
                    table.clear()

    def first_sheet(self) -> str:
        """The name in the archive of the first sheet with cells.

        Raises:
            InputError: there is none.
        """
        sheets = [
            (sheet.name, relation.target)
            for sheet, relation in self.parser.find_sheets()
            if relation.Type.endswith("/worksheet") and relation.target in self.valid_files
        ]
        if not sheets:
            raise InputError("is a workbook without a sheet: save the data as CSV")
        if len(sheets) > 1:
            log.info("reads sheet %s, the first of %d", printable(sheets[0][0]), len(sheets))
        return sheets[0][1]

    def rows(self, name: str) -> Iterator[tuple[int, list[str]]]:
        """Yields the rows that stand in the sheet: their numbers, rising from 1, and their texts.

        Raises:
            InputError: as `sheet_as_csv`.
        """
        before = 0
        try:
            for number, cells in self._parsed_rows(name):
                if not before < number <= MAX_ROWS:
                    raise InputError(
                        f"has a row {number:,} behind row {before:,}: save the sheet as CSV"
                    )
                before = number
                yield number, self._texts(cells)
        except UNREADABLE as error:
            raise _unreadable(error) from error

    def _parsed_rows(self, name: str) -> Iterator[tuple[int, list[dict]]]:
        with self.archive.part(name, MAX_SHEET, between_rests=MAX_ROW) as source:
            parser = WorkSheetParser(
                source,
                self.shared_strings,
                data_only=True,
                epoch=self.wb.epoch,
                date_formats=self.wb._date_formats,
                timedelta_formats=self.wb._timedelta_formats,
            )
            rows = None
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314 - bounded
                if event == "start":
                    if element.tag == DATA_TAG:
                        rows = element
                elif element.tag == ROW_TAG and rows is not None:
                    yield parser.parse_row(element)
                    rows.clear()
                    parser.row_dimensions.clear()
                    source.rest()
                elif element is rows:
                    return  # what follows is about looks

    def _texts(self, cells: list[dict]) -> list[str]:
        texts: list[str] = []
        size = 0
        for cell in cells:
            if cell["value"] is None:
                continue
            if cell["column"] <= len(texts):
                raise ValueError(f"row {cell['row']} has its cells in another order than columns")
            text = self._text(cell)
            size += len(text)
            if size > MAX_ROW_TEXT:
                raise archive.too_long(f"row {cell['row']:,}", MAX_ROW_TEXT)
            texts += [""] * (cell["column"] - 1 - len(texts)) + [text]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def _text(self, cell: dict) -> str:
        try:
            return render(cell["value"], self._format(cell["style_id"]))
        except FormatError as error:
            raise InputError(
                f"cell {get_column_letter(cell['column'])}{cell['row']} has the number format "
                f"{error}, which cannot be rendered faithfully: save the sheet as CSV and load that"
            ) from error

    def _format(self, style: int) -> str:
        """The code of the number format of a style."""
        if style not in self._formats:
            number = self.wb._cell_styles[style].numFmtId
            custom = number - BUILTIN_FORMATS_MAX_SIZE
            code = BUILTIN_FORMATS.get(number, "General")
            self._formats[style] = code if custom < 0 else self.wb._number_formats[custom]
            if len(self._formats[style]) > MAX_FORMAT:
                raise ValueError(f"a number format of more than {MAX_FORMAT} characters")
        return self._formats[style]


def _chunks(rows: Iterator[tuple[int, list[str]]], dialect: Dialect) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    # The default line end, CRLF: with it the writer also puts a CR inside a cell in quotes.
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
    # openpyxl wraps what its parts raise, in many lines.
    said = printable(str(error.__cause__ or error).splitlines()[0] if str(error) else repr(error))
    return InputError(f"is no workbook that can be read ({said}): save the sheet as CSV")
