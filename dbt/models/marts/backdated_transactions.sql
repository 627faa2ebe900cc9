with transactions as (

    select * from {{ ref('account_transactions') }}

),

final as (

    select
        transaction_id,
        source,
        account_number,
        transaction_date,
        value_date,
        days_backdated,
        transaction_details,
        direction,
        amount,
        currency,
        _source_file,
        _source_line

    from transactions
    where {{ is_backdated() }}

)

select * from final
