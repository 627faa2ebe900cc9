"""Kinds of wrong meaning in files that are whole: rows and notations that programs misread."""

from __future__ import annotations

from meaning_files import HEADER, Case

NOT_PARSED = "every_value_is_parsed"
DO_NOT_ADD_UP = "balances_reconcile"
ANOTHER_NOTATION = "same_transaction_in_another_notation"
NO_ACCOUNT = "account_number_is_present"
NO_AMOUNT = "withdrawal_or_deposit_is_present"
TWO_AMOUNTS = "ensure_withdrawal_or_deposit"
MANY = ("--max-rejects", "9")
EVERY_FORM = "csv gz xlsx columns semicolons"

WEEK = """\
{a}',"May 6, 24",SALARY,,"May 6, 24",,"4,000.00 ","4,000.00 ",.
{a}',"May 7, 24",RENT,,"May 7, 24","1,500.00 ",,"2,500.00 ",.
{a}',"May 9, 24",WATER BILL,,"May 9, 24",80.40 ,,"2,419.60 ",.
"""
WEEK_TRUTH = """
{a} 2024-05-06  4000.00 4000.00 SALARY
{a} 2024-05-07 -1500.00 2500.00 RENT
{a} 2024-05-09   -80.40 2419.60 WATER BILL
"""
FIRST, SECOND, THIRD = WEEK.splitlines(keepends=True)
COMMAS = ",,,,,,,,\n"
TOTALS = ',,TOTAL {a},,,"1,580.40 ","4,000.00 ","2,419.60 ",.\n'
SUMMARY = """{a}',"May 9, 24",SUMMARY,,"May 9, 24","1,580.40 ","4,000.00 ","2,419.60 ",.\n"""
TRANSFER = """{b}',"May 8, 24",TRANSFER,,"May 8, 24",25.00 ,,"9,100.00 ",.\n"""

NO_TRANSACTIONS = [
    Case("rows of commas", WEEK_TRUTH, (COMMAS + WEEK + COMMAS * 3,), forms=EVERY_FORM),
    Case("rows of commas", WEEK_TRUTH, (FIRST + ' , ,"",,,,,,\n' + SECOND + THIRD,)),
    Case("summary rows", WEEK_TRUTH, (WEEK + TOTALS,), ("line 5: no value in account_no",),
         "gz xlsx columns", MANY),
    Case("summary rows", WEEK_TRUTH, (WEEK + TOTALS,), ("line 5: no value in account_no",),
         "csv semicolons"),
    Case("summary rows", WEEK_TRUTH, (WEEK + SUMMARY,), (DO_NOT_ADD_UP, TWO_AMOUNTS),
         "csv xlsx"),
    Case("summary rows", "{a} 2024-05-06 4000 4000 SALARY",
         (FIRST + FIRST.replace("SALARY", "TOTAL"),), (DO_NOT_ADD_UP,), "csv xlsx"),
    Case("summary rows", WEEK_TRUTH, (FIRST + "Page 2 of {a},,,,,,,,\n" + SECOND + THIRD,),
         ("line 3: no value in date",), "csv xlsx", MANY),
    Case("summary rows", WEEK_TRUTH, (WEEK + "End of the statement\n",),
         ("line 5: 1 field instead of 9",), "csv", MANY),
    Case("summary rows", WEEK_TRUTH, (FIRST + HEADER + "\n" + SECOND + THIRD,),
         ("the first is line 3",), "csv xlsx"),
    Case("summary rows", WEEK_TRUTH,
         (FIRST + """{a}',"May 6, 24",CARRIED FORWARD,,"May 6, 24",,,"4,000.00 ",.\n""" + SECOND
          + THIRD,), (NO_AMOUNT,)),
]  # fmt: skip

ORDERS = [
    Case("newest first", """
{a} 2024-05-10 1000.00 1000.00 OPENING
{a} 2024-05-13 -250.00  750.00 CARD 1
{a} 2024-05-13  600.00 1350.00 REFUND 2
{a} 2024-05-13 -100.00 1250.00 CARD 3
""", ("""\
{a},13-May-24,CARD 3,,13-May-24,100.00,,1250.00,.
{a},13-May-24,REFUND 2,,13-May-24,,600.00,1350.00,.
{a},13-May-24,CARD 1,,13-May-24,250.00,,750.00,.
{a},10-May-24,OPENING,,10-May-24,,1000.00,1000.00,.
""",), forms=EVERY_FORM),
    Case("newest first", """
{a} 2024-05-10  300.00 300.00 OPENING
{a} 2024-05-11  200.00 500.00 IN
{a} 2024-05-11 -200.00 300.00 OUT
{a} 2024-05-12  -50.00 250.00 CARD
""", ("""\
{a},2024-05-12,CARD,,2024-05-12,50.00,,250.00,.
{a},2024-05-11,OUT,,2024-05-11,200.00,,300.00,.
{a},2024-05-11,IN,,2024-05-11,,200.00,500.00,.
{a},2024-05-10,OPENING,,2024-05-10,,300.00,300.00,.
""",), forms="csv xlsx"),
    Case("an older file comes later", """
{a} 2024-04-29 1000.00 1000.00 CASH
{a} 2024-04-30 -300.00  700.00 RENT (MORNING)
{a} 2024-04-30  200.00  900.00 SALARY (EVENING)
{a} 2024-05-02  -50.00  850.00 CARD
""", ("""\
{a}',"Apr 30, 24",SALARY (EVENING),,"Apr 30, 24",,200.00 ,900.00 ,.
{a}',"May 2, 24",CARD,,"May 2, 24",50.00 ,,850.00 ,.
""", """\
{a}',"Apr 29, 24",CASH,,"Apr 29, 24",,"1,000.00 ","1,000.00 ",.
{a}',"Apr 30, 24",RENT (MORNING),,"Apr 30, 24",300.00 ,,700.00 ,.
"""), forms=EVERY_FORM),
]  # fmt: skip

OLD_NOTATION = """\
{a}',"Feb 5, 24",NEFT FROM ACME,,"Feb 5, 24",,"2,000.00 ","2,000.00 ",.
{a}',"Feb 6, 24",RENT,,"Feb 6, 24",700.00 ,,"1,300.00 ",.
{a}',"Feb 8, 24",GROCER,,"Feb 8, 24",49.50 ,,"1,250.50 ",.
"""
NEW_NOTATION = """\
{a},05-Feb-24,NEFT FROM ACME,,05-Feb-24,,2000.00,2000.00,.
{a},06-Feb-24,RENT,,06-Feb-24,700.00,,1300.00,.
{a},08-Feb-24,Grocer,,08-Feb-24,49.50,,1250.50,.
{a},09-Feb-24,NEFT FROM ACME,,09-Feb-24,,300.00,1550.50,.
"""
NOTATION_TRUTH = """
{a} 2024-02-05 2000.00 2000.00 NEFT FROM ACME
{a} 2024-02-06 -700.00 1300.00 RENT
{a} 2024-02-08  -49.50 1250.50 GROCER
{a} 2024-02-09  300.00 1550.50 NEFT FROM ACME
"""
NEW_ROWS = NEW_NOTATION.splitlines(keepends=True)
NOTATION_CHANGES = [
    Case("notation changed", NOTATION_TRUTH, (OLD_NOTATION, NEW_NOTATION),
         (ANOTHER_NOTATION, DO_NOT_ADD_UP), EVERY_FORM),
    Case("notation changed", NOTATION_TRUTH, (OLD_NOTATION, NEW_ROWS[3])),
    Case("notation changed", """
{a} 2024-02-05 100.00 100.00 SWEPT IN
{a} 2024-02-05 -100.00 0.00 SWEPT OUT
""", ("""\
{a}',"Feb 5, 24",SWEPT IN,,"Feb 5, 24",,100.00 ,100.00 ,.
{a}',"Feb 5, 24",SWEPT OUT,,"Feb 5, 24",100.00 ,,0.00 ,.
""", """\
{a},2024/02/05,SWEPT IN,,2024/02/05,,100.00,100.00,.
{a},2024/02/05,SWEPT OUT,,2024/02/05,100.00,,0.00,.
"""), (ANOTHER_NOTATION,), "csv xlsx"),
]  # fmt: skip

LAKH_TRUTH = """
{a} 2024-08-01  3456789.25  3456789.25 SALE
{a} 2024-08-02  -234567.50  3222221.75 STAMPS
{a} 2024-08-05 35000000.00 38222221.75 ESCROW
"""
DASH_TRUTH = """
{a} 2024-08-12  120.00 120.00 CASH
{a} 2024-08-13 -120.00   0.00 CARD
"""
NUMBERS = [
    Case("Indian grouping", LAKH_TRUTH, ("""\
{a}',"Aug 1, 24",SALE,,"Aug 1, 24",,"34,56,789.25 ","34,56,789.25 ",.
{a}',"Aug 2, 24",STAMPS,,"Aug 2, 24","2,34,567.50 ",,"32,22,221.75 ",.
{a}',"Aug 5, 24",ESCROW,,"Aug 5, 24",,"3,50,00,000.00 ","3,82,22,221.75 ",.
""",), forms=EVERY_FORM),
    Case("a dash for nothing", DASH_TRUTH, ("""\
{a}',"Aug 12, 24",CASH,-,"Aug 12, 24", -   , 120.00 , 120.00 ,.
{a}',"Aug 13, 24",CARD,-,"Aug 13, 24", 120.00 ,-, -   ,.
""",), forms=EVERY_FORM),
    Case("a dash for nothing", DASH_TRUTH, ("""\
{a},12-Aug-24,CASH,,12-Aug-24,--,120.00,120.00,.
{a},13-Aug-24,CARD,,13-Aug-24,120.00,–,--,.
""",), forms="csv xlsx"),
    Case("Dr and Cr", """
{a} 2024-08-12  1000.00 1000.00 CASH
{a} 2024-08-13 -1250.50 -250.50 CARD
""", ("""\
{a},12-Aug-24,CASH,,12-Aug-24,,"1,000.00","1,000.00 Cr",.
{a},13-Aug-24,CARD,,13-Aug-24,"1,250.50",,250.50 Dr,.
""", ), forms="csv xlsx semicolons"),
    Case("Dr and Cr", """
{a} 2024-08-12  1000.00 1000.00 CASH
{a} 2024-08-13 -1250.50 -250.50 CARD
""", ("""\
{a},12-Aug-24,CASH,,12-Aug-24,,"1,000.00Cr.","1,000.00CR",.
{a},13-Aug-24,CARD,,13-Aug-24,"1,250.50 DR",,(250.50),.
""", )),
    *(
        Case("blanks between thousands", """
{a} 2024-08-12  12345.67 12345.67 CASH
{a} 2024-08-13 -10000.00  2345.67 CARD
""", (f"""\
{{a}},12-Aug-24,CASH,,12-Aug-24,,12{blank}345.67,12{blank}345.67,.
{{a}},13-Aug-24,CARD,,13-Aug-24,10{blank}000.00{blank},,2{blank}345.67,.
""",), forms="csv xlsx")
        for blank in ("\u00a0", "\u202f", " ")
    ),
    Case("signs and currencies", """
{a} 2024-08-12  1500.00 1500.00 CASH
{a} 2024-08-13 -1600.00 -100.00 CARD
{a} 2024-08-14   -20.00 -120.00 FEE
""", ("""\
{a},12-Aug-24,CASH,,12-Aug-24,,"₹1,500.00","Rs. 1,500.00",.
{a},13-Aug-24,CARD,,13-Aug-24,"INR 1,600.00",,100.00-,.
{a},14-Aug-24,FEE,,14-Aug-24,20.00 INR,,−120.00,.
""",), forms="csv xlsx"),
    Case("a decimal comma", "{a} 2024-08-12 1234.50 1234.50 CASH",
         ("""{a},12-Aug-24,CASH,,12-Aug-24,,"1.234,50","1.234,50",.\n""",), (NOT_PARSED,)),
    Case("a decimal comma", """
{a} 2024-08-12 1234.50 1234.50 CASH
{a} 2024-08-13 -200.00 1034.50 CARD
""", ("""\
{a},12-Aug-24,CASH,,12-Aug-24,,"1234,50","1234,50",.
{a},13-Aug-24,CARD,,13-Aug-24,"200,00",,"1034,50",.
""",), (NOT_PARSED, NO_AMOUNT), "csv xlsx semicolons"),
]  # fmt: skip

DATES_TRUTH = """
{a} 2024-03-05 500.00 500.00 CASH
{a} 2024-09-04 -30.00 470.00 CARD
"""
DATES = [
    Case("day or month first", DATES_TRUTH, ("""\
{a},05/03/2024,CASH,,05/03/2024,,500.00,500.00,.
{a},04/09/2024,CARD,,04/09/2024,30.00,,470.00,.
""",), (NOT_PARSED, "transaction_date_is_present"), "csv xlsx columns"),
    Case("day or month first", DATES_TRUTH, ("""\
{a},05-03-24,CASH,,05-03-24,,500.00,500.00,.
{a},04-09-24,CARD,,04-09-24,30.00,,470.00,.
""",), (NOT_PARSED,)),
    *(
        Case("Sept and other dates", DATES_TRUTH, (f"""\
{{a}}',"{first}",CASH,,"{first}",,500.00 ,500.00 ,.
{{a}}',"{second}",CARD,,"{second}",30.00 ,,470.00 ,.
""",), forms=forms)
        for first, second, forms in (
            ("Mar 5, 24", "Sept 4, 24", "csv xlsx gz"),
            ("5-March-2024", "4-September-2024", "csv"),
            ("05 Mar 2024", "04 Sept 2024", "csv"),
            ("2024-03-05T23:30:00+05:30", "2024/09/04", "csv"),
            ("Mar 5, 24 11:30 PM", "2024.09.04 00:15:00", "csv xlsx"),
        )
    ),
]  # fmt: skip
