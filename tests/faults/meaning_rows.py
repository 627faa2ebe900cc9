"""Kinds of wrong meaning in accounts, and in rows that do not belong together."""

from __future__ import annotations

from meaning_cases import (
    DATES,
    DO_NOT_ADD_UP,
    EVERY_FORM,
    FIRST,
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
from meaning_files import HEADER, Case
from meaning_workbooks import SCIENTIFIC, SPREADSHEETS, book, line, number

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
ZEROS_TRUTH = """
00{a} 2024-02-05 2000.00 2000.00 NEFT
00{a} 2024-02-06 -700.00 1300.00 RENT
"""
ZEROS_LOST = """\
{a},05-Feb-24,NEFT,,05-Feb-24,,2000.00,2000.00,.
{a},06-Feb-24,RENT,,06-Feb-24,700.00,,1300.00,.
"""
NUMERIC = "".join(
    line("Sep 3, 24", "CASH", "", number(100), number(100), account=number(n, SCIENTIFIC))
    for n in (409000000011, 409000000029)
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
        Case('`="00500021"`', ACCOUNTS_TRUTH.replace("\n{", "\n00{"),
             (ACCOUNTS.replace("\n{a}", '\n"=""00{a}"""').replace("{b}", '"=""00{b}"""'),),
             forms=form)
        for form in ("csv", "gz", "columns", "semicolons", "xlsx")
    ),
    Case("an account loses its zeros", ZEROS_TRUTH, ("00" + ZEROS_LOST.split("\n")[0], ZEROS_LOST),
         ("account_numbers_keep_their_zeros",), "csv xlsx"),
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
SWAPPED = HEADER.replace("WITHDRAWAL", "?").replace("DEPOSIT", "WITHDRAWAL").replace("?", "DEPOSIT")
NEGATIVE = WEEK.replace('"1,500.00 "', '"-1,500.00 "').replace("80.40 ,,", "-80.40 ,,")
ALTERED = WEEK.replace('"1,500.00 "', '"1,050.00 "')
ROWS = [
    Case("equal lines that are two transactions", TWICE_TRUTH, (TWICE,),
         ("repeated_lines_are_duplicates",), EVERY_FORM),
    Case("equal lines that are two transactions",
         "{a} 2024-06-01 -7.00 0.00 FEE" + TWICE_TRUTH, (AFTER_A_DAY + TWICE,), (DO_NOT_ADD_UP,),
         "csv gz xlsx"),
    Case("equal lines that are two transactions", TWICE_TRUTH, (TWICE,), (), "csv xlsx",
         ("--duplicates", "keep")),
    Case("a row of another account", WEEK_TRUTH, (FIRST + TRANSFER.replace("{b}", "{a}") + SECOND
                                                  + THIRD,), (DO_NOT_ADD_UP,), "csv xlsx columns"),
    Case("in and out swapped", WEEK_TRUTH, (f"{SWAPPED}\n{WEEK}",), (DO_NOT_ADD_UP,), "whole"),
    Case("in and out swapped", WEEK_TRUTH, (NEGATIVE,), (DO_NOT_ADD_UP,), "csv xlsx"),
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
