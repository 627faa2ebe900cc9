-- A transaction moves money one way: it has a withdrawal or a deposit, never both. A 0.00 beside
-- the other amount is how some exports write "none". That a row has neither is another test.
select
    transaction_id,
    account_number,
    transaction_date,
    withdrawal_amount,
    deposit_amount,
    _source_file,
    _source_line
from {{ ref('transactions') }}
where withdrawal_amount <> 0 and deposit_amount <> 0
