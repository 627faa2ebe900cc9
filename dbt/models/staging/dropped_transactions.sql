{{ config(post_hook="{{ analyze_new_table() }}") }}

-- With `other_notation: drop`, the rows of raw that staging.transactions left out.
with raw_rows as (

    select * from {{ source('raw', 'transactions') }}
    where {{ "true" if var('other_notation') == 'drop' else "false" }}

),

staged as (

    select * from {{ ref('transactions') }}

),

loads as (

    select * from {{ ref('loads') }}

)

select
    raw_rows._row_hash as transaction_id,
    raw_rows._load_id,
    loads._source_file,
    raw_rows._source_line
from raw_rows
left join loads on raw_rows._load_id = loads._load_id
where
    {% if is_incremental() -%}
    raw_rows._load_id > (select coalesce(max(dropped._load_id), 0) from {{ this }} as dropped)
    and {% endif -%}
    not exists (
        select 1 from staged
        where staged.transaction_id = raw_rows._row_hash
    )
