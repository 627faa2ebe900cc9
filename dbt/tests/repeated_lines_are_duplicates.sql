{{ config(severity = 'warn') }}

-- The loader drops a line that equals an earlier line of the same file. Such a line can be a
-- transaction of its own: 100 in, 100 out, 100 in. If the balances need the line, balance_breaks
-- reports it. On the first and the last day of an account, the balances fit with and without it.
with duplicates as (

    select
        {{ transaction_id('table_name', 'row_hash') }} as transaction_id,
        source_line
    from {{ source('raw', '_duplicates') }}

),

-- Days that close on themselves. The next CTE keeps the first and last ones of each account.
days as (

    select
        account_id,
        source,
        account_number,
        currency,
        transaction_date,
        _balances_before
    from {{ ref('daily_account_flows') }}
    where cardinality(_balance_starts) = 0 and not _is_in_block

),

open_days as (

    select days.*
    from days
    inner join {{ ref('reconciliation') }} as accounts using (account_id)
    where
        days._balances_before is null
        or days.transaction_date = accounts.last_transaction_date

)

select
    edges.source,
    edges.account_number,
    edges.currency,
    edges.transaction_date,
    edges.balance_before,
    edges.balance_after,
    loads._source_file,
    duplicates.source_line,
    edges._source_line as equal_line
from duplicates
inner join {{ ref('transaction_edges') }} as edges
    on duplicates.transaction_id = edges.transaction_id
inner join open_days
    on
        edges.transaction_date = open_days.transaction_date
        and {{ same_account('edges', 'open_days') }}
left join {{ ref('loads') }} as loads
    on edges.source = loads.source and edges._load_id = loads._load_id
