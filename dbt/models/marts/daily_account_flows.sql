with transactions as not materialized (

    select * from {{ ref('transactions') }}
    where account_number is not null and transaction_date is not null

),

{% if is_incremental() %}
seen as (

    select coalesce(max(_staged_at), '-infinity') as staged_at
    from {{ this }}

),

-- (The second bound is there for the planner: of a range it expects few rows, and uses the index.)
new_transactions as not materialized (

    select * from transactions
    where
        _staged_at > (select seen.staged_at from seen)
        and _staged_at <= (select 'infinity'::timestamptz)

),

-- Most days only get new rows, which are added to what was summed up before. A day is computed as
-- a whole when one of its rows is summed up here and was staged again (raw was loaded anew, and the
-- order of lines may be another one); all of them are when the newest row that is summed up here is
-- staged no more as it was (staging was rebuilt).
touched_days as (

    select
        account_number,
        transaction_date,
        bool_or(_first_staged_at <= (select seen.staged_at from seen))
        or not exists (
            select 1 from {{ ref('transactions') }} as staged
            where staged._staged_at = (select seen.staged_at from seen)
        ) as is_staged_again
    from new_transactions
    group by account_number, transaction_date

),

transactions_to_sum as (

    select transactions.*
    from transactions
    inner join touched_days using (account_number, transaction_date)
    where touched_days.is_staged_again

    union all

    select new_transactions.*
    from new_transactions
    inner join touched_days using (account_number, transaction_date)
    where touched_days.is_staged_again is not true

),
{% else %}
transactions_to_sum as (

    select * from transactions

),
{% endif %}

summed as (

    select
        account_number,
        transaction_date,
        coalesce(sum(withdrawal_amount), 0) as withdrawal_amount,
        coalesce(sum(deposit_amount), 0) as deposit_amount,
        -- the balance behind the last line: as the maximum of an array no row has to be sorted
        max(array[_load_id, _source_line, balance_amount]) as last_line,
        count(*) as transaction_count,
        count(withdrawal_amount) as withdrawal_count,
        count(deposit_amount) as deposit_count,
        max(_staged_at) as _staged_at
    from transactions_to_sum
    group by account_number, transaction_date

),

{% if is_incremental() %}
summed_before as (

    select
        earlier.account_number,
        earlier.transaction_date,
        earlier.withdrawal_amount,
        earlier.deposit_amount,
        array[earlier._load_id, earlier._source_line, earlier.closing_balance] as last_line,
        earlier.transaction_count,
        earlier.withdrawal_count,
        earlier.deposit_count,
        earlier._staged_at
    from {{ this }} as earlier
    inner join touched_days using (account_number, transaction_date)
    where touched_days.is_staged_again is not true

),

parts as (

    select * from summed
    union all
    select * from summed_before

),

days as (

    select
        account_number,
        transaction_date,
        sum(withdrawal_amount) as withdrawal_amount,
        sum(deposit_amount) as deposit_amount,
        max(last_line) as last_line,
        sum(transaction_count)::bigint as transaction_count,
        sum(withdrawal_count)::bigint as withdrawal_count,
        sum(deposit_count)::bigint as deposit_count,
        max(_staged_at) as _staged_at
    from parts
    group by account_number, transaction_date

),
{% else %}
days as (

    select * from summed

),
{% endif %}

final as (

    select
        -- ids
        account_number,
        transaction_date,

        -- amounts
        withdrawal_amount::numeric(38, 2) as withdrawal_amount,
        deposit_amount::numeric(38, 2) as deposit_amount,
        last_line[3]::numeric(18, 2) as closing_balance,

        -- counts
        transaction_count,
        withdrawal_count,
        deposit_count,

        -- where the closing balance came from
        last_line[1]::bigint as _load_id,
        last_line[2]::bigint as _source_line,
        _staged_at

    from days

)

select * from final
