-- Report each transaction with a value that could not be parsed, together with the original text
-- and, if the text shows it, the reason and the remedy.
select
    transaction_id,
    account_number,
    _unparsed,
    (
        select string_agg(distinct {{ unparsed_hint('unparsed.key', 'unparsed.value') }}, '; ')
        from jsonb_each_text(staged._unparsed) as unparsed
    ) as hint,
    _source_file,
    _source_line
from {{ ref('transactions') }} as staged
where _unparsed is not null
