with days as (

    select * from {{ ref('daily_account_flows') }}

),

final as (

    select
        source,
        account_number,
        currency,
        transaction_date,
        withdrawal_amount,
        withdrawal_count,
        ({{ large_withdrawal_threshold('currency') }})::numeric(38, 2) as large_withdrawal_threshold

    from days
    where withdrawal_count > 0

)

select * from final
