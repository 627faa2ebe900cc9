-- A currency is a code of three capital letters, as in ISO 4217. Amounts are grouped by it, and the
-- alert finds its threshold by it. `eur` or `Euro` would be a currency beside EUR.
select
    source,
    account_number,
    currency,
    transaction_count,
    first_transaction_date
from {{ ref('accounts') }}
where currency !~ '^[A-Z]{3}$'
