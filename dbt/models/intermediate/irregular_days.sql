{{ config(post_hook="{{ analyze_new_table() }}") }}

{#
    The net of each day whose sums do not prove it (see account_days), edge by edge.

    Equal edges may be surplus copies. A day therefore has further rows, one for each way of leaving
    out copies that makes the day whole.
#}
with sums as (

    select * from {{ ref('account_days') }}

),

irregular as (

    select
        sums.account_id,
        sums.transaction_date,
        sums._staged_at
    from sums
    where
        sums.shape = 'irregular'
        {% if is_incremental() %}
        and sums._staged_at
        > (select coalesce(max(stored._staged_at), '-infinity') from {{ this }} as stored)
        {% endif %}

),

edges as (

    select
        irregular._staged_at,
        edge.account_id,
        edge.transaction_date,
        edge.transaction_id,
        edge.balance_before,
        edge.balance_after,
        edge._load_id,
        edge._source_line
    from irregular
    cross join {{ edges_of(
        'irregular.account_id', 'irregular.transaction_date', 'irregular.transaction_date'
    ) }} as edge

),

net_of_all as (

    select
        account_id,
        transaction_date,
        {{ array_except('array_agg(balance_before)', 'array_agg(balance_after)') }}
            as balance_starts,
        {{ array_except('array_agg(balance_after)', 'array_agg(balance_before)') }}
            as balance_ends,
        max(_staged_at) as _staged_at
    from edges
    group by account_id, transaction_date

),

-- Only on these days can an edge be a surplus copy.
days_with_equal_edges as (

    select distinct
        account_id,
        transaction_date
    from (
        select
            account_id,
            transaction_date
        from edges
        group by account_id, transaction_date, balance_before, balance_after
        having count(*) > 1
    ) as equal_edges

),

-- Equal edges, numbered in the order of the loads.
copies as (

    select
        edges.*,
        row_number() over (equal_edges order by edges._load_id, edges._source_line) as copy_number,
        count(*) over equal_edges as copy_count,
        row_number() over (
            partition by
                edges.account_id,
                edges.transaction_date,
                edges.balance_before,
                edges.balance_after,
                edges._load_id
            order by edges._source_line
        ) as number_in_load
    from edges
    inner join days_with_equal_edges using (account_id, transaction_date)
    window equal_edges as (
        partition by
            edges.account_id,
            edges.transaction_date,
            edges.balance_before,
            edges.balance_after
    )

),

compared as (

    select
        copies.*,
        max(copies.number_in_load) over (
            partition by
                copies.account_id,
                copies.transaction_date,
                copies.balance_before,
                copies.balance_after
        ) as count_in_one_load,
        copies.balance_before = any(net_of_all.balance_starts)
        and copies.balance_after = any(net_of_all.balance_ends) as is_dangling
    from copies
    inner join net_of_all using (account_id, transaction_date)

),

-- Each edge of these days, once for each way of leaving out surplus copies.
kept as (

    select
        compared.*,
        way.way_number,
        way.is_kept
    from compared
    cross join lateral (
        values
        -- A load lists a transaction as often as it happened. Another load may list it again, in
        -- another notation.
        (2, compared.copy_number <= compared.count_in_one_load),
        -- A surplus copy from a to b adds the start a and the end b to the net.
        (
            3,
            compared.copy_number = 1
            or compared.copy_number < compared.copy_count
            or not compared.is_dangling
        ),
        (4, compared.copy_number = 1)
    ) as way (way_number, is_kept)

),

nets_without_surplus as (

    select
        account_id,
        transaction_date,
        way_number,
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
    from kept
    group by account_id, transaction_date, way_number

),

final as (

    -- Way 1 counts all edges.
    select
        account_id,
        transaction_date,
        1 as way_number,
        balance_starts,
        balance_ends,
        null::uuid[] as surplus_ids,
        _staged_at
    from net_of_all

    union all

    select *
    from nets_without_surplus
    where cardinality(balance_starts) < 2 and surplus_ids is not null

)

select * from final
