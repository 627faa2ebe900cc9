{#
    The rows of the seed accepted_balance_breaks, or an empty relation before the first `dbt seed`.
    `dbt run` therefore works without the seed.

    The columns `source` and `currency` are optional in the CSV file. They are null if it lacks them.
#}
{% macro accepted_balance_breaks() -%}
{%- set seed = load_relation(ref('accepted_balance_breaks')) if execute -%}
{%- set existing = adapter.get_columns_in_relation(seed) | map(attribute='name') | list if seed else [] -%}
{%- set columns = {
    'source': 'text',
    'account_number': 'text',
    'currency': 'text',
    'transaction_date': 'date',
    'difference': 'numeric',
    'reason': 'text',
} -%}
(
        select
        {%- for name, type in columns.items() %}
            {{ name if name in existing else 'null::' ~ type }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
        {{ 'from ' ~ seed if seed else 'where false' }}
    )
{%- endmacro %}
