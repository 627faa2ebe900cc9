{{ config(post_hook="{{ analyze_new_table() }}") }}

-- With `other_notation: drop`, the rows of raw that staging.transactions left out.
with raw_rows as (

    select * from ({{ raw_rows() }}) as rows_of_sources
    where {{ "true" if var('other_notation') == 'drop' else "false" }}

),

staged as (

    select * from {{ ref('transactions') }}

),

loads as (

    select * from {{ ref('loads') }}

){% if is_incremental() %},

newest as (

    select
        source,
        max(_load_id) as _load_id
    from {{ this }}
    group by source

)
{%- endif %}

select
    raw_rows.transaction_id,
    raw_rows.source,
    raw_rows._load_id,
    loads._source_file,
    raw_rows._source_line
from raw_rows
left join loads on raw_rows.source = loads.source and raw_rows._load_id = loads._load_id
{% if is_incremental() -%}
left join newest on raw_rows.source = newest.source
{% endif -%}
where
    {% if is_incremental() -%}
    raw_rows._load_id > coalesce(newest._load_id, 0)
    and {% endif -%}
    not exists (
        select 1 from staged
        where staged.transaction_id = raw_rows.transaction_id
    )
