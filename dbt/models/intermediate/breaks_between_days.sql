-- Each day that is whole, but does not begin at a balance that the account can have.
with breaks as (

    select
        account_number,
        transaction_date as last_date,
        _first_date as first_date,
        _balance_starts[1] as start_balance,
        case when cardinality(_balances_before) = 1 then _balances_before[1] end as balance_before
    from {{ ref('daily_account_flows') }}
    where is_break and cardinality(_balance_starts) <= 1

),

-- The row behind the break: the one at the start of the path, or the first one of a day that closes
-- on itself.
with_row_after as (

    select
        breaks.*,
        edge.transaction_id as id_after,
        edge.transaction_date as date_after,
        edge.balance_before as balance_after
    from breaks
    cross join lateral (
        select *
        from {{ ref('transaction_edges') }} as edge
        where
            edge.account_number = breaks.account_number
            and edge.transaction_date between breaks.first_date and breaks.last_date
        order by
            coalesce(edge.balance_before = breaks.start_balance, false) desc,
            edge.transaction_date,
            edge._load_id,
            edge._source_line
        limit 1
    ) as edge

),

-- The row before the break: on the last day with balances, preferably at the expected balance.
with_row_before as (

    select
        with_row_after.*,
        edge.transaction_id as id_before,
        edge.transaction_date as date_before
    from with_row_after
    cross join lateral (
        select max(days.transaction_date) as transaction_date
        from {{ ref('daily_account_flows') }} as days
        where
            days.account_number = with_row_after.account_number
            and days.transaction_date < with_row_after.first_date
            and days.balance_count > 0
    ) as day_before
    cross join lateral (
        select *
        from {{ ref('transaction_edges') }} as edge
        where
            edge.account_number = with_row_after.account_number
            and edge.transaction_date = day_before.transaction_date
        order by
            coalesce(edge.balance_after = with_row_after.balance_before, false) desc,
            edge._load_id desc,
            edge._source_line desc
        limit 1
    ) as edge

),

-- If the day before has several equal edges that lead back over the break, one of them is surplus.
final as (

    select
        with_row_before.account_number,
        with_row_before.date_before,
        with_row_before.balance_before,
        coalesce(copies.transaction_ids[1], with_row_before.id_before) as id_before,
        case
            when copies.transaction_ids is null then with_row_before.date_after
            else with_row_before.date_before
        end as date_after,
        with_row_before.balance_after,
        coalesce(copies.transaction_ids[2], with_row_before.id_after) as id_after,
        copies.transaction_ids is not null as is_doubled
    from with_row_before
    left join lateral (
        select array_agg(edge.transaction_id order by edge._load_id, edge._source_line)
            as transaction_ids
        from {{ ref('transaction_edges') }} as edge
        where
            edge.account_number = with_row_before.account_number
            and edge.transaction_date = with_row_before.date_before
            and edge.balance_before = with_row_before.balance_after
            and edge.balance_after = with_row_before.balance_before
        having count(*) > 1
    ) as copies on true

)

select * from final
