-- Each transaction with a balance, as an edge from the balance before it to the balance after it.
select
    transaction_id,
    source,
    account_number,
    currency,
    transaction_date,
    {{ balance_before() }} as balance_before,
    balance_amount as balance_after,
    _load_id,
    _source_line
from {{ ref('transactions') }}
where balance_amount is not null
