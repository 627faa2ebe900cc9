"""Kinds of wrong meaning that only workbooks have."""

from __future__ import annotations

from meaning_cases import DASH_TRUTH, DO_NOT_ADD_UP, LAKH_TRUTH
from meaning_files import NAMES, Book, Case, Tab, row

HEAD = row(*NAMES)
# Styles 1 to 9 of the workbooks below.
FORMATS = (
    "mm-dd-yy", "#,##0.00_)", "dd\\/mm\\/yyyy\\ hh:mm", "0.00E+00",
    "[&gt;=10000000]##\\,##\\,##\\,##0.00;[&gt;=100000]##\\,##\\,##0.00;##,##0.00",
    "_(* #,##0.00_);_(* \\(#,##0.00\\);_(* &quot;-&quot;??_);_(@_)",
    "#,##0.00;[Red]#,##0.00", "#,##0", "#,##0.00,",
)  # fmt: skip
STYLES = (
    "<numFmts>"
    + "".join(
        f'<numFmt numFmtId="{number}" formatCode="{code}"/>'
        for number, code in enumerate(FORMATS[1:], start=165)
    )
    + "</numFmts><fonts><font/></fonts><fills><fill><patternFill/></fill></fills>"
    + "<borders><border/></borders>"
    + "<cellStyleXfs><xf/></cellStyleXfs><cellXfs><xf/>"
    + '<xf numFmtId="14"/>'
    + "".join(f'<xf numFmtId="{number}"/>' for number in range(165, 164 + len(FORMATS)))
    + "</cellXfs>"
)
SHORT_DATE, AMOUNT, DATE_AND_TIME, SCIENTIFIC, LAKHS, ACCOUNTING = range(1, 7)
ONLY_RED = 7


def number(value: object, style: int = AMOUNT) -> str:
    """Return a cell with a number."""
    return f'<c s="{style}"><v>{value}</v></c>'


def formula(text: str, value: str = "<v/>") -> str:
    """Return a cell with a formula, by default without a stored value."""
    return f'<c s="{AMOUNT}"><f>{text}</f>{value}</c>'


def line(date: str, details: str, *amounts: str, account: str = "{a}'") -> str:
    """Return a row of a workbook. The amounts are withdrawal, deposit and balance."""
    return row(account, date, details, "", date, *amounts, ".")


def book(*tabs: str | Tab, **arguments: str) -> Book:
    """Return a workbook. A text is the rows of a tab, below the header."""
    sheets = (tab if isinstance(tab, Tab) else Tab(HEAD + tab) for tab in tabs)
    return Book(tuple(sheets), {"styles": STYLES, **arguments})


SERIAL_TRUTH = """
{a} 2024-09-03 100.00 100.00 CASH
{a} 2024-09-04 -40.00  60.00 CARD
"""


def serials(style: int, time: str = "", first: int = 45538) -> str:
    """Return two rows whose dates are numbers with a format."""
    dates = (number(f"{day}{time}", style) for day in (first, first + 1))
    return line(next(dates), "CASH", "", number(100), number(100)) + line(
        next(dates), "CARD", number(40), "", number(60)
    )


def computed(balance: str) -> str:
    """Return two rows, the second of which has a computed balance."""
    return line("Sep 3, 24", "CASH", "", number(100), number(100)) + line(
        "Sep 4, 24", "CARD", number(40), "", balance
    )


ISO = row("{a}'", '<c s="1" t="d"><v>2024-09-03</v></c>', "CASH", "",
          '<c s="1" t="d"><v>2024-09-03</v></c>', "", number(100), number(100), ".")  # fmt: skip
NOTES = row("Explanations") + row("These are the notes of the bank.")
OTHER = line("Sep 1, 24", "FORECAST", "", number(7), number(7), account="{b}'")
MONEY = "{a} 2024-09-03  4000.40  4000.40 CASH\n{a} 2024-09-04 -9000.25 -4999.85 CARD"


def money(style: int) -> str:
    """Return two rows whose amounts have a format."""
    return line("Sep 3, 24", "CASH", "", *[number(4000.40, style)] * 2) + line(
        "Sep 4, 24", "CARD", number(9000.25, style), "", number(-4999.85, style)
    )


GROUPED = (
    line("Aug 1, 24", "SALE", "", *[number(3456789.25, LAKHS)] * 2)
    + line("Aug 2, 24", "STAMPS", number(234567.5, LAKHS), "", number(3222221.75, LAKHS))
    + line("Aug 5, 24", "ESCROW", "", number(35000000, LAKHS), number(38222221.75, LAKHS))
)
ZEROS = line(
    "Aug 12, 24", "CASH", *(number(amount, ACCOUNTING) for amount in (0, 120, 120))
) + line("Aug 13, 24", "CARD", *(number(amount, ACCOUNTING) for amount in (120, 0, 0)))
TWO_LINES = line("Sep 3, 24", "NEFT_x000D_\nACME", "", "100.00 ", "100.00 ")
STRINGS = '<si><t xml:space="preserve">NEFT_x000D_\nACME</t></si>'
SHARED = line("Sep 3, 24", '<c t="s"><v>0</v></c>', "", "100.00 ", "100.00 ")
TWIN = """{a}',"Sep 3, 24","NEFT\r\nACME",,"Sep 3, 24",,100.00 ,100.00 ,.\n"""
TWIN_TRUTH = "{a} 2024-09-03 100.00 100.00 NEFT\\r\\nACME"

SPREADSHEETS = [
    *(
        Case("formula without a value", SERIAL_TRUTH, (book(computed(cell)),), ("cell H3",))
        for cell in (formula("H2-F3+G3"), formula("H2-F3+G3", ""), formula("SUM(G2:G3)-F3"))
    ),
    Case("formula without a value", SERIAL_TRUTH,
         (book(computed(formula("H2-F3+G3", "<v>60</v>"))),)),
    Case("short date cells", SERIAL_TRUTH, (book(serials(SHORT_DATE)),)),
    Case("short date cells", SERIAL_TRUTH, (book(serials(DATE_AND_TIME, ".71875")),)),
    Case("short date cells", SERIAL_TRUTH.strip().split("\n")[0], (book(ISO),)),
    Case("short date cells", SERIAL_TRUTH,
         (book(serials(SHORT_DATE, first=44076), properties='<workbookPr date1904="1"/>'),)),
    Case("Indian grouping", LAKH_TRUTH, (book(GROUPED),)),
    Case("a dash for nothing", DASH_TRUTH, (book(ZEROS),)),
    *(
        Case("hidden first sheet", SERIAL_TRUTH, (book(Tab(HEAD + OTHER, "Old", state),
                                                       serials(SHORT_DATE)),))
        for state in ("hidden", "veryHidden")
    ),
    Case("hidden first sheet", SERIAL_TRUTH,
         (book(Tab(NOTES, "Notes"), serials(SHORT_DATE)),)),
    Case("hidden first sheet", SERIAL_TRUTH,
         (book(Tab(HEAD + OTHER, "Forecast"), serials(SHORT_DATE)),), ("sheet",)),
    Case("a format that hides a part of the number", MONEY, (book(money(ONLY_RED)),),
         (DO_NOT_ADD_UP,)),
    Case("`_x000D_` in a text", TWIN_TRUTH, (book(TWO_LINES), TWIN)),
    Case("`_x000D_` in a text", TWIN_TRUTH, (book(SHARED, strings=STRINGS), TWIN)),
]  # fmt: skip
