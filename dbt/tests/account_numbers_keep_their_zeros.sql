{{ config(severity = 'warn') }}

-- A spreadsheet that saves a file drops the zeros at the beginning of account numbers. The account
-- then appears twice, and its transactions count twice if the files overlap.
with accounts as (

    select
        account_number,
        ltrim(account_number, '0') as significant_digits
    from {{ ref('accounts') }}

)

select
    accounts.account_number,
    shorter.account_number as account_number_without_zeros
from accounts
inner join accounts as shorter
    on
        accounts.significant_digits = shorter.significant_digits
        and length(accounts.account_number) > length(shorter.account_number)
