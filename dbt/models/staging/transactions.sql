{{ config(post_hook=["{{ partial_indexes() }}", "{{ analyze_new_table() }}"]) }}

{#
    `staged_at` is the time at which this run stages its rows.

    Downstream models read the rows with a newer `_staged_at` than all rows that they have read. The
    `_staged_at` of new rows must therefore exceed that of all existing rows, even if the system
    clock was set back or another run has just committed. now() would be too early: it is the start
    of the database transaction, which may then wait for the advisory lock of another run (see
    dbt_project.yml).
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

with source as (

    select * from {{ source('raw', 'transactions') }}
    {% if is_incremental() %}
    where _load_id > {{ newest_staged_load('transactions') }}
    {% endif %}

),

usual_dates as (

    {{ usual_dates() }}

),

trimmed as (

    select
        source._row_hash,
        source._load_id,
        source._source_line,
        source.date,
        source.value_date,
        usual_dates.date as usual_transaction_date,
        source.transaction_details,
        source.chq_no,
        {{ trim_blanks('source.account_no', others='\'\'"') }} as account_number_text,
        nullif({{ trim_blanks('source.withdrawal_amt') }}, '') as withdrawal_amount_text,
        nullif({{ trim_blanks('source.deposit_amt') }}, '') as deposit_amount_text,
        nullif({{ trim_blanks('source.balance_amt') }}, '') as balance_amount_text
    from source
    left join usual_dates on source.date = usual_dates.text
    -- Optimisation fence: without `offset`, the planner would inline this CTE and evaluate each
    -- expression again at each use. The literal is a bigint, because Postgres adds a cast to an
    -- integer, and the cast would prevent a parallel plan.
    offset bigint '0'

),

with_digits as (

    select
        *,
        {{ amount_digits('withdrawal_amount') }} as withdrawal_amount_digits,
        {{ amount_digits('deposit_amount') }} as deposit_amount_digits,
        {{ amount_digits('balance_amount') }} as balance_amount_digits
    from trimmed
    -- optimisation fence, as above
    offset bigint '0'

),

with_numbers as (

    select
        *,
        coalesce(usual_transaction_date, {{ parse_date(trim_blanks('date')) }}) as transaction_date,
        {{ amount_number('withdrawal_amount') }} as withdrawal_amount_number,
        {{ amount_number('deposit_amount') }} as deposit_amount_number,
        {{ amount_number('balance_amount') }} as balance_amount_number
    from with_digits
    -- optimisation fence, as above
    offset bigint '0'

),

parsed as (

    select
        *,
        {{ parse_account_number('account_number_text') }} as account_number,
        -- In most rows, both dates have the same text.
        case
            when value_date = date then transaction_date
            else {{ parse_date(trim_blanks('value_date')) }}
        end as parsed_value_date,
        {{ parse_amount('withdrawal_amount', side='withdrawal') }} as withdrawal_amount,
        {{ parse_amount('deposit_amount', side='deposit') }} as deposit_amount,
        {{ parse_amount('balance_amount', side='balance') }} as balance_amount
    from with_numbers
    -- optimisation fence, as above
    offset bigint '0'

),

known as (

    select
        -- id and dates; before the texts, dates need no padding
        _row_hash as transaction_id,
        transaction_date,
        parsed_value_date as value_date,

        -- texts
        'transactions'::text as source,
        account_number,
        '{{ var("currency") }}'::text as currency,
        nullif({{ trim_blanks('transaction_details') }}, '') as transaction_details,
        nullif({{ trim_blanks('chq_no') }}, '') as cheque_number,

        -- amounts
        withdrawal_amount,
        deposit_amount,
        balance_amount,

        -- unparsed values and origin
        {{ unparsed_values({
            'account_number': ('account_number', 'account_number_text'),
            'transaction_date': ('transaction_date', trim_blanks('date')),
            'value_date': ('parsed_value_date', trim_blanks('value_date')),
            'withdrawal_amount': ('withdrawal_amount', 'withdrawal_amount_text'),
            'deposit_amount': ('deposit_amount', 'deposit_amount_text'),
            'balance_amount': ('balance_amount', 'balance_amount_text'),
        }, dashes=['withdrawal_amount', 'deposit_amount']) }} as _unparsed,
        _load_id,
        _source_line

    from parsed

),

-- The rows of the known source, and of the views of the declared sources.
new_rows as (

    select * from known
    {% for name in var('sources') %}
    union all
    select
        transaction_id,
        transaction_date,
        value_date,
        source,
        account_number,
        currency,
        transaction_details,
        cheque_number,
        withdrawal_amount,
        deposit_amount,
        balance_amount,
        _unparsed,
        _load_id,
        _source_line
    from {{ ref('stg_' ~ name) }}
    {% if is_incremental() -%}
    where _load_id > {{ newest_staged_load(name) }}
    {%- endif %}
    {% endfor %}

),

renamed as (

    select
        *,
        {% if is_incremental() %}
        -- An incremental run stages few rows, so one index lookup per row is cheap.
        (
            select coalesce(staged._first_staged_at, staged._staged_at)
            from {{ this }} as staged
            where staged.transaction_id = new_rows.transaction_id
        ) as _first_staged_at,
        {% else %}
        null::timestamptz as _first_staged_at, -- takes no space in the row
        {% endif %}
        {{ staged_at }} as _staged_at

    from new_rows

),

{% if var('other_notation') == 'drop' -%}

-- The new rows, and the staged rows of the same days. The load number 0 keeps staged rows together:
-- of each transaction they have as many rows as the load with the most.
comparable as (

    select
        *,
        _load_id as compared_load_id
    from renamed
    {% if is_incremental() %}
    union all
    select
        staged.*,
        0 as compared_load_id
    from {{ this }} as staged
    where
        (staged.account_number, staged.transaction_date)
        in (select
            new_rows.account_number,
            new_rows.transaction_date
        from renamed as new_rows)
        and staged.transaction_id not in (select new_rows.transaction_id from renamed as new_rows)
    {% endif %}

),

repeated as (

    {{ rows_in_other_notation('comparable', 'compared_load_id') }}

),

final as (

    select * from renamed
    where transaction_id not in (select repeated.transaction_id from repeated)

)
{%- else -%}
final as (

    select * from renamed

)
{%- endif %}

select * from final
