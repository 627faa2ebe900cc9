"""The private APIs of zipfile and openpyxl in formats/private_apis.py and formats/xlsx.py.

A failure names what a new version of Python or openpyxl has changed.
"""

import inspect
import io
import zipfile
from xml.etree.ElementTree import fromstring

import openpyxl
import pytest
from openpyxl.reader.excel import ExcelReader
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHEET_MAIN_NS

from data_ingestion.formats.private_apis import directory_size, number_format, sheet_parser


def test_zipfile_reads_the_size_of_the_directory_from_the_end_record():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("a.csv", "longer.csv"):
            archive.writestr(name, b"x")
    # 46 bytes for each entry, and its name (APPNOTE.TXT, section 4.3.12)
    assert directory_size(file) == 2 * 46 + len("a.csv") + len("longer.csv")
    assert directory_size(io.BytesIO(b"no zip")) is None


def test_zipfile_reads_the_directory_by_the_same_end_record():
    """If ZipFile used another record, the loader would check another size than ZipFile reads."""
    source = inspect.getsource(zipfile.ZipFile._RealGetContents)
    assert "_EndRecData(fp)" in source and "endrec[_ECD_SIZE]" in source


@pytest.mark.parametrize(
    "name",
    ["archive", "package", "parser", "shared_strings", "valid_files", "wb"],
)
def test_openpyxl_has_the_attributes_of_the_reader(name):
    assert f"self.{name}" in inspect.getsource(ExcelReader), f"openpyxl's ExcelReader has no {name}"


def test_openpyxl_takes_the_arguments_of_the_sheet_parser():
    assert list(inspect.signature(WorkSheetParser.__init__).parameters) == [
        "self",
        "src",
        "shared_strings",
        "data_only",
        "epoch",
        "date_formats",
        "timedelta_formats",
        "rich_text",
    ]


def test_openpyxl_parses_one_row_to_its_number_and_cells():
    parser = sheet_parser(io.BytesIO(), ["shared"], openpyxl.Workbook())
    row = fromstring(  # noqa: S314 - written here
        f'<row xmlns="{SHEET_MAIN_NS}" r="7"><c r="B7" t="s"><v>0</v></c><c r="C7"><v>1.5</v></c>'
        "</row>"
    )
    number, cells = parser.parse_row(row)
    assert number == 7
    assert [(c["row"], c["column"], c["value"], c["style_id"]) for c in cells] == [
        (7, 2, "shared", 0),
        (7, 3, 1.5, 0),
    ]
    parser.row_dimensions.clear()  # the loader clears it, because each parsed row adds an entry


def test_openpyxl_keeps_the_number_formats_of_a_workbook_by_style():
    book = openpyxl.Workbook()
    codes = ["General", "0.00", "#,##0.00_)", "mmm d, yy"]
    for row, code in enumerate(codes, start=1):
        book.active.cell(row, 1, 1).number_format = code
    styles = [book.active.cell(row, 1).style_id for row in range(1, 5)]
    assert [number_format(book, style) for style in styles] == codes
