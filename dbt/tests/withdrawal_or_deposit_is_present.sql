{{ config(severity = 'warn') }}

-- A row that moves no money may be a bank's note, such as a balance carried over: worth a look,
-- no reason to stop.
select
    transaction_id,
    account_number,
    transaction_date,
    transaction_details,
    _source_file,
    _source_line
from {{ ref('transactions') }}
where coalesce(withdrawal_amount, 0) = 0 and coalesce(deposit_amount, 0) = 0
