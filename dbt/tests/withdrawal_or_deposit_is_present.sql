{{ config(severity = 'warn') }}

-- A row without an amount may be a note of the bank, such as a balance carried forward. The test
-- only warns, because such a row is not an error.
with transactions as (

    {{ transactions_with_file() }}

)

select
    transaction_id,
    source,
    account_number,
    transaction_date,
    transaction_details,
    _source_file,
    _source_line
from transactions
where {{ has_no_amount() }}
