with days as (

    select * from {{ ref('daily_account_flows') }}

),

final as (

    select
        account_number,
        transaction_date,
        withdrawal_amount,
        withdrawal_count,
        {{ var('large_withdrawal_threshold') }}::numeric(38, 2) as large_withdrawal_threshold

    from days
    where withdrawal_count > 0

)

select * from final
