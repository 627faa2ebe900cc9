-- Each load of each source must have the same number of rows in raw and in staging, including the
-- rows that staging dropped on request (see dropped_transactions). The test also fails if rows were
-- deleted from raw, because such rows stay in staging until `dbt run --full-refresh`.
with raw_loads as (

    select
        source,
        _load_id,
        count(*) as raw_rows
    from ({{ raw_rows() }}) as rows_of_sources
    group by source, _load_id

),

staged_loads as (

    select
        source,
        _load_id,
        sum(row_count) as staged_rows
    from (
        select
            source,
            _load_id,
            count(*) as row_count
        from {{ ref('transactions') }}
        group by source, _load_id
        union all
        select
            source,
            _load_id,
            count(*) as row_count
        from {{ ref('dropped_transactions') }}
        group by source, _load_id
    ) as counts
    group by source, _load_id

)

select
    source,
    _load_id,
    coalesce(raw_loads.raw_rows, 0) as raw_rows,
    coalesce(staged_loads.staged_rows, 0) as staged_rows
from raw_loads
full join staged_loads using (source, _load_id)
where raw_loads.raw_rows is distinct from staged_loads.staged_rows
