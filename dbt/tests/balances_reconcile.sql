{{ config(
    severity = var('unreconciled_balances_severity'),
    error_if = "> count(*) filter (where kind = 'gap')"
) }}

-- The balances of an account form one path through all its transactions. Each failing row is a break
-- that nobody has accepted. A gap alone (a missing statement) only warns, because the rows that are
-- there are right.
select *
from {{ ref('balance_breaks') }}
where accepted_reason is null
