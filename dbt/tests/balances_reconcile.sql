{{ config(
    severity = var('unreconciled_balances_severity', env_var('UNRECONCILED_BALANCES', 'error')),
    error_if = "> count(*) filter (where kind = 'gap')"
) }}

-- The balances of an account form one path through all its transactions. Each failing row is a
-- break that nobody has accepted. Gaps alone (missing statements) only warn, because the loaded
-- rows are right.
select
    source,
    account_number,
    currency,
    kind,
    date_before,
    balance_before,
    source_file_before,
    source_line_before,
    date_after,
    balance_after,
    source_file_after,
    source_line_after,
    difference,
    hint
from {{ ref('balance_breaks') }}
where accepted_reason is null
