-- Without CTEs: Postgres merges a view into a query only if the view has no `with`. The indexes of
-- staging.transactions then serve `max(transaction_date)` and `order by amount`.
select
    -- ids
    transaction_id,
    account_number,

    -- dates
    transaction_date,
    value_date,
    greatest(transaction_date - value_date, 0) as days_backdated,

    -- text
    transaction_details,
    cheque_number,

    -- amounts
    case
        when {{ is_total() }} then null
        when withdrawal_amount <> 0 then 'withdrawal'
        when deposit_amount <> 0 then 'deposit'
    end as direction,
    {{ amount() }} as amount,
    balance_amount,

    -- origin
    _load_id,
    _source_file,
    _source_line

from ({{ transactions_with_file() }}) as transactions
