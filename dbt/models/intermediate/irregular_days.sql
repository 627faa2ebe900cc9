{#
    The net of each day whose sums do not prove it (see account_days), edge by edge.

    If the day is whole without some copies of its edges, the net leaves out these surplus copies.
#}
with transactions as not materialized (

    select
        *,
        {{ balance_before() }} as balance_before,
        balance_amount as balance_after
    from {{ ref('transactions') }}

),

irregular as (

    select
        account_number,
        transaction_date,
        _staged_at
    from {{ ref('account_days') }}
    where
        shape = 'irregular'
        {% if is_incremental() %}
        and _staged_at
        > (select coalesce(max(stored._staged_at), '-infinity') from {{ this }} as stored)
        {% endif %}

),

edges as (

    select
        irregular.account_number,
        irregular.transaction_date,
        irregular._staged_at,
        edge.transaction_id,
        edge.balance_before,
        edge.balance_after,
        row_number() over edge_copies as copy,
        count(*) over (edge_copies range between unbounded preceding and unbounded following) as copies,
        row_number() over (
            partition by
                irregular.account_number, irregular.transaction_date,
                edge.balance_before, edge.balance_after, edge._load_id
            order by edge._source_line
        ) as copy_in_load
    from irregular
    -- With `offset 0`, the planner looks up each day in the index. Otherwise it may scan the table.
    cross join lateral (
        select * from transactions
        where
            transactions.account_number = irregular.account_number
            and transactions.transaction_date = irregular.transaction_date
            and transactions.balance_after is not null
        offset 0
    ) as edge
    window edge_copies as (
        partition by
            irregular.account_number, irregular.transaction_date,
            edge.balance_before, edge.balance_after
        order by edge._load_id, edge._source_line
    )

),

days as (

    select
        account_number,
        transaction_date,
        _staged_at,
        {{ array_except('array_agg(balance_before)', 'array_agg(balance_after)') }} as starts,
        {{ array_except('array_agg(balance_after)', 'array_agg(balance_before)') }} as ends
    from edges
    group by account_number, transaction_date, _staged_at

),

-- For each edge, whether each way to find surplus copies keeps it.
kept_edges as (

    select
        edges.*,
        way.*
    from (
        select
            edges.*,
            days.starts,
            days.ends,
            max(copy_in_load) over (
                partition by account_number, transaction_date, balance_before, balance_after
            ) as copies_in_one_load
        from edges
        inner join days using (account_number, transaction_date)
    ) as edges
    cross join lateral (
        values
        (1, true),
        -- A load lists a transaction as often as it happened. Another load may list it again, in
        -- another notation.
        (2, copy <= copies_in_one_load),
        -- A surplus copy from a to b leaves the start a and the end b.
        (
            3,
            copy = 1 or copy < copies
            or balance_before <> all(starts) or balance_after <> all(ends)
        ),
        (4, copy = 1)
    ) as way (way, is_kept)

),

nets as (

    select
        account_number,
        transaction_date,
        way,
        {{ array_except(
            'array_agg(balance_before) filter (where is_kept)',
            'array_agg(balance_after) filter (where is_kept)'
        ) }} as balance_starts,
        {{ array_except(
            'array_agg(balance_after) filter (where is_kept)',
            'array_agg(balance_before) filter (where is_kept)'
        ) }} as balance_ends,
        array_agg(transaction_id) filter (where not is_kept) as surplus_ids,
        max(_staged_at) as _staged_at
    from kept_edges
    group by account_number, transaction_date, way

),

final as (

    -- The first way after which the day has at most one start. Without one, all edges count.
    select distinct on (account_number, transaction_date)
        account_number,
        transaction_date,
        balance_starts,
        balance_ends,
        surplus_ids,
        _staged_at
    from nets
    order by account_number, transaction_date, cardinality(balance_starts) > 1, way

)

select * from final
