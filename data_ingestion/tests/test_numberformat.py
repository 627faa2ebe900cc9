"""Cells are rendered as Excel (en-US) shows them. The expected texts were written by hand."""

from datetime import date, datetime, time, timedelta

import pytest

from data_ingestion.formats.number_format import FormatError, render

ACCOUNTING = '_(* #,##0.00_);_(* \\(#,##0.00\\);_(* "-"??_);_(@_)'
DAY = datetime(2017, 6, 29, 13, 4, 5)


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("mmm d, yy", DAY, "Jun 29, 17"),
        ("[$-409]mmm\\ d\\,\\ yy;@", datetime(2017, 7, 5), "Jul 5, 17"),
        ("d-mmm-yy", DAY, "29-Jun-17"),
        ("yyyy-mm-dd", date(2017, 6, 29), "2017-06-29"),
        ("mm-dd-yy", DAY, "6/29/2017"),
        ("dd/mm/yyyy hh:mm", DAY, "29/06/2017 13:04"),
        ("h:mm AM/PM", DAY, "1:04 PM"),
        ("mm:ss", time(1, 2, 3), "02:03"),
        ("dddd, mmmm d, yyyy", DAY, "Thursday, June 29, 2017"),
        ("#,##0.00_)", 1000000, "1,000,000.00 "),
        ("#,##0.00_);[Red](#,##0.00)", -1000000.5, "(1,000,000.50)"),
        (ACCOUNTING, 1000.25, " 1,000.25 "),
        (ACCOUNTING, 0, " -   "),
        (ACCOUNTING, "text", " text "),
        ("General", 409000611074, "409000611074"),
        ("General", 0.1 + 0.2, "0.3"),
        ("General", -2.50, "-2.5"),
        ("General", True, "TRUE"),
        ("General", "  as is ", "  as is "),
        ("0", 5.0, "5"),
        ("0.00", 2.675, "2.68"),
        ("0.00", -0.001, "0.00"),
        ("000000", 42, "000042"),
        ("0.0##", 1.5, "1.5"),
        ("00,000", 42, "00,042"),
        ("#,##0,", 1234567, "1,235"),
        ("0.0%", 0.1234, "12.3%"),
        ("[$₹-4009] #,##0.00", 1234.5, "₹ 1,234.50"),
        ("@", 5, "5"),
        ("mmm d, yy", None, ""),
    ],
)
def test_a_cell_is_rendered_as_excel_shows_it(code, value, text):
    assert render(value, code) == text


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("# ?/?", 0.5),
        ("0.00E+00", 5),
        ("[h]:mm", timedelta(1)),
        ("[>100]0", 5),
        ("000-0000", 5550100),
        ("yyyy", 42),
    ],
)
def test_an_unsupported_number_format_is_refused(code, value):
    with pytest.raises(FormatError):
        render(value, code)
