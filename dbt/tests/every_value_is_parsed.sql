-- Report each transaction with a value that could not be parsed, together with the original text
-- and, if the text shows it, the reason and the remedy.
with transactions as (

    {{ transactions_with_file() }}

)

select
    transaction_id,
    source,
    account_number,
    _unparsed,
    case
        when source <> 'transactions'
            then
                'the text does not have the form that the source declares: change its field in'
                ' data_ingestion/sources and the view stg_' || source
        else (
            select string_agg(distinct {{ unparsed_hint('unparsed.key', 'unparsed.value') }}, '; ')
            from jsonb_each_text(transactions._unparsed) as unparsed
        )
    end as hint,
    _source_file,
    _source_line
from transactions
where _unparsed is not null
