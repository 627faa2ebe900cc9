-- A transaction is a withdrawal or a deposit, never both. Some exports write 0.00 for the missing
-- amount, so zero counts as missing. The test withdrawal_or_deposit_is_present reports rows with
-- neither amount.
with transactions as (

    {{ transactions_with_file() }}

)

select
    transaction_id,
    source,
    account_number,
    transaction_date,
    withdrawal_amount,
    deposit_amount,
    _source_file,
    _source_line
from transactions
where {{ is_total() }}
