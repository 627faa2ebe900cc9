-- Each day that is whole, but does not begin at a balance that the account can have.
with flows as (

    select
        *,
        lag(transaction_date) over account as date_before,
        lag(_first_date) over account as first_date_before,
        lag(_balance_starts) over account as starts_before,
        lag(_balance_ends) over account as ends_before
    from {{ ref('daily_account_flows') }}
    where balance_count > 0 and not _is_in_block
    window account as (partition by account_number order by transaction_date)

),

breaks as (

    select
        account_number,
        transaction_date as last_date,
        _first_date as first_date,
        _balance_starts[1] as start_balance,
        _balances_before,
        date_before,
        first_date_before,
        case when cardinality(starts_before) = 1 then starts_before[1] end as start_before,
        case when cardinality(starts_before) = 1 then ends_before[1] end as end_before
    from flows
    where is_break and cardinality(_balance_starts) < 2

),

edges_after as (

    select
        breaks.last_date,
        edge.*,
        coalesce(edge.balance_before <> breaks.start_balance, false) as is_inside
    from breaks
    cross join {{ edges_of('breaks.account_number', 'breaks.first_date', 'breaks.last_date') }}
        as edge

),

edges_before as (

    select
        breaks.last_date,
        edge.*,
        edge.balance_after = any(breaks._balances_before) as is_possible,
        edge.balance_before = breaks.start_before and edge.balance_after = breaks.end_before
            as is_whole_day
    from breaks
    cross join {{ edges_of(
        'breaks.account_number', 'breaks.first_date_before', 'breaks.date_before'
    ) }} as edge

),

-- The row behind the break: the one at the start of the path, or the first one of a day that closes
-- on itself.
rows_after as (

    select distinct on (account_number, last_date)
        account_number,
        last_date,
        transaction_id,
        transaction_date,
        balance_before
    from edges_after
    order by account_number, last_date, is_inside, transaction_date, _load_id, _source_line

),

-- The row before the break: the last one at a possible balance.
rows_before as (

    select distinct on (account_number, last_date)
        account_number,
        last_date,
        transaction_id,
        transaction_date,
        case when is_possible then balance_after end as balance_after
    from edges_before
    order by
        account_number asc,
        last_date asc,
        is_possible desc,
        transaction_date desc,
        _load_id desc,
        _source_line desc

),

-- If the day before is a path because one of several equal edges is surplus, it closes on itself
-- without this edge. The day after the break then begins at one of its balances.
copies as (

    select
        account_number,
        last_date,
        array_agg(transaction_id order by _load_id, _source_line) as ids
    from edges_before
    where is_whole_day
    group by account_number, last_date
    having count(*) > 1

),

doubled as (

    select
        account_number,
        last_date,
        ids
    from copies
    where
        exists (
            select 1
            from edges_before
            inner join edges_after
                on
                    edges_before.account_number = edges_after.account_number
                    and edges_before.last_date = edges_after.last_date
                    and edges_before.balance_before = edges_after.balance_before
            where
                edges_before.account_number = copies.account_number
                and edges_before.last_date = copies.last_date
                and not edges_after.is_inside
        )

),

final as (

    select
        rows_after.account_number,
        rows_before.transaction_date as date_before,
        rows_before.balance_after as balance_before,
        coalesce(doubled.ids[1], rows_before.transaction_id) as id_before,
        case
            when doubled.ids is null then rows_after.transaction_date
            else rows_before.transaction_date
        end as date_after,
        case when doubled.ids is null then rows_after.balance_before else breaks.start_before end
            as balance_after,
        coalesce(doubled.ids[2], rows_after.transaction_id) as id_after,
        doubled.ids is not null as is_doubled
    from breaks
    inner join rows_after using (account_number, last_date)
    inner join rows_before using (account_number, last_date)
    left join doubled using (account_number, last_date)

)

select * from final
