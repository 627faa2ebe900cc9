{#
    The expressions that two rows share if they mean the same transaction, whatever notation the bank
    used: account (with its source and currency), dates, amounts, balance, and the details without case and blanks.
#}
{% macro meaning() -%}
source,
            account_number,
            currency,
            transaction_date,
            value_date,
            coalesce(withdrawal_amount, 0),
            coalesce(deposit_amount, 0),
            balance_amount,
            lower(regexp_replace(transaction_details, '\s', '', 'g'))
{%- endmacro %}

{#
    Return a query for the rows that repeat a transaction of an earlier load in another notation, each
    with the row that it repeats.

    A load lists a transaction as often as it happened. The n-th row of a load with the same meaning
    therefore repeats the n-th such row of an earlier load. Rows without a balance are never paired,
    because equal transactions, such as two fares, are then indistinguishable from repeated ones.

    Most rows have a balance that no other load has for the same account and day. The query drops these
    rows first, because comparing meanings is expensive.

    Args:
        rows: name of a relation with the columns of staging.transactions.
        load_id: expression for the number of a row's load.
#}
{% macro rows_in_other_notation(rows, load_id='_load_id') -%}
select
        transaction_id,
        first_transaction_id
    from (
        select
            transaction_id,
            counted_load_id,
            first_value(transaction_id) over occurrence as first_transaction_id,
            first_value(counted_load_id) over occurrence as first_load_id
        from (
            select
                *,
                {{ load_id }} as counted_load_id,
                row_number() over (
                    partition by {{ meaning() }}, {{ load_id }} order by _load_id, _source_line
                ) as number
            from (
                select
                    *,
                    min({{ load_id }}) over same_balance
                    <> max({{ load_id }}) over same_balance as is_in_several_loads
                from {{ rows }}
                where balance_amount is not null
                window same_balance as (
                    partition by account_number, transaction_date, balance_amount
                )
            ) as rows_with_balance
            where is_in_several_loads
        ) as numbered_rows
        window occurrence as (partition by {{ meaning() }}, number order by counted_load_id)
    ) as compared_rows
    where counted_load_id > first_load_id
{%- endmacro %}
