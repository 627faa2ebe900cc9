{{ config(
    severity = var('backdated_transactions_severity', env_var('BACKDATED_TRANSACTIONS', 'error'))
) }}

-- A backdated transaction has a value date before its transaction date.
--
-- In a `dbt build`, a failed test skips the models downstream of the tested model. The dashboard
-- needs the marts to show backdated transactions, so the next line makes this test depend on a
-- mart: dbt then builds the marts first.
-- depends_on: {{ ref('backdated_transactions') }}
with transactions as (

    {{ transactions_with_file() }}

)

select
    transaction_id,
    source,
    account_number,
    transaction_date,
    value_date,
    withdrawal_amount,
    deposit_amount,
    _source_file,
    _source_line
from transactions
where {{ is_backdated() }}
