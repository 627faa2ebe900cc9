-- Report each transaction with a value that could not be parsed, together with the original text
-- and, if the text shows it, the reason and the remedy.
with transactions as (

    {{ transactions_with_file() }}

)

select
    transaction_id,
    account_number,
    _unparsed,
    (
        select string_agg(distinct {{ unparsed_hint('unparsed.key', 'unparsed.value') }}, '; ')
        from jsonb_each_text(transactions._unparsed) as unparsed
    ) as hint,
    _source_file,
    _source_line
from transactions
where _unparsed is not null
