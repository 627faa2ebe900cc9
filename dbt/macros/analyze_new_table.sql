{#
    Collect statistics about a table that has none. Without them, the planner expects a few rows in it,
    and its plans for the walk along the balances and for the breaks can take a hundred times as long.
    Postgres itself collects statistics only minutes later.
#}
{% macro analyze_new_table() -%}
{%- if execute -%}
{%- set relation = run_query(
    "select 1 from pg_class where oid = '" ~ this ~ "'::regclass and reltuples <= 0"
) -%}
{%- if relation.rows %}analyze {{ this }}{% endif -%}
{%- endif -%}
{%- endmacro %}
