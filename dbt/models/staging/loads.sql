-- The successful loads of raw.transactions.
select
    load_id as _load_id,
    source_file as _source_file,
    first_row_hash as _first_row_hash,
    last_row_hash as _last_row_hash
from {{ source('raw', '_loads') }}
where table_name = 'transactions' and status = 'loaded'
