-- Each load must have the same number of rows in raw and in staging, including the rows that
-- staging dropped on request (see dropped_transactions). The test also fails if rows were deleted
-- from raw, because such rows stay in staging until `dbt run --full-refresh`.
with raw_loads as (

    select
        _load_id,
        count(*) as raw_rows
    from {{ source('raw', 'transactions') }}
    group by _load_id

),

staged_loads as (

    select
        _load_id,
        sum(row_count) as staged_rows
    from (
        select
            _load_id,
            count(*) as row_count
        from {{ ref('transactions') }}
        group by _load_id
        union all
        select
            _load_id,
            count(*) as row_count
        from {{ ref('dropped_transactions') }}
        group by _load_id
    ) as counts
    group by _load_id

)

select
    _load_id,
    coalesce(raw_loads.raw_rows, 0) as raw_rows,
    coalesce(staged_loads.staged_rows, 0) as staged_rows
from raw_loads
full join staged_loads using (_load_id)
where raw_loads.raw_rows is distinct from staged_loads.staged_rows
