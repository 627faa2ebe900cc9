{# The balance before a transaction, from the balance after it. Null without a balance. #}
{% macro balance_before() -%}
balance_amount - coalesce(deposit_amount, 0) + coalesce(withdrawal_amount, 0)
{%- endmacro %}

{#
    Whether a row has both a withdrawal and a deposit. Such a row is no transaction but a total. The
    null checks come first because they are cheap, and one amount is null in almost every row.
#}
{% macro is_total() -%}
(
        withdrawal_amount is not null and deposit_amount is not null
        and withdrawal_amount <> 0 and deposit_amount <> 0
    )
{%- endmacro %}

{# The days from the value date to the transaction date. A backdated transaction has more than zero. #}
{% macro days_between_dates() -%}
transaction_date - value_date
{%- endmacro %}

{# Whether the value date is before the transaction date. #}
{% macro is_backdated() -%}
{{ days_between_dates() }} > 0
{%- endmacro %}

{# Whether a row has neither a withdrawal nor a deposit. Such a row may be a note of the bank. #}
{% macro has_no_amount() -%}
(coalesce(withdrawal_amount, 0) = 0 and coalesce(deposit_amount, 0) = 0)
{%- endmacro %}

{#
    The amount by which a transaction without a balance changes the balance. Zero for a row with a
    balance and for a total.
#}
{% macro net_without_balance() -%}
case
            when balance_amount is null and not {{ is_total() }}
                then coalesce(deposit_amount, 0) - coalesce(withdrawal_amount, 0)
            else 0
        end
{%- endmacro %}

{#
    A 64-bit hash of a balance. Postgres' hash of a numeric ignores the sign, so the hash is of a
    positive number: numeric(18, 2) is above -10^16.
#}
{% macro balance_hash(balance) -%}
hash_numeric_extended({{ balance }} + 20000000000000000, 0)
{%- endmacro %}

{# The values of one array less those of another, as multisets, in ascending order. #}
{% macro array_except(minuend, subtrahend) -%}
array(
            select unnest({{ minuend }}) as balance
            except all select unnest({{ subtrahend }}) order by balance
        )
{%- endmacro %}

{#
    A lateral subquery with the edges of an account on the days from `first_date` to `last_date`, and
    the `account_id` of each.

    account_days has the days of the account, which may be months apart. With `offset 0`, the planner
    looks up each day in the index. Otherwise it may scan the whole table.
#}
{% macro edges_of(account_id, first_date, last_date) -%}
lateral (
        select
            day.account_id,
            edge.*
        from (select * from {{ ref('account_days') }}) as day
        cross join lateral (
            select edges.*
            from (select * from {{ ref('transaction_edges') }}) as edges
            where
                {{ same_account('edges', 'day') }}
                and edges.transaction_date = day.transaction_date
            offset 0
        ) as edge
        where
            day.account_id = {{ account_id }}
            and day.transaction_date between {{ first_date }} and {{ last_date }}
        offset 0
    )
{%- endmacro %}

{# A lateral subquery with the row of a transaction, looked up in the index like those of `edges_of`. #}
{% macro row_of(transaction_id, model='transactions') -%}
lateral (
        select * from {{ ref(model) }}
        where transaction_id = {{ transaction_id }}
        offset 0
    )
{%- endmacro %}
