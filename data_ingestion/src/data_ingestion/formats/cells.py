"""The values of a sheet's cells, exactly as the file has them."""

import math
import re
from datetime import datetime, time
from itertools import chain
from typing import NamedTuple
from xml.etree.ElementTree import Element

from openpyxl.utils import column_index_from_string, get_column_letter
from openpyxl.utils.escape import unescape

from data_ingestion.errors import InputError, printable
from data_ingestion.formats.number_format import Value

MAX_NUMBER = 1e308
MAX_FORMAT = 255  # characters of a number format: Excel's limit
SAVE_AS_CSV = "save the sheet as CSV and load that"
SAVE_IT = "open the workbook in a spreadsheet program and save it, or save the sheet as CSV"


class Cell(NamedTuple):
    """A cell with a value: its column from 1, its value, and the code of its number format."""

    column: int
    value: Value
    code: str


class CellReader:
    """Reads the cells of one sheet.

    Attributes:
        row: The tag of a row.
    """

    def __init__(self, space: str, strings: list[str], codes: dict[str, str]) -> None:
        """Prepare to read cells.

        Args:
            space: The namespace of the sheet, as the start of tags.
            strings: The strings that cells share.
            codes: The code of the number format of each style.
        """
        self._space, self._strings, self._codes = space, strings, codes
        self.row, self._cell = f"{space}row", f"{space}c"
        self._value, self._formula, self._inline = f"{space}v", f"{space}f", f"{space}is"
        self._first_formula: tuple[int, int] | None = None
        self._is_computed = False  # whether a formula has a stored value other than 0

    def cells(self, row: Element, number: int) -> list[Cell]:
        """Return the cells of a row that have values, in the order of their columns.

        Raises:
            InputError: A cell cannot be read.
            ValueError: The columns are not in order.
        """
        cells: list[Cell] = []
        column = 0
        for element in row:
            if element.tag != self._cell:
                continue
            before, reference = column, element.get("r")
            column = _column(reference) if reference else column + 1
            if column <= before:
                raise ValueError(f"row {number} has cells that are not in column order")
            if element.find(self._formula) is not None:
                self._check_formula(element, column, number)
            try:
                value = self._read(element)
                if value is not None:
                    cells.append(Cell(column, value, self._code(element.get("s", "0"), value)))
            except ValueError as error:
                raise bad_cell(column, number, error) from error
        return cells

    def _check_formula(self, cell: Element, column: int, row: int) -> None:
        """Raise InputError if the file does not have the result of a formula."""
        result = cell.findtext(self._value)
        if result is None or (result == "" and cell.get("t") != "str"):
            raise bad_cell(column, row, "has a formula without a stored value", SAVE_IT)
        self._first_formula = self._first_formula or (column, row)
        self._is_computed |= result != "0"

    def check_computed(self) -> None:
        """Raise InputError if the sheet has formulas, and all of them have the value 0.

        Some programs write 0 for every formula, and leave it to the first spreadsheet program that
        opens the workbook to compute them.
        """
        if self._first_formula and not self._is_computed:
            reason = "has a formula that was not computed, like all formulas of the sheet"
            raise bad_cell(*self._first_formula, reason, SAVE_IT)

    def _read(self, cell: Element) -> Value | None:
        kind, text = cell.get("t", "n"), cell.findtext(self._value)
        inline = cell.find(self._inline)
        if inline is not None:
            return _unescaped(string_text(inline, self._space))
        if not text:
            return "" if kind in ("str", "inlineStr") else None
        if kind == "n":
            return _number(text)
        if kind == "s":
            if not text.isdecimal() or int(text) >= len(self._strings):
                raise ValueError(f"refers to string {text}, which the workbook does not have")
            return _unescaped(self._strings[int(text)])
        if kind in ("str", "inlineStr"):
            return _unescaped(text)
        if kind == "b":
            return text in ("1", "true")
        if kind == "d":
            return _moment(text)
        if kind == "e":
            return text
        raise ValueError(f"has the unknown type {kind}")

    def _code(self, style: str, value: Value) -> str:
        """Return the code of the number format of a style. A text needs none."""
        code = self._codes.get(style, "General" if isinstance(value, str) else None)
        if code is None:
            raise ValueError(f"has style {style}, whose number format the workbook does not define")
        if len(code) > MAX_FORMAT:
            raise ValueError(f"has a number format of more than {MAX_FORMAT} characters")
        return code


def bad_cell(
    column: int, row: int, reason: ValueError | str, remedy: str = SAVE_AS_CSV
) -> InputError:
    """Return the error for a cell that cannot be read."""
    name = f"{get_column_letter(column)}{row}"
    return InputError(f"cell {name} {printable(str(reason))}: {remedy}")


def string_text(string: Element, space: str) -> str:
    """Return the text of a string: plain or in runs, without notes on its pronunciation."""
    runs = chain([string], string.iterfind(f"{space}r"))
    return "".join(run.findtext(f"{space}t", "") for run in runs)


def _unescaped(text: str) -> str:
    """Decode escapes: `_x000D_` is a carriage return, `_x005F_` the underscore of no escape."""
    if "_x" not in text:
        return text
    try:  # two escapes can be the halves of one character
        return unescape(text).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("has only one half of a character") from None


def _number(text: str) -> int | float:
    """Return an int, which is exact, or a float, as which a spreadsheet program stores numbers."""
    try:
        number = float(text) if re.search("[.eE]", text) else int(text)
    except ValueError:
        number = math.inf
    if "_" in text or not -MAX_NUMBER < number < MAX_NUMBER:
        raise ValueError(f"should have a number as its value, but has {text}")
    return number


def _moment(text: str) -> datetime | time:
    """Return the date or time of a text in ISO format, without its offset from UTC."""
    is_time = re.match(r"T?\d\d:", text)
    try:
        moment = time.fromisoformat(text) if is_time else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"should have a date as its value, but has {text}") from None
    return moment.replace(tzinfo=None)


def _column(reference: str) -> int:
    return column_index_from_string(reference.rstrip("0123456789"))
