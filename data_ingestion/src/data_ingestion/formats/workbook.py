"""The parts of an Excel workbook (.xlsx) that affect values: sheets, number formats and strings.

Elements are found by the namespace of their part's root, and parts by the last word of the
relation to them. The Strict variant of the format, with its other names, is therefore read as well.

docs/decisions/0010-own-reader-of-workbooks.md says why no library reads them.
"""

import posixpath
from collections.abc import Iterator
from typing import IO, NamedTuple
from xml.etree.ElementTree import Element, iterparse, parse

from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH

from data_ingestion.errors import InputError
from data_ingestion.formats.archive import MAX_PART, Package
from data_ingestion.formats.cells import Cell, CellReader, string_text

# Limits in bytes. A sheet, as XML and as CSV, may have more than a million rows of a statement.
MAX_SHEET = 2 << 30
# Shared strings are held in memory, with up to 4 bytes for each byte of XML.
MAX_STRINGS = 100 << 20
# The XML of one row, or of everything before the first row.
MAX_ROW = 4 << 20
MAX_ROWS = 1_048_576  # Excel's limit

GENERAL = {"0": "General"}  # the formats of a workbook without styles
# openpyxl's code for built-in format 44 lacks the semicolons.
ACCOUNTING = r'_("$"* #,##0.00_);_("$"* \(#,##0.00\);_("$"* "-"??_);_(@_)'
# These are dates in East Asia and Thailand, in each country with another code.
LOCAL_DATES = (*range(27, 37), *range(50, 59), *range(71, 78), 81)
BUILT_IN = BUILTIN_FORMATS | {44: ACCOUNTING} | dict.fromkeys(LOCAL_DATES, BUILTIN_FORMATS[14])


class Sheet(NamedTuple):
    """A worksheet: its name, the name of its part in the archive, and whether people see it."""

    name: str
    part: str
    is_visible: bool


class Workbook:
    """A workbook that is open for reading.

    Attributes:
        sheets: The worksheets, in the order of their tabs; a chart is none.
        epoch: The day 0 of the workbook's dates.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read everything except the sheets.

        Raises:
            InputError: A part is larger than its limit, or has a document type.
            Exception: One of `xlsx.UNREADABLE`, because the file is not a readable workbook.
        """
        self._package = Package(file)
        main = _by_kind(self._related(""))["officeDocument"]
        related = self._related(main)
        parts = _by_kind(related)
        book, space = self._parse(main)
        self.sheets = [
            Sheet(sheet.get("name", ""), related[id_][1], sheet.get("state") in (None, "visible"))
            for sheet in book.iterfind(f"{space}sheets/{space}sheet")
            for key, id_ in sheet.items()
            if key.endswith("}id") and related.get(id_, ("",))[0] == "worksheet"
        ]
        is_1904 = _is_set(book.find(f"{space}workbookPr"), "date1904")
        self.epoch = MAC_EPOCH if is_1904 else WINDOWS_EPOCH
        self._is_uncomputed = _is_set(book.find(f"{space}calcPr"), "fullCalcOnLoad")
        self._codes = self._read_codes(parts["styles"]) if "styles" in parts else GENERAL
        self._strings = list(self._read_strings(parts.get("sharedStrings")))

    def _related(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the parts to which a part is related: by id, the kind of relation and the name."""
        folder, name = posixpath.split(part)
        relations, _ = self._parse(posixpath.join(folder, "_rels", f"{name}.rels"))
        related = {}
        for relation in relations:
            kind = posixpath.basename(relation.get("Type", ""))
            path = posixpath.join("/", folder, relation.get("Target", ""))
            target = posixpath.normpath(path).lstrip("/")
            if self._package.has(target):
                related[relation.get("Id", "")] = kind, target
        return related

    def _parse(self, part: str) -> tuple[Element, str]:
        """Return the root of a small part, and its namespace as the start of tags."""
        with self._package.part(part, MAX_PART) as source:
            root = parse(source).getroot()  # noqa: S314 - bounded
        return root, _namespace(root)

    def _read_codes(self, part: str) -> dict[str, str]:
        """Return the code of the number format of each style; an index, as text, names a style."""
        styles, space = self._parse(part)
        own = {
            int(number_format.get("numFmtId", "")): number_format.get("formatCode", "")
            for number_format in styles.iterfind(f"{space}numFmts/{space}numFmt")
        }
        codes = {}
        for index, style in enumerate(styles.iterfind(f"{space}cellXfs/{space}xf")):
            id_ = int(style.get("numFmtId", 0))
            # Programs show a number in an unknown built-in format as General.
            if id_ in own or id_ < BUILTIN_FORMATS_MAX_SIZE:
                codes[str(index)] = own.get(id_) or BUILT_IN.get(id_, "General")
        return codes

    def _read_strings(self, part: str | None) -> Iterator[str]:
        """Yield the strings that cells share, and free the XML of each."""
        if part is None:
            return
        with self._package.part(part, MAX_STRINGS) as source:
            events = iterparse(source, ("start", "end"))  # noqa: S314 - bounded
            _, table = next(events)
            space = _namespace(table)
            for event, element in events:
                if event == "end" and element.tag == f"{space}si":
                    yield string_text(element, space)
                    table.clear()

    def rows(self, sheet: Sheet, *, beginning: bool = False) -> Iterator[tuple[int, list[Cell]]]:
        """Yield the rows of a sheet: their numbers, ascending from 1, and their cells.

        Args:
            sheet: The sheet.
            beginning: Whether to read no more than the first MAX_ROW bytes.

        Raises:
            InputError: The sheet is larger than its limits, or a row or cell cannot be read.
            Exception: One of `xlsx.UNREADABLE`, because the sheet is not readable.
        """
        number = 0
        with self._package.part(sheet.part, MAX_SHEET, row_limit=MAX_ROW) as source:
            data, reader = None, CellReader("", self._strings, self._codes)
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314 - bounded
                if event == "start":
                    if data is None and element.tag.endswith("}sheetData"):
                        data = element
                        reader = CellReader(_namespace(data), self._strings, self._codes)
                elif data is not None and element.tag == reader.row:
                    number = _row_number(element, number)
                    yield number, reader.cells(element, number)
                    data.clear()
                    if not beginning:
                        source.end_row()
                elif element is data:
                    break  # the rest of the sheet affects only its appearance
        if self._is_uncomputed:
            reader.check_computed()


def _by_kind(related: dict[str, tuple[str, str]]) -> dict[str, str]:
    return dict(related.values())


def _namespace(element: Element) -> str:
    return element.tag[: element.tag.rfind("}") + 1]


def _is_set(element: Element | None, attribute: str) -> bool:
    return element is not None and element.get(attribute) in ("1", "true")


def _row_number(row: Element, before: int) -> int:
    number = float(row.get("r", before + 1))  # some programs write 1.0
    if not number.is_integer():
        raise ValueError(f"{number} is no row number")
    if not before < number <= MAX_ROWS:
        raise InputError(f"has a row {number:,.0f} after row {before:,}: save the sheet as CSV")
    return int(number)
