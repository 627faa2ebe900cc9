-- Each surplus copy of a transaction, with the first copy.
select
    days.account_number,
    days.transaction_date as date_before,
    copy.balance_after as balance_before,
    original.transaction_id as id_before,
    days.transaction_date as date_after,
    copy.balance_before as balance_after,
    copy.transaction_id as id_after
from {{ ref('daily_account_flows') }} as days
cross join lateral unnest(days._surplus_ids) as surplus (transaction_id)
inner join {{ ref('transaction_edges') }} as copy using (transaction_id)
cross join lateral (
    select edge.transaction_id
    from {{ ref('transaction_edges') }} as edge
    where
        edge.account_number = days.account_number
        and edge.transaction_date = days.transaction_date
        and edge.balance_before = copy.balance_before
        and edge.balance_after = copy.balance_after
        and edge.transaction_id <> all(days._surplus_ids)
    order by edge._load_id, edge._source_line
    limit 1
) as original
