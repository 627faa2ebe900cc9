{#
    Collect statistics about a table that has none. Without them, the planner expects a few rows in it,
    and its plans for the walk along the balances and for the breaks can take a hundred times as long.
    Postgres itself collects statistics only minutes later.

    `pg_class.reltuples` does not show whether there are statistics, because `create index` sets it, too.
#}
{% macro analyze_new_table() -%}
{%- if execute -%}
{%- set statistics = run_query(
    "select 1 from pg_stats where schemaname = '" ~ this.schema ~ "'"
    ~ " and tablename = '" ~ this.identifier ~ "' limit 1"
) -%}
{%- if not statistics.rows %}analyze {{ this }}{% endif -%}
{%- endif -%}
{%- endmacro %}
