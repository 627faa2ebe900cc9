-- The successful loads of all sources.
select
    table_name as source,
    load_id as _load_id,
    source_file as _source_file,
    {{ transaction_id('table_name', 'first_row_hash') }} as _first_transaction_id,
    {{ transaction_id('table_name', 'last_row_hash') }} as _last_transaction_id
from {{ source('raw', '_loads') }}
where status = 'loaded'
