{#
    Later than all that is here, also when the clock was set back or another run has just ended:
    what is built on top reads what is later than it saw. (now() is when the transaction began,
    which may be before it got the lock of dbt_project.yml.)
#}
{% set staged_at -%}
{% if is_incremental() -%}
greatest(
            statement_timestamp(),
            (select max(_staged_at) + interval '1 microsecond' from {{ this }})
        )
{%- else -%}
statement_timestamp()
{%- endif %}
{%- endset -%}

{# No bank has longer ones, and what is built on top has an index whose entries have a bound. #}
{% set account_number -%}
case when octet_length(account_number_text) <= 100 then nullif(account_number_text, '') end
{%- endset -%}

{# Mostly the two dates are the same text, and one of them is parsed. #}
{% set value_date -%}
case when value_date_text = transaction_date_text then transaction_date else other_date end
{%- endset -%}

with source as (

    select * from {{ source('raw', 'transactions') }}
    {% if is_incremental() %}
    where _load_id > {{ newest_staged_load() }}
    {% endif %}

),

trimmed as (

    select
        *,
        trim(account_no, ' ''') as account_number_text,
        trim(date) as transaction_date_text,
        trim(value_date) as value_date_text,
        case when value_date <> date then trim(value_date) end as other_date_text,
        trim(withdrawal_amt) as withdrawal_amount_text,
        trim(deposit_amt) as deposit_amount_text,
        trim(balance_amt) as balance_amount_text
    from source
    -- A fence: else the planner computes each expression again at each of its uses. (A plain 0 is
    -- cast to bigint by the server, which keeps it from seeing that the plan can be parallel.)
    offset bigint '0'

),

parsed as (

    select
        *,
        {{ parse_date('transaction_date_text') }} as transaction_date,
        {{ parse_date('other_date_text') }} as other_date,
        {{ parse_amount('withdrawal_amount_text') }} as withdrawal_amount,
        {{ parse_amount('deposit_amount_text') }} as deposit_amount,
        {{ parse_amount('balance_amount_text') }} as balance_amount
    from trimmed
    offset bigint '0'

),

renamed as (

    select
        -- ids
        _row_hash as transaction_id,
        {{ account_number }} as account_number,

        -- dates and text
        transaction_date,
        nullif(trim(transaction_details), '') as transaction_details,
        nullif(trim(chq_no), '') as cheque_number,
        {{ value_date }} as value_date,

        -- amounts
        withdrawal_amount,
        deposit_amount,
        balance_amount,

        -- what was not understood, and where the row came from
        {{ unparsed_values({
            'account_number': account_number,
            'transaction_date': 'transaction_date',
            'value_date': value_date,
            'withdrawal_amount': 'withdrawal_amount',
            'deposit_amount': 'deposit_amount',
            'balance_amount': 'balance_amount',
        }) }} as _unparsed,
        _load_id,
        _source_file,
        _source_line,
        _loaded_at,
        {% if is_incremental() %}
        -- one look-up in the unique index a row, which is new and a few
        coalesce(
            (
                select known._first_staged_at
                from {{ this }} as known
                where known.transaction_id = parsed._row_hash
            ),
            {{ staged_at }}
        ) as _first_staged_at,
        {% else %}
        {{ staged_at }} as _first_staged_at,
        {% endif %}
        {{ staged_at }} as _staged_at

    from parsed

)

select * from renamed
