-- This view has no CTE, because Postgres does not merge a view with a `with` clause into a query.
-- An index of staging.transactions therefore serves `max(transaction_date)`.
select
    -- ids
    transaction_id,
    source,
    account_number,

    -- dates
    transaction_date,
    value_date,
    greatest({{ days_between_dates() }}, 0) as days_backdated,

    -- text
    transaction_details,
    cheque_number,

    -- amounts
    case
        when {{ is_total() }} then null
        when withdrawal_amount <> 0 then 'withdrawal'
        when deposit_amount <> 0 then 'deposit'
    end as direction,
    case
        when {{ is_total() }} then null
        else coalesce(nullif(withdrawal_amount, 0), deposit_amount)
    end as amount,
    balance_amount,
    currency,

    -- origin
    _load_id,
    _source_file,
    _source_line

from ({{ transactions_with_file() }}) as transactions
