-- Incremental runs update single days of daily_account_flows. The totals of this model must still
-- equal the totals of all transactions.
with staged as (

    select
        {{ account_id() }} as account_id,
        source,
        account_number,
        currency,
        count(*) as transaction_count,
        coalesce(sum(withdrawal_amount), 0) as withdrawals,
        coalesce(sum(deposit_amount), 0) as deposits
    from {{ ref('transactions') }}
    where
        account_number is not null
        and transaction_date is not null
        -- totals, which ensure_withdrawal_or_deposit reports
        and not {{ is_total() }}
    group by source, account_number, currency

),

summed as (

    select
        account_id,
        source,
        account_number,
        currency,
        sum(transaction_count) as transaction_count,
        sum(withdrawal_amount) as withdrawals,
        sum(deposit_amount) as deposits
    from {{ ref('daily_account_flows') }}
    group by account_id, source, account_number, currency
    having sum(transaction_count) > 0

)

select
    coalesce(staged.source, summed.source) as source,
    coalesce(staged.account_number, summed.account_number) as account_number,
    coalesce(staged.currency, summed.currency) as currency,
    staged.transaction_count as staged_transactions,
    summed.transaction_count as summed_transactions,
    staged.withdrawals as staged_withdrawals,
    summed.withdrawals as summed_withdrawals,
    staged.deposits as staged_deposits,
    summed.deposits as summed_deposits
from staged
full join summed using (account_id)
where
    (staged.transaction_count, staged.withdrawals, staged.deposits)
    is distinct from (summed.transaction_count, summed.withdrawals, summed.deposits)
