{#
    Each break within an irregular day: a dangling end, and the dangling start that follows it.

    The rows of the day are ordered by load and line, or against the lines in a file that begins with
    the newest row. In this order, the n-th dangling end belongs to the n-th dangling start. The
    balance before the day counts as an end, unless the day has a start there. The start of the next
    day shows which end is the day's own end.
#}
with irregular as (

    select
        days.account_number,
        days.transaction_date as last_date,
        days._first_date as first_date,
        days._balance_starts as starts,
        days._balance_ends as ends,
        days._first_load_id <> days._last_load_id as has_several_loads,
        case when cardinality(days._balances_before) = 1 then days._balances_before[1] end
            as balance_before,
        (
            select start_balance
            from unnest(days._balance_starts) as start_balance
            where start_balance = any(days._balances_before)
            limit 1
        ) as matched_start,
        (
            select end_balance
            from unnest(days._balance_ends) as end_balance
            where end_balance = any(next_day._balance_starts)
            limit 1
        ) as matched_end
    from {{ ref('daily_account_flows') }} as days
    left join lateral (
        select following._balance_starts
        from {{ ref('daily_account_flows') }} as following
        where
            following.account_number = days.account_number
            and following.transaction_date > days.transaction_date
            and following.balance_count > 0
        order by following.transaction_date
        limit 1
    ) as next_day on true
    where days.is_break and cardinality(days._balance_starts) > 1

),

edges as (

    select
        irregular.account_number,
        irregular.last_date,
        edge.transaction_id,
        edge.transaction_date,
        edge.balance_before,
        edge.balance_after,
        edge._load_id,
        edge._source_line,
        case
            when edge.balance_before = lag(edge.balance_after) over lines then 1
            when edge.balance_after = lag(edge.balance_before) over lines then -1
        end as direction
    from irregular
    cross join lateral (
        select * from {{ ref('transaction_edges') }} as edge
        where
            edge.account_number = irregular.account_number
            and edge.transaction_date between irregular.first_date and irregular.last_date
        offset 0
    ) as edge
    window lines as (
        partition by irregular.account_number, irregular.last_date
        order by edge._load_id, edge._source_line
    )

),

ordered_edges as (

    select
        *,
        row_number() over (
            partition by account_number, last_date
            order by transaction_date, _load_id, _source_line * file_direction
        ) as moment
    from (
        select
            *,
            case when sum(direction) over (partition by account_number, last_date) < 0 then -1 else 1 end
                as file_direction
        from edges
    ) as directed_edges

),

-- The dangling balances of each day, each with its row. Of equal balances, as many rows as dangle.
dangling as (

    select
        irregular.account_number,
        irregular.last_date,
        irregular.balance_before,
        irregular.matched_start,
        node.is_start,
        node.balance,
        edge.transaction_id,
        edge.transaction_date,
        row_number() over (
            partition by irregular.account_number, irregular.last_date, node.is_start
            order by edge.moment
        ) as number
    from irregular
    cross join lateral (
        select
            true as is_start,
            start_balance as balance,
            count(*) as copies
        from unnest({{ array_except('starts', 'array[matched_start]') }}) as start_balance
        group by start_balance
        union all
        select
            false,
            end_balance,
            count(*)
        from unnest({{ array_except('ends', 'array[matched_end]') }}) as end_balance
        group by end_balance
    ) as node
    inner join (
        select
            account_number,
            last_date,
            moment,
            transaction_id,
            transaction_date,
            side.is_start,
            side.balance,
            row_number() over (
                partition by account_number, last_date, side.is_start, side.balance order by moment
            ) as copy
        from ordered_edges
        cross join lateral (
            values (true, balance_before), (false, balance_after)
        ) as side (is_start, balance)
    ) as edge
        on
            irregular.account_number = edge.account_number
            and irregular.last_date = edge.last_date
            and node.is_start = edge.is_start
            and node.balance = edge.balance
            and node.copies >= edge.copy

),

-- With an unknown balance before the day, the first start is the start of the day.
starts as (

    select
        *,
        case when balance_before is null and matched_start is null then number - 1 else number end
            as break_number
    from dangling
    where is_start

),

ends as (

    select
        account_number,
        last_date,
        balance,
        transaction_id,
        transaction_date,
        case when balance_before is not null and matched_start is null then number + 1 else number end
            as break_number
    from dangling
    where not is_start

    union all

    -- the row at the balance before the day
    select
        irregular.account_number,
        irregular.last_date,
        irregular.balance_before,
        edge.transaction_id,
        edge.transaction_date,
        1
    from irregular
    cross join lateral (
        select *
        from {{ ref('transaction_edges') }} as edge
        where
            edge.account_number = irregular.account_number
            and edge.transaction_date < irregular.first_date
        order by
            edge.transaction_date desc,
            edge.balance_after = irregular.balance_before desc,
            edge._load_id desc,
            edge._source_line desc
        limit 1
    ) as edge
    where irregular.balance_before is not null and irregular.matched_start is null

),

-- The loads of a day if the transactions of each of them are whole.
whole_loads as (

    select
        account_number,
        last_date,
        array_agg(_load_id) as load_ids
    from (
        select
            account_number,
            last_date,
            _load_id,
            {{ array_except('array_agg(balance_before)', 'array_agg(balance_after)') }} as starts
        from edges
        group by account_number, last_date, _load_id
    ) as loads
    group by account_number, last_date
    having count(*) > 1 and max(cardinality(starts)) = 1

),

final as (

    select
        starts.account_number,
        coalesce(ends.transaction_date, starts.transaction_date) as date_before,
        ends.balance as balance_before,
        ends.transaction_id as id_before,
        starts.transaction_date as date_after,
        starts.balance as balance_after,
        starts.transaction_id as id_after,
        whole_loads.load_ids
    from starts
    left join ends
        on
            starts.account_number = ends.account_number
            and starts.last_date = ends.last_date
            and starts.break_number = ends.break_number
    left join whole_loads
        on
            starts.account_number = whole_loads.account_number
            and starts.last_date = whole_loads.last_date
    where starts.break_number > 0

)

select * from final
