"""Kinds of wrong meaning that come from spreadsheets, or from rows that do not belong together."""

from __future__ import annotations

from meaning_cases import (
    DASH_TRUTH,
    DATES,
    DO_NOT_ADD_UP,
    EVERY_FORM,
    FIRST,
    LAKH_TRUTH,
    NO_TRANSACTIONS,
    NOT_PARSED,
    NOTATION_CHANGES,
    NUMBERS,
    ORDERS,
    SECOND,
    THIRD,
    TRANSFER,
    WEEK,
    WEEK_TRUTH,
)
from meaning_files import HEADER, NAMES, Book, Case, Tab, row, workbooks

HEAD = row(*NAMES)
# Styles 1 to 6 of the workbooks below.
FORMATS = (
    "mm-dd-yy", "#,##0.00_)", "dd\\/mm\\/yyyy\\ hh:mm", "0.00E+00",
    "[&gt;=10000000]##\\,##\\,##\\,##0.00;[&gt;=100000]##\\,##\\,##0.00;##,##0.00",
    "_(* #,##0.00_);_(* \\(#,##0.00\\);_(* &quot;-&quot;??_);_(@_)",
)  # fmt: skip
STYLES = (
    "<numFmts>"
    + "".join(
        f'<numFmt numFmtId="{number}" formatCode="{code}"/>'
        for number, code in enumerate(FORMATS[1:], start=165)
    )
    + "</numFmts><fonts><font/></fonts><fills><fill><patternFill/></fill></fills><borders><border/></borders>"
    + "<cellStyleXfs><xf/></cellStyleXfs><cellXfs><xf/>"
    + '<xf numFmtId="14"/>'
    + "".join(f'<xf numFmtId="{number}"/>' for number in range(165, 170))
    + "</cellXfs>"
)
SHORT_DATE, AMOUNT, DATE_AND_TIME, SCIENTIFIC, LAKHS, ACCOUNTING = range(1, 7)


def number(value: float, style: int = AMOUNT) -> str:
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


def serials(style: int, time: str = "") -> str:
    """Return two rows whose dates are numbers with a format."""
    first, second = (number(f"{day}{time}", style) for day in (45538, 45539))
    return line(first, "CASH", "", number(100), number(100)) + line(
        second, "CARD", number(40), "", number(60)
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
GROUPED = line("Aug 1, 24", "SALE", "", *[number(3456789.25, LAKHS)] * 2) + line(
    "Aug 2, 24", "STAMPS", number(234567.5, LAKHS), "", number(3222221.75, LAKHS)
) + line("Aug 5, 24", "ESCROW", "", number(35000000, LAKHS), number(38222221.75, LAKHS))  # fmt: skip
ZEROS = line("Aug 12, 24", "CASH", *(number(n, ACCOUNTING) for n in (0, 120, 120))) + line(
    "Aug 13, 24", "CARD", *(number(n, ACCOUNTING) for n in (120, 0, 0))
)
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
    Case("_x000D_ in a text", TWIN_TRUTH, (book(TWO_LINES), TWIN)),
    Case("_x000D_ in a text", TWIN_TRUTH, (book(SHARED, strings=STRINGS), TWIN)),
]  # fmt: skip

SEP_TRUTH = """
{a} 2024-10-03 150.00 150.00 CASH
{a} 2024-10-04 -12.00 138.00 CARD; TEA
"""


def with_sep_line(first_line: str, mark: str) -> str:
    """Return a file that begins with Excel's hint at its delimiter."""
    rows = (
        HEADER.split(","), ["{a}'", "2024-10-03", "CASH", "", "2024-10-03", "", "150.00", "150.00",
        "."], ["{a}'", "2024-10-04", '"CARD; TEA"', "", "2024-10-04", "12.00", "", "138.00", "."],
    )  # fmt: skip
    return first_line + "".join(mark.join(cells) + "\n" for cells in rows)


# The details make the files differ when their account numbers are lost.
ACCOUNTS_TRUTH = """
{a} 2024-12-02 1000.00 1000.00 CASH {a}
{a} 2024-12-03 -100.00  900.00 CARD {a}
{b} 2024-12-02   50.00   50.00 CASH {a}
{b} 2024-12-04  -20.00   30.00 CARD {a}
"""
ACCOUNTS = """
{a},02-Dec-24,CASH {a},,02-Dec-24,,1000.00,1000.00,.
{a},03-Dec-24,CARD {a},,03-Dec-24,100.00,,900.00,.
{b},02-Dec-24,CASH {a},,02-Dec-24,,50.00,50.00,.
{b},04-Dec-24,CARD {a},,04-Dec-24,20.00,,30.00,.
"""
NUMERIC = "".join(
    line("Sep 3, 24", "CASH", "", number(100), number(100), account=number(409000000011 + n, 4))
    for n in (0, 18)
)
ACCOUNT_NUMBERS = [
    Case("sep line", SEP_TRUTH, (with_sep_line("sep=;\n", ";"),), forms="whole"),
    Case("sep line", SEP_TRUTH, (with_sep_line("sep=,\n", ","),), forms="whole"),
    Case("sep line", SEP_TRUTH, (with_sep_line('"sep=\t"\n', "\t"),), forms="whole"),
    Case("sep line", SEP_TRUTH, (with_sep_line("sep=;\n", ","),), ("line 1 is 'sep=;'",), "whole"),
    *(
        Case("account in scientific notation", ACCOUNTS_TRUTH,
             (ACCOUNTS.replace("\n{a},", f"\n{text},").replace("{b},", f"{text},"),),
             (NOT_PARSED,), forms)
        for text, forms in (("6.00E+11", "csv gz xlsx columns"), ('"6,00E+11"', "csv"),
                            ("#N/A", "csv"))
    ),
    Case("account in scientific notation", "{a} 2024-09-03 100 100 CASH", (book(NUMERIC),),
         ("cell A2",)),
    *(
        Case('="00500021"', ACCOUNTS_TRUTH.replace("\n{", "\n00{"),
             (ACCOUNTS.replace("\n{a}", '\n"=""00{a}"""').replace("{b}", '"=""00{b}"""'),),
             forms=form)
        for form in ("csv", "gz", "columns", "semicolons", "xlsx")
    ),
]  # fmt: skip

TWICE_TRUTH = """
{a} 2024-06-03  100.00 100.00 CASH IN
{a} 2024-06-03 -100.00   0.00 CASH OUT
{a} 2024-06-03  100.00 100.00 CASH IN
{a} 2024-06-04  -40.00  60.00 CARD
"""
TWICE = """\
{a}',"Jun 3, 24",CASH IN,,"Jun 3, 24",,100.00 ,100.00 ,.
{a}',"Jun 3, 24",CASH OUT,,"Jun 3, 24",100.00 ,,0.00 ,.
{a}',"Jun 3, 24",CASH IN,,"Jun 3, 24",,100.00 ,100.00 ,.
{a}',"Jun 4, 24",CARD,,"Jun 4, 24",40.00 ,,60.00 ,.
"""
AFTER_A_DAY = """{a}',"Jun 1, 24",FEE,,"Jun 1, 24",7.00 ,,0.00 ,.\n"""
MONTHS_TRUTH = """
{a} 2024-01-15 900.00  900.00 SALARY
{a} 2024-02-15 900.00 1800.00 SALARY
{a} 2024-03-15 900.00 2700.00 SALARY
{a} 2024-03-18 -10.00 2690.00 FEE
"""
JANUARY = """{a}',"Jan 15, 24",SALARY,,"Jan 15, 24",,900.00 ,900.00 ,.\n"""
FEBRUARY = """{a}',"Feb 15, 24",SALARY,,"Feb 15, 24",,900.00 ,"1,800.00 ",.\n"""
MARCH = """\
{a}',"Mar 15, 24",SALARY,,"Mar 15, 24",,900.00 ,"2,700.00 ",.
{a}',"Mar 18, 24",FEE,,"Mar 18, 24",10.00 ,,"2,690.00 ",.
"""
ALTERED = WEEK.replace('"1,500.00 "', '"1,050.00 "')
ROWS = [
    Case("equal lines that are two transactions", TWICE_TRUTH, (TWICE,), (DO_NOT_ADD_UP,),
         EVERY_FORM),
    Case("equal lines that are two transactions",
         "{a} 2024-06-01 -7.00 0.00 FEE" + TWICE_TRUTH, (AFTER_A_DAY + TWICE,), (DO_NOT_ADD_UP,),
         "csv gz xlsx"),
    Case("equal lines that are two transactions", TWICE_TRUTH, (TWICE,), (), "csv xlsx",
         ("--duplicates", "keep")),
    Case("a row of another account", WEEK_TRUTH, (FIRST + TRANSFER.replace("{b}", "{a}") + SECOND
                                                  + THIRD,), (DO_NOT_ADD_UP,), "csv xlsx columns"),
    Case("a missing statement", MONTHS_TRUTH, (JANUARY, MARCH), (DO_NOT_ADD_UP,), "csv xlsx gz"),
    Case("a missing statement", MONTHS_TRUTH, (JANUARY, MARCH, FEBRUARY)),
    Case("a missing row", WEEK_TRUTH, (FIRST + THIRD,), (DO_NOT_ADD_UP,), "csv xlsx semicolons"),
    Case("a missing row", MONTHS_TRUTH, (JANUARY + MARCH,), (DO_NOT_ADD_UP,)),
    Case("a doubled row", WEEK_TRUTH, (FIRST + SECOND + SECOND.replace("RENT", "rent") + THIRD,),
         (DO_NOT_ADD_UP,), "csv xlsx columns"),
    Case("a doubled row", WEEK_TRUTH, (WEEK, SECOND.replace("RENT", "RENT MAY")),
         (DO_NOT_ADD_UP,)),
    Case("an altered amount", WEEK_TRUTH, (ALTERED,), (DO_NOT_ADD_UP,), "csv xlsx gz"),
    Case("an altered amount", WEEK_TRUTH, (WEEK.replace('"2,500.00 "', '"5,200.00 "'),),
         (DO_NOT_ADD_UP,)),
]  # fmt: skip

CASES = [
    *NO_TRANSACTIONS, *ORDERS, *NOTATION_CHANGES, *NUMBERS, *DATES, *SPREADSHEETS,
    *ACCOUNT_NUMBERS, *ROWS,
]  # fmt: skip
