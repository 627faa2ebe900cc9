{{ config(severity = var('backdated_transactions_severity')) }}

-- Backdated: the money counts from a day before the transaction.
--
-- The marts do not wait for it in a `dbt build`: backdated transactions are to be seen on the
-- dashboard, not to keep it from being built. What makes that so is the next line.
-- depends_on: {{ ref('backdated_transactions') }}
select
    transaction_id,
    account_number,
    transaction_date,
    value_date,
    withdrawal_amount,
    deposit_amount,
    _source_file,
    _source_line
from {{ ref('transactions') }}
where value_date < transaction_date
