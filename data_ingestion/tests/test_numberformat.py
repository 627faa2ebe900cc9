"""Cells are rendered as Excel (en-US) shows them. The expected texts were written by hand."""

from datetime import datetime, time

import pytest
from openpyxl.utils.datetime import MAC_EPOCH

from data_ingestion.formats.date_format import FormatError
from data_ingestion.formats.number_format import render

ACCOUNTING = '_(* #,##0.00_);_(* \\(#,##0.00\\);_(* "-"??_);_(@_)'
LAKHS = r"[>=10000000]##\,##\,##\,##0.00;[>=100000]##\,##\,##0.00;##,##0.00"
MINUS_LAKHS = r"[<=-10000000]-##\,##\,##\,##0;[<=-100000]-##\,##\,##0;##,##0"
DAY = datetime(2017, 6, 29, 13, 4, 5)
NOON = 42915.5  # 2017-06-29 12:00


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("#,##0.00_)", 1000000, "1,000,000.00 "),
        ("#,##0.00_);[Red](#,##0.00)", -1000000.5, "(1,000,000.50)"),
        (ACCOUNTING, 1000.25, " 1,000.25 "),
        (ACCOUNTING, 0, " -   "),
        (ACCOUNTING, "text", " text "),
        ("General", 409000611074, "409000611074"),
        ("General", 123456789012345678901234567890, "123456789012345678901234567890"),
        ("General", 0.1 + 0.2, "0.3"),
        ("General", -2.50, "-2.5"),
        ("General", True, "TRUE"),
        ("General", "  as is ", "  as is "),
        ("", 5, "5"),
        ("0", 5.0, "5"),
        ("0.00", 2.675, "2.68"),
        ("0.00", -0.001, "0.00"),
        ("0.00", 1e300, f"{int(1e15)}{'0' * 285}.00"),
        ("0.00;@", -5, "-5.00"),
        ("0.00;-0.00;@", 0, "0.00"),
        ('0;-0;;"text: "@', "a", "text: a"),
        ('"Mr. "@', "Rao", "Mr. Rao"),
        ("000000", 42, "000042"),
        ("0.0##", 1.5, "1.5"),
        ("00,000", 42, "00,042"),
        ("#,##0,", 1234567, "1,235"),
        ("0.0%", 0.1234, "12.3%"),
        ('0.0"%"', 12.34, "12.3%"),
        (r"0.0\%", 12.34, "12.3%"),
        ("[$₹-4009] #,##0.00", 1234.5, "₹ 1,234.50"),
        ("@", 5, "5"),
    ],
)
def test_a_number_or_text_is_rendered_as_excel_shows_it(code, value, text):
    assert render(value, code) == text


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("000-0000", 5550100, "555-0100"),
        ("000-0000", 42, "000-0042"),
        (r"000\-0000", 40900061, "4090-0061"),
        (r"##\,##\,##0", 1000005, "10,00,005"),
        (r"##\,##\,##0", 5, ",,5"),
        (r"#\ ##0.00", -1234.5, "-1 234.50"),
        ("00-00-00", 10203, "01-02-03"),
        (r"??\-??", 105, " 1-05"),
    ],
)
def test_digits_fill_the_places_between_literals(code, value, text):
    assert render(value, code) == text


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        (LAKHS, 0, "0.00"),
        (LAKHS, 99999.99, "99,999.99"),
        (LAKHS, 100000, "1,00,000.00"),
        (LAKHS, 1234567.5, "12,34,567.50"),
        (LAKHS, 9999999.99, "99,99,999.99"),
        (LAKHS, 25000000, "2,50,00,000.00"),
        (LAKHS, -1234567.5, "-1,234,567.50"),
        (r"[>=100000][$₹]##\,##\,##0.00;[$₹]##,##0.00", -5, "-₹5.00"),
        (MINUS_LAKHS, -25000000, "-2,50,00,000"),
        (MINUS_LAKHS, -1234567, "-12,34,567"),
        (MINUS_LAKHS, -5, "-5"),
        ('[<0]0.00" Dr";0.00" Cr"', -5, "5.00 Dr"),
        ('[<0]0.00" Dr";0.00" Cr"', 5, "5.00 Cr"),
        ('[=0]"nil";0.0', 0, "nil"),
        ('[=0]"nil";0.0', -5, "-5.0"),
        ("[<>0]0.0;0.00", 0, "0.00"),
        ("[<=100]0.0;0.00", 100, "100.0"),
        ("[<=100]0.0;0.00", -7, "-7.0"),
        ("[Red][<100]0.0;[Blue][>1E+3]0", 1001, "1001"),
        ('[<1000]0;[<1000000]0.0," K";0.0,," M"', 2500, "2.5 K"),
        ("[>100]0;General", 5.5, "5.5"),
        ("[>100]0", 101, "101"),
        ("[>43000]yyyy;h:mm", 43466, "2019"),
        ("[>43000]yyyy;h:mm", 0.5, "12:00"),
    ],
)
def test_a_condition_chooses_the_section(code, value, text):
    assert render(value, code) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("mmm d, yy", "Jun 29, 17"),
        ("[$-409]mmm\\ d\\,\\ yy;@", "Jun 29, 17"),
        ("[$-en-IN]d mmmm yyyy", "29 June 2017"),
        ("d-mmm-yy", "29-Jun-17"),
        ("yyyy-mm-dd", "2017-06-29"),
        ("yyyy/m/d", "2017/6/29"),
        ("[$-411]yyyy/mm/dd", "2017/06/29"),
        ("yyyymmdd hh:mm", "20170629 13:04"),
        ("dddd, mmmm d, yyyy", "Thursday, June 29, 2017"),
        ("dddd", "Thursday"),
        ("yyyy", "2017"),
        ("h:mm AM/PM", "1:04 PM"),
        ("[$-F400]h:mm:ss AM/PM", "1:04:05 PM"),
        ("hh:mm:ss", "13:04:05"),
    ],
)
def test_a_date_that_nobody_misunderstands_is_rendered_as_excel_shows_it(code, text):
    assert render(DAY, code) == text


@pytest.mark.parametrize(
    "code",
    [
        "mm-dd-yy",  # built-in 14: the reader's short date
        "m/d/yy h:mm",  # built-in 22
        "d-mmm",  # built-in 16: no year
        "mmm-yy",  # built-in 17: no day
        "dd/mm/yyyy",
        "dd.mm.yyyy hh:mm",
        "d/m/yy;@",
        "yy-mm-dd",
        "yyyy-dd-mm",
        "mm/yyyy",
        "mmmmm d, yyyy",
        "[$-F800]dddd, mmmm dd, yyyy",
        "[$-F800]yyyy/mm/dd",
        "[$-x-sysdate]dddd, mmmm dd, yyyy",
        "[$-407]d. mmm yyyy",
        "[$-de-DE]d. mmm yyyy",
        "[$-411]ge.m.d",
        "[$-2060401]B2dd mmm yyyy",
        "[$-1070409]d mmm yyyy",
        "B2yyyy/mm/dd",
        "dd mmm bbbb",
        "General",
    ],
)
def test_a_date_with_another_format_becomes_iso_text(code):
    assert render(datetime(2024, 3, 5), code) == "2024-03-05"
    assert render(datetime(2024, 3, 5, 9, 15), code) == "2024-03-05 09:15:00"
    if code != "General":
        assert render(45356, code) == "2024-03-05"
        assert render(43894, code, MAC_EPOCH) == "2024-03-05"


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("mm-dd-yy", 45356.385416666664, "2024-03-05 09:15:00"),
        ("mm-dd-yy", 45355.99999999999, "2024-03-05"),
        ("mm-dd-yy", NOON + 1.5 / 86400, "2017-06-29 12:00:01.500"),
        ("yyyy-mm-dd hh:mm:ss.000", NOON, "2017-06-29 12:00:00"),
        ("mmm d, yy", NOON, "Jun 29, 17"),
        ("mm:ss", time(1, 2, 3), "02:03"),
        ("h:mm", 0.385416666666667, "9:15"),
        ("m/d/yyyy h:mm", 0.385416666666667, "09:15:00"),
        ("mmm d, yy", 0.385416666666667, "09:15:00"),
    ],
)
def test_a_date_has_a_time_only_if_the_cell_has_one(code, value, text):
    assert render(value, code) == text


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("# ?/?", 0.5),
        ("0.00E+00", 5),
        ("[h]:mm", 1.5),
        ("[>100]0", 5),
        ("[<100]0.0;[>1000]0", 500),
        ("[>100]0;0.0;0.00", 5),
        ("0;[<-100]0.0;0.00", 5),
        (r"[<=-100000]##\,##\,##0;##,##0", -100000),
        ("#,##0 000", 5),
        ("0.0-0", 5),
        ("yyyy", -1),
        ("yyyy-mm-dd", 2958466),
    ],
)
def test_a_format_that_cannot_be_rendered_faithfully_is_refused(code, value):
    with pytest.raises(FormatError):
        render(value, code)
