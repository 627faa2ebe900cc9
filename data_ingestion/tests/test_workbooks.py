"""A workbook gives the rows that a spreadsheet program shows, or one line that says what to do."""

import csv
import io
import logging
import zipfile
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest
from conftest import HEADER, line
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from workbooks import STRICT, STYLES, TRANSITIONAL, Tab, row, workbook

from data_ingestion.declarations import declared
from data_ingestion.errors import InputError
from data_ingestion.formats.sources import Source
from data_ingestion.model import Dialect

NAMES = next(csv.reader([HEADER]))
HEAD = row(*NAMES)
COLUMNS = declared()["transactions"].columns
SAVE_IT = "open the workbook in a spreadsheet program and save it, or save the sheet as CSV"
SAVE_AS_CSV = "save the sheet as CSV and load that"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "transactions.xlsx"


def read(path: Path, columns=()) -> list[list[str]]:
    """Return the records of a file, with [] for an empty line."""
    contract = declared()["transactions"] if columns else None
    with Source(path, Dialect(), contract=contract) as source:
        text = b"".join(source.chunks()).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def refusal(path: Path, columns=()) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        read(path, columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("names", [TRANSITIONAL, STRICT], ids=["Transitional", "Strict"])
def test_both_variants_of_the_format_are_read(path, names):
    cells = (
        '<c t="s"><v>0</v></c>',
        '<c s="1" t="d"><v>2024-03-05</v></c>',
        '<c s="2"><v>1234.5</v></c>',
        '<c t="b"><v>1</v></c>',
    )
    workbook(path, row("a", "b", "c", "d") + row(*cells), strings="<si><t>x</t></si>", names=names)
    assert read(path) == [["a", "b", "c", "d"], ["x", "2024-03-05", "1,234.50 ", "TRUE"]]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c><v>409000611074</v></c>", "409000611074"),
        ("<c><v>12345678901234567890</v></c>", "12345678901234567890"),
        ("<c><v>1.5E-3</v></c>", "0.0015"),
        ('<c s="1"><v>45356</v></c>', "2024-03-05"),
        ('<c s="1"><v>45356.385416666664</v></c>', "2024-03-05 09:15:00"),
        ('<c s="3"><v>45356</v></c>', "Mar 5, 24"),
        ('<c s="1" t="d"><v>2024-03-05T09:15:00Z</v></c>', "2024-03-05 09:15:00"),
        ('<c s="3" t="d"><v>2024-03-05T00:00:00.000</v></c>', "Mar 5, 24"),
        ('<c t="d"><v>T09:15:00</v></c>', "09:15:00"),
        ('<c t="e"><v>#N/A</v></c>', "#N/A"),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c t="b"><v>0</v></c>', "FALSE"),
        ('<c t="str"><f>A1&amp;""</f><v> x </v></c>', " x "),
        ('<c><f t="shared" si="0"/><v>0.30000000000000004</v></c>', "0.3"),
        ("<c><is><t>a</t></is></c>", "a"),
        ("<c><is><r><t>ri</t></r><r><rPr/><t>ch</t></r><rPh><t>no</t></rPh></is></c>", "rich"),
        ('<c t="inlineStr"><v>a</v></c>', "a"),
        ('<c s="99" t="inlineStr"><is><t>a</t></is></c>', "a"),
    ],
)
def test_a_cell_gives_its_text(path, cell, text):
    workbook(path, row("a", "b") + row("x", cell))
    assert read(path)[1] == ["x", text]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("<c><f>1+1</f></c>", f"has a formula without a stored value: {SAVE_IT}"),
        ("<c><f>1+1</f><v/></c>", f"has a formula without a stored value: {SAVE_IT}"),
        ('<c t="str"><f>""</f></c>', f"has a formula without a stored value: {SAVE_IT}"),
        ('<c><f t="shared" si="0"/></c>', f"has a formula without a stored value: {SAVE_IT}"),
        ('<c s="4"><v>5</v></c>', "has style 4, whose number format the workbook does not define"),
        ('<c s="x"><v>5</v></c>', "has style x, whose number format the workbook does not define"),
        ("<c><v>abc</v></c>", "should have a number as its value, but has abc"),
        ("<c><v>1_000</v></c>", "should have a number as its value, but has 1_000"),
        ("<c><v>1e999</v></c>", "should have a number as its value, but has 1e999"),
        ('<c s="1"><v>-5</v></c>', "has the format of a date, but its value is none (-5)"),
        ('<c t="d"><v>5 March</v></c>', "should have a date as its value, but has 5 March"),
        ('<c t="s"><v>7</v></c>', "refers to string 7, which the workbook does not have"),
        ('<c t="s"><v>-1</v></c>', "refers to string -1, which the workbook does not have"),
        ('<c t="odd"><v>1</v></c>', "has the unknown type odd"),
        ("<c><is><t>_xD83D_</t></is></c>", "has only one half of a character"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(path, cell, message):
    workbook(path, row("a", "b") + row("x", cell))
    told = refusal(path)
    assert told.startswith(f"cell B2 {message}")
    assert told.endswith((SAVE_IT, SAVE_AS_CSV))


def test_a_formula_with_an_empty_text_is_no_formula_without_a_value(path):
    workbook(path, row("a", "b") + row('<c t="str"><f>""</f><v></v></c>', "x"))
    assert read(path)[1] == ["", "x"]


def test_formulas_that_were_never_computed_are_told_from_zeros(path):
    zero, one = "<c><f>1-1</f><v>0</v></c>", "<c><f>1-0</f><v>1</v></c>"
    compute = '<calcPr fullCalcOnLoad="1"/>'
    assert read(workbook(path, row("a") + row(zero)))[1] == ["0"]
    assert read(workbook(path, row("a", "b") + row(zero, one), calculation=compute))[1] == [
        "0",
        "1",
    ]
    workbook(path, row("a") + row("x") + row(zero), calculation=compute)
    reason = "cell A3 has a formula that was not computed, like all formulas of the sheet"
    assert refusal(path) == f"{reason}: {SAVE_IT}"


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("a_x000D_\nb", "a\r\nb"),
        ("a_x000d_b_x0009_c", "a\rb\tc"),
        ("_x005F_x000D_", "_x000D_"),
        ("_x005f_x005F_", "_x005F_"),
        ("_x0041", "_x0041"),
        ("_xD83D__xDE00_", "😀"),
        ("_x20B9_5", "₹5"),
    ],
)
def test_escapes_are_decoded_in_all_kinds_of_strings(path, escaped, text):
    cells = (
        '<c t="s"><v>0</v></c>',
        '<c t="s"><v>1</v></c>',
        f"<c><is><t>{escaped}</t></is></c>",
        f"<c><is><r><t>{escaped}</t></r></is></c>",
        f'<c t="str"><f>A1</f><v>{escaped}</v></c>',
    )
    strings = f"<si><t>{escaped}</t></si><si><r><t>{escaped[:1]}</t></r>"
    strings += f"<r><t>{escaped[1:]}</t></r></si>"
    workbook(path, row(*"abcde") + row(*cells), strings=strings)
    assert read(path)[1] == [text] * 5


def test_a_line_break_in_a_cell_equals_its_twin_in_a_csv(warehouse, run, path, write):
    text = write(line(1, '"paid\r\nby ""card"""'))
    records = list(csv.reader(io.StringIO(text.read_bytes().decode(), newline="")))
    cells = [value.replace("\r", "_x000D_") for value in records[1]]
    assert run("load", text).code == 0
    outcome = run("load", workbook(path, HEAD + row(*cells)))
    assert "read 1 = loaded 0 + duplicates 1 + rejected 0" in outcome.out[-1]


@pytest.mark.parametrize("epoch_1904", [False, True])
def test_dates_of_both_epochs_are_read_as_openpyxl_writes_them(path, epoch_1904):
    book = openpyxl.Workbook()
    if epoch_1904:
        book.epoch = CALENDAR_MAC_1904
    formats = ["mm-dd-yy", "dd/mm/yyyy", "yyyy-mm-dd", "mmm d, yy", "m/d/yy h:mm"]
    for column, code in enumerate(formats, start=1):
        book.active.cell(1, column, "a" * column)
        cell = book.active.cell(2, column, datetime(2024, 3, 5, 9, 15))
        cell.number_format = code
    book.save(path)
    iso = "2024-03-05 09:15:00"
    assert read(path)[1] == [iso, iso, "2024-03-05", "Mar 5, 24", iso]


@pytest.mark.parametrize("number", [14, 16, 17, 22, 27, 36, 50, 58, 71, 81])
def test_a_date_in_a_built_in_format_of_some_country_becomes_iso_text(path, number):
    styles = f'<cellXfs><xf/><xf numFmtId="{number}"/></cellXfs>'
    workbook(path, row("a") + row('<c s="1"><v>45356</v></c>'), styles=styles)
    assert read(path)[1] == ["2024-03-05"]


def test_built_in_formats_of_amounts_are_known(path):
    styles = '<cellXfs><xf numFmtId="43"/><xf numFmtId="44"/><xf numFmtId="199"/></cellXfs>'
    cells = ["<c><v>0</v></c>", '<c s="1"><v>-1234.5</v></c>']
    workbook(path, row("a", "b") + row(*cells), styles=styles)
    assert read(path)[1] == [" -   ", " $(1,234.50)"]
    workbook(path, row("a") + row('<c s="2"><v>5</v></c>'), styles=styles)
    assert "cell A2 has style 2, whose number format" in refusal(path)


@pytest.mark.parametrize(
    ("code", "told"),
    [("0" * 255, None), ("%" * 254 + "0", None), ("0." + "0" * 254, "of more than 255 characters")],
)
def test_a_long_number_format_is_rendered_or_refused(path, code, told):
    styles = f'<numFmts><numFmt numFmtId="164" formatCode="{code}"/></numFmts>'
    styles += '<cellXfs><xf numFmtId="164"/></cellXfs>'
    workbook(path, row("a") + row("<c><v>1e307</v></c>"), styles=styles)
    if told:
        assert f"has a number format {told}" in refusal(path)
    else:
        assert "1" + "0" * 307 in read(path)[1][0]


def test_styles_matter_only_where_they_are_number_formats(path):
    broken = (
        '<fonts><font><color rgb="pink" odd="1"/><sz val="big"/></font></fonts><fills><fill/>'
        '<fill><patternFill patternType="odd"/></fill></fills><borders/><odd/>'
    )
    cells = row("a", "b") + row('<c s="2"><v>5</v></c>', '<c s="3"><v>45356</v></c>')
    workbook(path, cells, styles=broken + STYLES)
    assert read(path)[1] == ["5.00 ", "Mar 5, 24"]


def test_a_workbook_without_styles_is_read_unless_a_cell_needs_them(path):
    workbook(path, row("a") + row("<c><v>5</v></c>"), styles=None)
    assert read(path)[1] == ["5"]
    workbook(path, row("a") + row('<c s="3"><v>45356</v></c>'), styles=None)
    assert "cell A2 has style 3, whose number format" in refusal(path)


def test_parts_are_found_by_their_relations_in_upper_or_lower_case(path):
    workbook(path, row("a") + row('<c t="s"><v>0</v></c>'), strings="<si><t>x</t></si>")
    renamed = {
        "xl/sharedStrings.xml": "xl/SharedStrings.XML",
        "xl/worksheets/sheet1.xml": "xl/Worksheets/Sheet1.xml",
    }
    with zipfile.ZipFile(path) as archive:
        parts = {renamed.get(name, name): archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert read(path) == [["a"], ["x"]]


def test_rows_without_values_are_empty_lines(path):
    blank = '<c s="2"/>', '<c t="inlineStr"><is><t> </t></is></c>', '<c t="str"><v/></c>'
    rows = row(*blank) + row("a", "b", "c") + row(*blank) + row("x", '<c s="2"/>', " ")
    workbook(path, rows + row("1", attributes=' r="7"') + row("2"))
    assert read(path) == [
        [],
        ["a", "b", "c"],
        [],
        ["x", "", " "],
        [],
        [],
        ["1", "", ""],
        ["2", "", ""],
    ]


FIRST, SECOND = HEAD + row("first"), HEAD + row("second")
NOTES = row("notes") + row("nothing")


@pytest.mark.parametrize(
    ("tabs", "value", "told"),
    [
        ([Tab(FIRST, "A", "hidden"), Tab(SECOND, "B")], "second", "B, the only visible sheet"),
        ([Tab(FIRST, "A", "veryHidden"), Tab(SECOND, "B")], "second", "B, the only visible sheet"),
        ([Tab(FIRST, "A", kind="chartsheet"), Tab(SECOND, "B")], "second", ""),
        ([Tab(NOTES, "A"), Tab(SECOND, "B")], "second", "B, the only one of 2 visible sheets"),
        ([Tab(FIRST, "A"), Tab(NOTES, "B")], "first", "A, the only one of 2 visible sheets"),
        ([Tab(FIRST, "A"), Tab(SECOND, "B", "hidden")], "first", "A, the only visible sheet"),
        ([Tab(NOTES, "A"), Tab(NOTES, "B")], "nothing", "A, the first of 2 visible sheets"),
        ([Tab(row() * 9 + FIRST, "A"), Tab(row("<c><v>x</v></c>"), "B")], "first", "A, the only"),
    ],
)
def test_the_visible_sheet_with_the_header_is_read(path, caplog, tabs, value, told):
    caplog.set_level(logging.INFO)
    rows = [record for record in read(workbook(path, *tabs), COLUMNS) if record]
    assert rows[1][0] == value
    assert caplog.text.count("reading sheet") == bool(told)
    assert f"reading sheet {told}" in caplog.text or not told


def test_several_sheets_with_the_header_are_refused_by_name(path):
    workbook(path, Tab(FIRST, "April"), Tab(NOTES, "Notes"), Tab(SECOND, "May"))
    assert refusal(path, COLUMNS) == (
        "has 2 sheets with the columns of the table (April, May): save each of them as CSV, or "
        "hide all except one"
    )
    assert read(path)[1][0] == "first"  # for a table of which no columns are known


def test_a_workbook_whose_sheets_are_all_hidden_is_refused(path):
    workbook(path, Tab(FIRST, "A", "hidden"), Tab(SECOND, "B", kind="chartsheet"))
    assert "is a workbook without a visible sheet: unhide" in refusal(path)


def test_the_search_for_the_header_reads_a_bounded_part_of_each_sheet(path):
    far = row('<c s="2"/>' * 100) * 5_000 + FIRST
    workbook(path, Tab(far, "A"), Tab(SECOND, "B"))
    assert read(path, COLUMNS)[1][0] == "second"
    workbook(path, *[Tab(NOTES, f"S{number}") for number in range(101)])
    assert refusal(path, COLUMNS) == "has 101 sheets: save the one with the data as CSV"


def test_another_document_of_an_office_suite_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<document/>")
    assert "is not a readable workbook" in refusal(path)


def test_the_loader_reads_the_sheet_that_has_the_contracts_columns(warehouse, run, path):
    records = list(csv.reader([HEADER, line(1)]))
    workbook(path, NOTES, Tab("".join(row(*record) for record in records), "Bank"))
    outcome = run("load", path)
    assert outcome.err == []
    assert "reading sheet Bank, the only one of 2 visible sheets" in outcome.out[0]
    assert warehouse.rows()[0][-1] == "1.00 "
