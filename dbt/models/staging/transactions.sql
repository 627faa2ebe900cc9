with source as (

    select * from {{ source('raw', 'transactions') }}
    {% if is_incremental() %}
    where _load_id > {{ newest_staged_load() }}
    {% endif %}

),

trimmed as (

    select
        -- text
        trim(account_no, ' ''') as account_number,
        trim(transaction_details) as transaction_details,
        trim(chq_no) as cheque_number,

        -- dates
        trim(date) as date_text,
        trim(value_date) as value_date_text,
        -- Mostly the two are the same, and one of them is parsed.
        nullif(trim(value_date), trim(date)) as other_date_text,

        -- amounts
        trim(withdrawal_amt) as withdrawal_text,
        trim(deposit_amt) as deposit_text,
        trim(balance_amt) as balance_text,

        -- where it came from
        _row_hash,
        _load_id,
        _source_file,
        _source_line,
        _loaded_at

    from source
    -- A fence: without it the planner would compute each expression at each of its uses.
    offset 0

),

parsed as (

    select
        *,
        {{ parse_date('date_text') }} as transaction_date,
        {{ parse_date('other_date_text') }} as other_date,
        {{ parse_amount('withdrawal_text') }} as withdrawal_amount,
        {{ parse_amount('deposit_text') }} as deposit_amount,
        {{ parse_amount('balance_text') }} as balance_amount

    from trimmed
    offset 0 -- as above

),

dated as (

    select
        *,
        case when value_date_text = date_text then transaction_date else other_date end
            as value_date

    from parsed

),

renamed as (

    select
        -- ids
        _row_hash as transaction_id,
        nullif(account_number, '') as account_number,

        -- dates and text
        transaction_date,
        nullif(transaction_details, '') as transaction_details,
        nullif(cheque_number, '') as cheque_number,
        value_date,

        -- amounts
        withdrawal_amount,
        deposit_amount,
        balance_amount,

        -- where it came from
        {{ unparsed_values({
            'transaction_date': 'date_text',
            'value_date': 'value_date_text',
            'withdrawal_amount': 'withdrawal_text',
            'deposit_amount': 'deposit_text',
            'balance_amount': 'balance_text',
        }) }} as _unparsed,
        _load_id,
        _source_file,
        _source_line,
        _loaded_at,
        now() as _staged_at

    from dated

)

select * from renamed
