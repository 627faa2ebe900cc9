-- A value that has text but could not be parsed is null in staging, and stands here as it was.
select
    transaction_id,
    account_number,
    _unparsed,
    _source_file,
    _source_line
from {{ ref('transactions') }}
where _unparsed is not null
