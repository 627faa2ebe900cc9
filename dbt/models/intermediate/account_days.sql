{# With the default of 4 MB, the sums of the days of a first run would not fit into memory. #}
{{ config(pre_hook="set local work_mem = '32MB'", post_hook="{{ analyze_new_table() }}") }}

{#
    Sums and the net of the balances, per account and day.

    This model groups the transactions by the three columns of an account, and gives each group its key
    `account_id`. All later models of the chain join and partition by this one column.

    Each transaction is an edge from the balance before it to the balance after it. The net of a day
    consists of its starts (balances before, less balances after, as multisets) and its ends
    (balances after, less balances before). A day that is one path has one start and one end. A day
    that closes on itself has none.

    Four sums prove most days without a look at single edges. With D = sum(after - before) and
    Q = sum(after^2 - before^2), a path from s to e has D = e - s and Q = e^2 - s^2. So
    s = (Q / D - D) / 2 and e = s + D. The sums of the balances' 64-bit hashes then prove s and e:
    in a path, all other balances cancel out, and hash(e) - hash(s) remains. The remaining days are
    irregular, and the model irregular_days compares their edges one by one.

    A row with both a withdrawal and a deposit is no transaction but a total. If it has a balance,
    it is in net_of_totals, in balance_count and in the sums that prove the path, so a break shows
    the row. It is in no other amount or count.

    All sums are additive. An incremental run therefore adds the transactions that were staged after
    the previous run to the sums of their days. It recomputes a day from all its transactions in two
    cases:

    - Somebody emptied raw and loaded it again, so a transaction of the day was staged again.
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
        {{ account_id() }} as account_id,
        source,
        account_number,
        currency,
        transaction_date,
        coalesce(
            bool_or(_first_staged_at <= (select previous_run.staged_at from previous_run)), false
        )
        or not exists (
            select 1 from {{ ref('transactions') }} as staged
            where staged._staged_at = (select previous_run.staged_at from previous_run)
        ) as is_recomputed
    from new_transactions
    group by source, account_number, currency, transaction_date

),

transactions_to_aggregate as (

    select transactions.*
    from transactions
    inner join touched_days
        on
            transactions.transaction_date = touched_days.transaction_date
            and {{ same_account('transactions', 'touched_days') }}
    where touched_days.is_recomputed

    union all

    select new_transactions.*
    from new_transactions
    inner join touched_days
        on
            new_transactions.transaction_date = touched_days.transaction_date
            and {{ same_account('new_transactions', 'touched_days') }}
    where touched_days.is_recomputed is not true

),
{% else %}
transactions_to_aggregate as (

    select * from transactions

),
{% endif %}

edges as (

    select
        source,
        account_number,
        currency,
        transaction_date,
        withdrawal_amount,
        deposit_amount,
        balance_amount,
        {{ balance_before() }} as balance_before,
        {{ is_total() }} as is_total,
        _load_id,
        _staged_at
    from transactions_to_aggregate
    -- Optimisation fence: without `offset`, Postgres would compute `balance_before` again at each
    -- use. The literal is a bigint, because the cast of an integer would prevent a parallel plan.
    offset bigint '0'

),

new_sums as (

    select
        {{ account_id() }} as account_id,
        source,
        account_number,
        currency,
        transaction_date,
        coalesce(sum(withdrawal_amount) filter (where not is_total), 0) as withdrawal_amount,
        coalesce(sum(deposit_amount) filter (where not is_total), 0) as deposit_amount,
        count(*) filter (where not is_total) as transaction_count,
        count(withdrawal_amount) filter (where not is_total) as withdrawal_count,
        count(deposit_amount) filter (where not is_total) as deposit_count,
        count(balance_amount) as balance_count,
        count(*) filter (where balance_amount is null and not is_total) as count_without_balance,
        coalesce(
            sum(coalesce(deposit_amount, 0) - coalesce(withdrawal_amount, 0))
            filter (where balance_amount is null and not is_total),
            0
        ) as net_without_balance,
        coalesce(
            sum(deposit_amount - withdrawal_amount)
            filter (where balance_amount is not null and is_total),
            0
        ) as net_of_totals,
        coalesce(
            sum((balance_amount - balance_before) * (balance_amount + balance_before)), 0
        ) as _square_sum,
        coalesce(
            sum({{ balance_hash('balance_amount') }})
            - sum({{ balance_hash('balance_before') }}), 0
        ) as _hash_sum,
        min(_load_id) as _first_load_id,
        max(_load_id) as _last_load_id,
        max(_staged_at) as _staged_at
    from edges
    group by source, account_number, currency, transaction_date

),

{% if is_incremental() %}
days as (

    select
        account_id,
        source,
        account_number,
        currency,
        transaction_date,
        sum(withdrawal_amount) as withdrawal_amount,
        sum(deposit_amount) as deposit_amount,
        sum(transaction_count)::bigint as transaction_count,
        sum(withdrawal_count)::bigint as withdrawal_count,
        sum(deposit_count)::bigint as deposit_count,
        sum(balance_count)::bigint as balance_count,
        sum(count_without_balance)::bigint as count_without_balance,
        sum(net_without_balance) as net_without_balance,
        sum(net_of_totals) as net_of_totals,
        sum(_square_sum) as _square_sum,
        sum(_hash_sum) as _hash_sum,
        min(_first_load_id) as _first_load_id,
        max(_last_load_id) as _last_load_id,
        max(_staged_at) as _staged_at
    from (
        select * from new_sums
        union all
        select
            stored.account_id,
            stored.source,
            stored.account_number,
            stored.currency,
            stored.transaction_date,
            stored.withdrawal_amount,
            stored.deposit_amount,
            stored.transaction_count,
            stored.withdrawal_count,
            stored.deposit_count,
            stored.balance_count,
            stored.count_without_balance,
            stored.net_without_balance,
            stored.net_of_totals,
            stored._square_sum,
            stored._hash_sum,
            stored._first_load_id,
            stored._last_load_id,
            stored._staged_at
        from {{ this }} as stored
        inner join touched_days using (account_id, transaction_date)
        where touched_days.is_recomputed is not true
    ) as all_sums
    group by account_id, source, account_number, currency, transaction_date

),
{% else %}
days as (

    select * from new_sums

),
{% endif %}

solved as (

    select
        *,
        round((_square_sum / nullif(net, 0) - net) / 2, 2) as path_start,
        round((_square_sum / nullif(net, 0) + net) / 2, 2) as path_end
    from (
        select
            *,
            deposit_amount - withdrawal_amount - net_without_balance + net_of_totals as net
        from days
    ) as days_with_net

),

shaped as (

    select
        *,
        case
            when balance_count = 0 then 'none'
            when net = 0 and _hash_sum = 0 then 'closed'
            when
                _hash_sum = {{ balance_hash('path_end') }}::numeric
                - {{ balance_hash('path_start') }}
                then 'path'
            else 'irregular'
        end as shape
    from solved

),

final as (

    select
        -- ids
        account_id,
        source,
        account_number,
        currency,
        transaction_date,

        -- amounts
        withdrawal_amount::numeric(38, 2) as withdrawal_amount,
        deposit_amount::numeric(38, 2) as deposit_amount,
        net_without_balance::numeric(38, 2) as net_without_balance,
        net_of_totals::numeric(38, 2) as net_of_totals,

        -- counts
        transaction_count,
        withdrawal_count,
        deposit_count,
        balance_count,
        count_without_balance,

        -- balances
        shape,
        case when shape = 'path' then path_start end::numeric(18, 2) as path_start,
        case when shape = 'path' then path_end end::numeric(18, 2) as path_end,

        -- state of the sums, and origin
        _square_sum::numeric(60, 4) as _square_sum,
        _hash_sum::numeric(38, 0) as _hash_sum,
        _first_load_id,
        _last_load_id,
        _staged_at

    from shaped

)

select * from final
