{{ config(severity = 'warn') }}

-- A spreadsheet that saves a file drops the zeros at the beginning of account numbers. The account
-- then appears twice, and its transactions count twice if the files overlap. Two sources may use
-- similar numbers, so only numbers of one source are compared.
with accounts as (

    select distinct
        source,
        account_number,
        ltrim(account_number, '0') as significant_digits
    from {{ ref('accounts') }}

)

select
    accounts.source,
    accounts.account_number,
    shorter.account_number as account_number_without_zeros
from accounts
inner join accounts as shorter
    on
        accounts.source = shorter.source
        and accounts.significant_digits = shorter.significant_digits
        and length(accounts.account_number) > length(shorter.account_number)
