with transactions as (

    select * from {{ ref('transactions') }}
    where account_number is not null and transaction_date is not null

),

{% if is_incremental() %}
-- Only the days that got a row since the last run are computed, each of them as a whole.
touched_days as (

    select distinct
        account_number,
        transaction_date
    from transactions
    where _staged_at > coalesce((select max(seen._staged_at) from {{ this }} as seen), '-infinity')

),

days_to_compute as (

    select transactions.*
    from touched_days
    inner join transactions using (account_number, transaction_date)

),
{% else %}
days_to_compute as (

    select * from transactions

),
{% endif %}

final as (

    select
        -- ids
        account_number,
        transaction_date,

        -- amounts
        coalesce(sum(withdrawal_amount), 0)::numeric(38, 2) as withdrawal_amount,
        coalesce(sum(deposit_amount), 0)::numeric(38, 2) as deposit_amount,
        (
            array_agg(balance_amount order by _load_id desc, _source_line desc)
        )[1]::numeric(18, 2) as closing_balance,

        -- counts
        count(*) as transaction_count,
        count(withdrawal_amount) as withdrawal_count,
        count(deposit_amount) as deposit_count,

        max(_staged_at) as _staged_at

    from days_to_compute
    group by account_number, transaction_date

)

select * from final
