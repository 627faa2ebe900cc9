with days as (

    select
        *,
        sum(deposit_amount - withdrawal_amount) over (
            partition by account_id order by transaction_date
        ) as net_so_far
    from {{ ref('daily_account_flows') }}

),

breaks as (

    select
        account_id,
        count(*) filter (where accepted_reason is null) as break_count,
        count(*) filter (where accepted_reason is null and kind <> 'gap') as error_count,
        count(accepted_reason) as accepted_break_count,
        min(date_after) as first_break_date
    from {{ ref('balance_breaks') }}
    group by account_id

),

accounts as (

    select
        days.account_id,
        days.source,
        days.account_number,
        days.currency,
        min(days.transaction_date) as first_transaction_date,
        max(days.transaction_date) as last_transaction_date,
        -- The first known balance less all amounts before it, which need no order within a day.
        coalesce(
            (array_agg(days.opening_balance order by days.transaction_date))[1],
            (
                array_agg(
                    days.closing_balance - days.net_so_far order by days.transaction_date
                ) filter (
                    where
                    days.closing_balance is not null
                    and days.transaction_date < coalesce(breaks.first_break_date, 'infinity')
                )
            )[1]
        ) as opening_balance,
        sum(days.deposit_amount) as deposit_amount,
        sum(days.withdrawal_amount) as withdrawal_amount,
        (array_agg(days.closing_balance order by days.transaction_date desc))[1] as closing_balance,
        sum(days.transaction_count)::bigint as transaction_count,
        sum(days.balance_count) as balance_count
    from days
    left join breaks using (account_id)
    group by days.account_id, days.source, days.account_number, days.currency

),

final as (

    select
        -- ids
        accounts.account_id,
        accounts.source,
        accounts.account_number,
        accounts.currency,

        -- period
        accounts.first_transaction_date,
        accounts.last_transaction_date,

        -- amounts
        accounts.opening_balance::numeric(18, 2) as opening_balance,
        accounts.deposit_amount::numeric(38, 2) as deposit_amount,
        accounts.withdrawal_amount::numeric(38, 2) as withdrawal_amount,
        accounts.closing_balance,

        -- counts
        accounts.transaction_count,
        coalesce(breaks.break_count, 0) as break_count,
        coalesce(breaks.accepted_break_count, 0) as accepted_break_count,

        -- outcome
        case
            when accounts.balance_count = 0 then 'no balances'
            when breaks.error_count > 0 then 'broken'
            when breaks.break_count > 0 then 'incomplete'
            else 'reconciled'
        end as state

    from accounts
    left join breaks using (account_id)

)

select * from final
