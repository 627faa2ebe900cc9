with days as (

    select * from {{ ref('daily_account_flows') }}

),

totals as (

    select
        account_id,
        source,
        account_number,
        currency,
        sum(withdrawal_amount) as withdrawal_amount,
        sum(deposit_amount) as deposit_amount,
        sum(transaction_count) as transaction_count,
        min(transaction_date) as first_transaction_date,
        max(transaction_date) as last_transaction_date

    from days
    group by account_id, source, account_number, currency

),

final as (

    select
        -- ids
        totals.account_id,
        totals.source,
        totals.account_number,
        totals.currency,

        -- amounts
        totals.withdrawal_amount::numeric(38, 2) as withdrawal_amount,
        totals.deposit_amount::numeric(38, 2) as deposit_amount,
        days.closing_balance as balance_amount,
        totals.withdrawal_amount
        > {{ large_withdrawal_threshold('totals.currency') }} as is_over_threshold,

        -- counts and dates
        totals.transaction_count::bigint as transaction_count,
        totals.first_transaction_date,
        totals.last_transaction_date

    from totals
    inner join days
        on
            totals.account_id = days.account_id
            and totals.last_transaction_date = days.transaction_date

)

select * from final
