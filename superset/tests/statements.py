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
# A second bank. It uses an account number of the sample in two currencies, and does not state the
# currency of another account. Its value dates are missing. Its load ids begin at 1, too.
SECOND_BANK = """
insert into staging.transactions (
    transaction_id, transaction_date, source, account_number, currency, transaction_details,
    withdrawal_amount, deposit_amount, balance_amount, _load_id, _source_line, _staged_at
)
select gen_random_uuid(), transaction_date, 'second', account_number, currency, details,
       withdrawal, deposit, balance, 1, line, now()
from (values
    (2, '409000611074', 'EUR', date '2018-03-01', 'INVOICE', 3000000000.01, null, -3000000000.01),
    (3, '409000611074', 'EUR', '2018-03-02', 'SALARY', null, 20.00, -2999999980.01),
    (4, '409000611074', 'JPY', '2018-03-01', 'INVOICE', 2000000000.00, null, 500.00),
    (5, '409000611074', 'JPY', '2018-03-03', 'SALARY', null, 7000000000.00, 7000000500.00),
    (6, 'SECOND-1', null, '2018-03-02', 'RENT', null, 30.00, 30.00)
) as rows (line, account_number, currency, transaction_date, details, withdrawal, deposit, balance);
insert into raw._loads (
    table_name, load_id, source_file, status, rows_read, rows_loaded, rows_duplicate,
    rows_rejected, rows_skipped, started_at, finished_at, duplicates
)
values ('second', 1, 'second.csv', 'loaded', 5, 5, 0, 0, 0, now(), now(), 'drop')
"""
# The breaks of STATEMENTS, without the hint.
BREAKS = """
    (select 'transactions' as source, 'USD' as currency, breaks.* from (values
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
                accepted_reason)) as breaks
"""
# Account, state, breaks and accepted breaks. All other accounts are reconciled and have no break.
STATES = """
    (select 'transactions' as source, states.* from (
        values
            ('BROKEN-1', 'broken', 1, 0), ('DOUBLED-1', 'broken', 1, 0),
            ('GAP-1', 'incomplete', 1, 0), ('ACCEPTED-1', 'reconciled', 0, 1),
            ('UNPROVED-1', 'no balances', 0, 0)
    ) as states(account_number, state, open, accepted)) as states
"""
