{#
    The key of an account: its source, number and currency. Two banks may use one number, and one
    number may have a balance in each of several currencies.

    In the JSON array, a missing currency differs from every text, so the rows of a number without a
    currency form an account of their own.
    Hashing takes longer than grouping, so a query should group rows by the three columns first.
#}
{% macro account_id(source='source', account_number='account_number', currency='currency') -%}
md5(json_build_array({{ source }}, {{ account_number }}, {{ currency }})::text)::uuid
{%- endmacro %}

{#
    Whether two relations have the same account, by its three columns. Unlike a comparison of
    `account_id`, this one can use an index of account numbers.
#}
{% macro same_account(one, other) -%}
{{ one }}.account_number = {{ other }}.account_number
and {{ one }}.source = {{ other }}.source
and {{ one }}.currency is not distinct from {{ other }}.currency
{%- endmacro %}
