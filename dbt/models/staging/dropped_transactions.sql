-- With `other_notation: drop`, the rows of raw that staging.transactions left out.
with raw_rows as (

    select * from {{ source('raw', 'transactions') }}
    where {{ "true" if var('other_notation') == 'drop' else "false" }}

),

staged as (

    select * from {{ ref('transactions') }}

)

select
    raw_rows._row_hash as transaction_id,
    raw_rows._load_id,
    raw_rows._source_file,
    raw_rows._source_line
from raw_rows
where
    {% if is_incremental() -%}
    raw_rows._load_id > (select coalesce(max(dropped._load_id), 0) from {{ this }} as dropped)
    and {% endif -%}
    not exists (
        select 1 from staged
        where staged.transaction_id = raw_rows._row_hash
    )
