"""Statements with every kind of break, and the truth about them."""

from __future__ import annotations

# The lines of each file below the header of the sample. An account is named after its break. The
# last line of copy.csv repeats the first one of march.csv in another notation.
STATEMENTS = {
    "march.csv": """\
BROKEN-1,2018-03-01,RENT,,,,500.00,1500.00,.
BROKEN-1,2018-03-02,RENT,,,,250.00,1750.00,.
BROKEN-1,2018-03-05,FEE,,,75.50,,1550.25,.
DOUBLED-1,2018-03-01,RENT,,,,500.00,1500.00,.
DOUBLED-1,2018-03-02,RENT,,,,250.00,1750.00,.
GAP-1,2018-03-01,RENT,,,,500.00,1500.00,.
ACCEPTED-1,2018-03-01,RENT,,,,500.00,1500.00,.
UNPROVED-1,2018-03-01,RENT,,,,500.00,,.
""",
    "copy.csv": """\
DOUBLED-1,2018-03-02,RENT (COPY),,,,250.00,1750.00,.
BROKEN-1,"Mar 1, 18",RENT,,,,500.00,1500.00,.
""",
    "august.csv": """\
GAP-1,2019-08-01,RENT,,,,500.00,2100.00,.
ACCEPTED-1,2019-08-01,RENT,,,,500.00,1234567.89,.
""",
}
ACCEPTED_BREAK = """
insert into audit.accepted_balance_breaks
values ('ACCEPTED-1', '2019-08-01', 1232567.89, 'The bank has no older statements')
"""
# The breaks of STATEMENTS, without the hint.
BREAKS = """
    (values
        (1, 'BROKEN-1', date '2018-03-05', 'broken', -124.25,
         e'2018-03-02, balance 1,750.00\\nmarch.csv, line 3',
         e'2018-03-05, balance 1,625.75\\nmarch.csv, line 4', null),
        (2, 'DOUBLED-1', '2018-03-02', 'doubled', -250,
         e'2018-03-02, balance 1,750.00\\nmarch.csv, line 6',
         e'2018-03-02, balance 1,500.00\\ncopy.csv, line 2', null),
        (3, 'GAP-1', '2019-08-01', 'gap', 100,
         e'2018-03-01, balance 1,500.00\\nmarch.csv, line 7',
         e'2019-08-01, balance 1,600.00\\naugust.csv, line 2', null),
        (4, 'ACCEPTED-1', '2019-08-01', 'gap (accepted)', 1232567.89,
         e'2018-03-01, balance 1,500.00\\nmarch.csv, line 8',
         e'2019-08-01, balance 1,234,067.89\\naugust.csv, line 3',
         'The bank has no older statements')
    ) as breaks(place, account_number, transaction_date, kind, difference, row_before, row_after,
                accepted_reason)
"""
# Account, state, breaks and accepted breaks. All other accounts are reconciled and have no break.
STATES = """
    (values ('BROKEN-1', 'broken', 1, 0), ('DOUBLED-1', 'broken', 1, 0),
            ('GAP-1', 'incomplete', 1, 0), ('ACCEPTED-1', 'reconciled', 0, 1),
            ('UNPROVED-1', 'no balances', 0, 0)
    ) as states(account_number, state, open, accepted)
"""
