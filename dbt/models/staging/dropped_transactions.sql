-- With `other_notation: drop`, the rows of raw that staging.transactions left out.
select
    raw_rows._row_hash as transaction_id,
    raw_rows._load_id,
    raw_rows._source_file,
    raw_rows._source_line
from {{ source('raw', 'transactions') }} as raw_rows
{% if var('other_notation') == 'drop' -%}
where
    not exists (
        select 1 from {{ ref('transactions') }} as staged
        where staged.transaction_id = raw_rows._row_hash
    )
    {% if is_incremental() -%}
    and raw_rows._load_id > (select coalesce(max(_load_id), 0) from {{ this }})
    {%- endif %}
{%- else -%}
-- depends_on: {{ ref('transactions') }}
where false
{%- endif %}
