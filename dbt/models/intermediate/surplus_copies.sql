-- Each surplus copy of a transaction, with the first copy.
with flows as (

    select * from {{ ref('daily_account_flows') }}

),

surplus as (

    select
        flows.account_id,
        surplus_copy.*,
        flows._surplus_ids
    from flows
    cross join lateral unnest(flows._surplus_ids) as surplus_id
    cross join {{ row_of('surplus_id', 'transaction_edges') }} as surplus_copy

),

pairs as (

    select distinct on (surplus.transaction_id)
        surplus.account_id,
        surplus.transaction_date as date_before,
        surplus.balance_after as balance_before,
        original.transaction_id as id_before,
        surplus.transaction_date as date_after,
        surplus.balance_before as balance_after,
        surplus.transaction_id as id_after
    from surplus
    cross join {{ edges_of(
        'surplus.account_id', 'surplus.transaction_date', 'surplus.transaction_date'
    ) }} as original
    where
        surplus.balance_before = original.balance_before
        and surplus.balance_after = original.balance_after
        and original.transaction_id <> all(surplus._surplus_ids)
    order by surplus.transaction_id, original._load_id, original._source_line

)

select * from pairs
