-- The loads of raw.transactions, for the file of a transaction.
select
    load_id as _load_id,
    source_file as _source_file
from {{ source('raw', '_loads') }}
where table_name = 'transactions' and status = 'loaded'
