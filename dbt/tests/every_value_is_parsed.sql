-- Report each transaction with a value that could not be parsed, together with the original text.
select
    transaction_id,
    account_number,
    _unparsed,
    _source_file,
    _source_line
from {{ ref('transactions') }}
where _unparsed is not null
