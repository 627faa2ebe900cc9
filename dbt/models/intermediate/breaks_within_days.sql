{#
    Each break within an irregular day: a dangling end, and the dangling start that follows it.

    The rows are ordered by date, load and line. If a file begins with the newest row, its lines are
    in reverse order. The n-th dangling end then belongs to the n-th dangling start. The balance
    before the day counts as an end, unless the day has a start at this balance. The start of the
    next day shows which end is the day's own end.
#}
with days as (

    select
        *,
        lag(transaction_date) over account as date_before,
        lead(_balance_starts) over account as next_starts
    from {{ ref('daily_account_flows') }}
    where balance_count > 0 and not _is_in_block
    window account as (partition by account_id order by transaction_date)

),

irregular as (

    select
        account_id,
        transaction_date as last_date,
        _first_date as first_date,
        date_before,
        _balance_starts,
        _balance_ends,
        -- A day that closes on itself has no start or end of its own (reading 5).
        case
            when cardinality(_balances_before) = 1 and _reading_number <> 5 then _balances_before[1]
        end as balance_before,
        (
            select min(balance)
            from unnest(_balance_starts) as balance
            where balance = any(_balances_before) and _reading_number <> 5
        ) as own_start,
        (
            select min(balance)
            from unnest(_balance_ends) as balance
            where balance = any(next_starts) and _reading_number <> 5
        ) as own_end,
        _reading_number = 5 as is_closed
    from days
    where is_break and (cardinality(_balance_starts) > 1 or _reading_number = 5)

),

edges as (

    select
        irregular.last_date,
        edge.*,
        case
            when edge.balance_before = lag(edge.balance_after) over lines then 1
            when edge.balance_after = lag(edge.balance_before) over lines then -1
        end as direction
    from irregular
    cross join {{ edges_of(
        'irregular.account_id', 'irregular.first_date', 'irregular.last_date'
    ) }} as edge
    window lines as (
        partition by edge.account_id, irregular.last_date
        order by edge._load_id, edge._source_line
    )

),

directed_edges as (

    select
        *,
        case
            when sum(direction) over (partition by account_id, last_date) < 0 then -1 else 1
        end
            as file_direction
    from edges

),

-- The balances of edges that equal a dangling balance, in the order of time. Of equal balances, the
-- first ones dangle.
nodes as (

    select
        edge.account_id,
        edge.last_date,
        edge.transaction_id,
        edge.transaction_date,
        node.is_start,
        node.balance,
        edge._load_id,
        edge._source_line * edge.file_direction as line_order,
        row_number() over (
            partition by edge.account_id, edge.last_date, node.is_start, node.balance
            order by
                edge.transaction_date, edge._load_id, edge._source_line * edge.file_direction
        ) as copy_number
    from directed_edges as edge
    inner join irregular using (account_id, last_date)
    cross join
        lateral (
            values
            (true, edge.balance_before, irregular._balance_starts),
            (false, edge.balance_after, irregular._balance_ends)
        ) as node (is_start, balance, dangling_balances)
    where node.balance = any(node.dangling_balances)

),

dangling as (

    select
        irregular.account_id,
        irregular.last_date,
        irregular.balance_before as day_start,
        irregular.own_start,
        irregular.is_closed,
        nodes.is_start,
        nodes.balance,
        nodes.transaction_id,
        nodes.transaction_date,
        nodes._load_id,
        row_number() over (
            partition by irregular.account_id, irregular.last_date, nodes.is_start
            order by nodes.transaction_date, nodes._load_id, nodes.line_order
        ) as number
    from irregular
    inner join nodes using (account_id, last_date)
    where
        nodes.copy_number <= case
            when nodes.is_start
                then cardinality(array_positions(
                    {{ array_except('irregular._balance_starts', 'array[irregular.own_start]') }},
                    nodes.balance
                ))
            else cardinality(array_positions(
                {{ array_except('irregular._balance_ends', 'array[irregular.own_end]') }},
                nodes.balance
            ))
        end

),

-- If the balance before the day is unknown, the first start is the start of the day.
starts as (

    select
        *,
        case
            when day_start is null and own_start is null and not is_closed then number - 1
            else number
        end as break_number
    from dangling
    where is_start

),

-- If no row of the day starts at the known balance before the day, this balance is an end, too.
ends as (

    select
        account_id,
        last_date,
        balance,
        transaction_id,
        transaction_date,
        _load_id,
        case when day_start is not null and own_start is null then number + 1 else number end
            as break_number
    from dangling
    where not is_start

    union all

    select
        irregular.account_id,
        irregular.last_date,
        irregular.balance_before as balance,
        row_before.transaction_id,
        row_before.transaction_date,
        row_before._load_id,
        1 as break_number
    from irregular
    cross join
        lateral (
            select
                earlier_edges.transaction_id,
                earlier_edges.transaction_date,
                earlier_edges._load_id
            from {{ edges_of(
                'irregular.account_id', 'irregular.date_before', 'irregular.date_before'
            ) }} as earlier_edges
            order by
                earlier_edges.balance_after = irregular.balance_before desc,
                earlier_edges._load_id desc,
                earlier_edges._source_line desc
            limit 1
        ) as row_before
    where irregular.balance_before is not null and irregular.own_start is null

),

-- The starts of each load of a day. If every load is whole by itself, whole_loads lists the loads.
load_nets as (

    select
        account_id,
        last_date,
        _load_id,
        {{ array_except('array_agg(balance_before)', 'array_agg(balance_after)') }} as starts
    from edges
    group by account_id, last_date, _load_id

),

whole_loads as materialized (

    select
        account_id,
        last_date,
        array_agg(_load_id) as load_ids
    from load_nets
    group by account_id, last_date
    having count(*) > 1 and max(cardinality(starts)) = 1

),

final as (

    select
        starts.account_id,
        coalesce(ends.transaction_date, starts.transaction_date) as date_before,
        ends.balance as balance_before,
        ends.transaction_id as id_before,
        starts.transaction_date as date_after,
        starts.balance as balance_after,
        starts.transaction_id as id_after,
        case when starts._load_id <> ends._load_id then whole_loads.load_ids end as load_ids
    from starts
    left join ends using (account_id, last_date, break_number)
    left join whole_loads using (account_id, last_date)
    where starts.break_number > 0

)

select * from final
