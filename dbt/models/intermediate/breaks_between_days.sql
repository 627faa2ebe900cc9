-- Each day that is whole but does not begin at a balance that the account can have.
with days as not materialized (

    select * from {{ ref('daily_account_flows') }}

),

flows as (

    select
        *,
        lag(transaction_date) over account as date_before,
        lag(_first_date) over account as first_date_before
    from days
    where balance_count > 0 and not _is_in_block
    window account as (partition by account_id order by transaction_date)

),

breaks as (

    select
        flows.account_id,
        flows.transaction_date as last_date,
        flows._first_date as first_date,
        flows._balance_starts[1] as start_balance,
        flows._balances_before,
        flows.date_before,
        flows.first_date_before,
        path_before._first_date as path_first_date,
        path_before.transaction_date as path_last_date,
        path_before._balance_starts[1] as path_start,
        path_before._balance_ends[1] as path_end
    from flows
    -- the last day before it that does not close on itself
    left join lateral (
        select
            earlier._first_date,
            earlier.transaction_date,
            earlier._balance_starts,
            earlier._balance_ends
        from days as earlier
        where
            earlier.account_id = flows.account_id
            and earlier.transaction_date < flows._first_date
            and cardinality(earlier._balance_starts) > 0
        order by earlier.transaction_date desc
        limit 1
    ) as path_before on true
    where
        flows.is_break
        and flows._reading_number <> 5
        and cardinality(flows._balance_starts) < 2

),

-- The rows of the day. `is_inside` marks those that do not begin at the start of the day. A day
-- that closes on itself has no start, so none of its rows is marked.
edges_after as (

    select
        breaks.last_date,
        edge.*,
        coalesce(edge.balance_before <> breaks.start_balance, false) as is_inside
    from breaks
    cross join {{ edges_of('breaks.account_id', 'breaks.first_date', 'breaks.last_date') }}
        as edge

),

rows_after as (

    select distinct on (account_id, last_date) *
    from edges_after
    order by account_id, last_date, is_inside, transaction_date, _load_id, _source_line

),

-- The rows of the day before. `is_possible` marks those that end at a possible balance.
edges_before as (

    select
        breaks.last_date,
        edge.*,
        edge.balance_after = any(breaks._balances_before) as is_possible
    from breaks
    cross join {{ edges_of(
        'breaks.account_id', 'breaks.first_date_before', 'breaks.date_before'
    ) }} as edge

),

rows_before as (

    select distinct on (account_id, last_date) *
    from edges_before
    order by
        account_id asc,
        last_date asc,
        is_possible desc,
        transaction_date desc,
        _load_id desc,
        _source_line desc

),

-- Equal edges that lead from the start of the last path to its end. Without one of them, the path
-- closes on itself. It is surplus if the day behind the break begins at a balance of the path.
copies as (

    select
        breaks.account_id,
        breaks.last_date,
        array_agg(edge.transaction_id order by edge._load_id, edge._source_line) as ids,
        max(edge.transaction_date) as transaction_date
    from breaks
    cross join {{ edges_of(
        'breaks.account_id', 'breaks.path_first_date', 'breaks.path_last_date'
    ) }} as edge
    where
        breaks.path_start = edge.balance_before
        and breaks.path_end = edge.balance_after
        and edge.balance_after = any(breaks._balances_before)
    group by breaks.account_id, breaks.last_date
    having count(*) > 1

),

doubled as (

    select distinct copies.*
    from copies
    inner join breaks using (account_id, last_date)
    inner join edges_after using (account_id, last_date)
    cross join {{ edges_of(
        'breaks.account_id', 'breaks.path_first_date', 'breaks.path_last_date'
    ) }} as edge
    where not edges_after.is_inside and edges_after.balance_before = edge.balance_before

),

final as (

    select
        breaks.account_id,
        coalesce(doubled.transaction_date, rows_before.transaction_date) as date_before,
        case when rows_before.is_possible then rows_before.balance_after end as balance_before,
        coalesce(doubled.ids[1], rows_before.transaction_id) as id_before,
        coalesce(doubled.transaction_date, rows_after.transaction_date) as date_after,
        case when doubled.ids is null then rows_after.balance_before else breaks.path_start end
            as balance_after,
        coalesce(doubled.ids[2], rows_after.transaction_id) as id_after,
        doubled.ids is not null as is_doubled
    from breaks
    inner join rows_after using (account_id, last_date)
    inner join rows_before using (account_id, last_date)
    left join doubled using (account_id, last_date)

)

select * from final
