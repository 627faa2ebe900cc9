-- A bank that changes the notation of its export sends known transactions with another text. Report
-- each such row, with the row of an earlier load that means the same. To leave the repeated rows
-- out of staging, run `dbt build --full-refresh` with the variable `other_notation: drop`.
--
-- Equal rows of two loads can be two transactions: 100 in, 100 out, 100 in. A row is therefore
-- reported only if the balances do not need it: its day has a break of the kind `doubled`, or the
-- repeated rows of the day cancel each other out.
with days_of_several_loads as (

    select
        source,
        account_number,
        currency,
        transaction_date
    from {{ ref('account_days') }}
    where _first_load_id <> _last_load_id

),

candidates as not materialized (

    select * from {{ ref('transactions') }}

),

transactions as (

    select transactions.*
    from days_of_several_loads as days
    cross join lateral (
        select candidates.*
        from candidates
        where
            {{ same_account('candidates', 'days') }}
            and candidates.transaction_date = days.transaction_date
        offset 0
    ) as transactions

),

pairs as (

    {{ rows_in_other_notation('transactions') }}

),

repeated as (

    select
        *,
        sum(
            {{ balance_hash(balance_before()) }}::numeric
            - {{ balance_hash('balance_amount') }}
        ) over (partition by source, account_number, currency, transaction_date) as day_hash_sum
    from (
        select
            transactions.*,
            pairs.first_transaction_id
        from pairs
        cross join {{ row_of('pairs.transaction_id') }} as transactions
    ) as repeated_rows

)

select
    repeated.transaction_id,
    repeated.source,
    repeated.account_number,
    repeated.currency,
    repeated.transaction_date,
    repeated.withdrawal_amount,
    repeated.deposit_amount,
    repeated.balance_amount,
    repeated_loads._source_file,
    repeated._source_line,
    original_loads._source_file as first_source_file,
    originals._source_line as first_source_line
from repeated
cross join {{ row_of('repeated.first_transaction_id') }} as originals
left join {{ ref('loads') }} as repeated_loads
    on repeated.source = repeated_loads.source and repeated._load_id = repeated_loads._load_id
left join {{ ref('loads') }} as original_loads
    on originals.source = original_loads.source and originals._load_id = original_loads._load_id
where
    repeated.day_hash_sum = 0
    or exists (
        select 1 from {{ ref('balance_breaks') }} as breaks
        where
            {{ same_account('breaks', 'repeated') }}
            and repeated.transaction_date in (breaks.date_before, breaks.date_after)
            and breaks.kind = 'doubled'
            and breaks.accepted_reason is null
    )
