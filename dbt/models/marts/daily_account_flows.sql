{#
    Sums and the closing balance per account and day.

    An incremental run reads the transactions that were staged after the previous run. Usually all
    of them are new, and the run adds their sums to the sums that this table holds for their days.
    The run recomputes a day from all its transactions in two cases:

    - Somebody emptied raw and loaded it again, so a transaction of the day was staged again. This
      table has already counted the transaction, and its position within the day may have changed.
    - A full refresh rebuilt staging.transactions, so every row has a new `_staged_at`. The newest
      `_staged_at` of this table then no longer occurs in staging.transactions.
#}
with transactions as not materialized (

    select * from {{ ref('transactions') }}
    where account_number is not null and transaction_date is not null

),

{% if is_incremental() %}
previous_run as (

    select coalesce(max(_staged_at), '-infinity') as staged_at
    from {{ this }}

),

-- The upper bound excludes no row. With it, the condition is a range. The planner expects few rows
-- in a range and therefore uses the index.
new_transactions as not materialized (

    select * from transactions
    where
        _staged_at > (select previous_run.staged_at from previous_run)
        and _staged_at <= (select 'infinity'::timestamptz)

),

touched_days as (

    select
        account_number,
        transaction_date,
        bool_or(_first_staged_at <= (select previous_run.staged_at from previous_run))
        or not exists (
            select 1 from {{ ref('transactions') }} as staged
            where staged._staged_at = (select previous_run.staged_at from previous_run)
        ) as is_recomputed
    from new_transactions
    group by account_number, transaction_date

),

transactions_to_aggregate as (

    select transactions.*
    from transactions
    inner join touched_days using (account_number, transaction_date)
    where touched_days.is_recomputed

    union all

    select new_transactions.*
    from new_transactions
    inner join touched_days using (account_number, transaction_date)
    where touched_days.is_recomputed is not true

),
{% else %}
transactions_to_aggregate as (

    select * from transactions

),
{% endif %}

new_sums as (

    select
        account_number,
        transaction_date,
        coalesce(sum(withdrawal_amount), 0) as withdrawal_amount,
        coalesce(sum(deposit_amount), 0) as deposit_amount,
        -- The day's last line contains the closing balance. The maximum of an array finds this line
        -- without a sort.
        max(array[_load_id, _source_line, balance_amount]) as last_line,
        count(*) as transaction_count,
        count(withdrawal_amount) as withdrawal_count,
        count(deposit_amount) as deposit_count,
        max(_staged_at) as _staged_at
    from transactions_to_aggregate
    group by account_number, transaction_date

),

{% if is_incremental() %}
stored_sums as (

    select
        daily.account_number,
        daily.transaction_date,
        daily.withdrawal_amount,
        daily.deposit_amount,
        array[daily._load_id, daily._source_line, daily.closing_balance] as last_line,
        daily.transaction_count,
        daily.withdrawal_count,
        daily.deposit_count,
        daily._staged_at
    from {{ this }} as daily
    inner join touched_days using (account_number, transaction_date)
    where touched_days.is_recomputed is not true

),

all_sums as (

    select * from new_sums
    union all
    select * from stored_sums

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
    from all_sums
    group by account_number, transaction_date

),
{% else %}
days as (

    select * from new_sums

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

        -- origin of the closing balance
        last_line[1]::bigint as _load_id,
        last_line[2]::bigint as _source_line,
        _staged_at

    from days

)

select * from final
