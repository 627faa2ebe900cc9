{#
    Store the outcome of `dbt source freshness` in audit.source_freshness, one row per source. The row
    has only the newest check, because the time of the last load is also in raw._loads.

    Other commands have no results of sources, and the macro then returns nothing.
#}
{% macro insert_source_freshness(results) %}
{%- set rows = [] -%}
{%- for result in results if result.node.resource_type == 'source' -%}
    {%- do rows.append(source_freshness_row(result)) -%}
{%- endfor -%}
{%- if rows %}
select pg_advisory_xact_lock(hashtext('{{ source('audit', 'source_freshness') }}'));
create table if not exists {{ source('audit', 'source_freshness') }} (
    source_name text primary key,
    status text not null,
    last_load_at timestamptz,
    warn_after interval,
    error_after interval,
    message text,
    checked_at timestamptz not null
);
comment on table {{ source('audit', 'source_freshness') }} is
'One row per source with a freshness: the newest outcome of `dbt source freshness`.';
insert into {{ source('audit', 'source_freshness') }} (
    source_name, status, last_load_at, warn_after, error_after, message, checked_at
)
values
{{ rows | join(',\n') }}
on conflict (source_name) do update set
    status = excluded.status,
    last_load_at = excluded.last_load_at,
    warn_after = excluded.warn_after,
    error_after = excluded.error_after,
    message = excluded.message,
    checked_at = excluded.checked_at;
{%- endif %}
{% endmacro %}

{# Return the values of one row, from a dbt result. For a source without a load, dbt tells the year 1. #}
{% macro source_freshness_row(result) -%}
{%- set loaded_at = result.max_loaded_at if result.max_loaded_at and result.max_loaded_at.year > 1 -%}
(
    {{ text_literal(result.node.name) }},
    {{ text_literal(result.status) }},
    {{ text_literal(loaded_at.isoformat() if loaded_at else none) }}::timestamptz,
    {{ interval_literal(result.node.freshness.warn_after) }},
    {{ interval_literal(result.node.freshness.error_after) }},
    {{ text_literal(result.message) }},
    now()
)
{%- endmacro %}

{# Return a limit of a freshness as an SQL interval, or null. #}
{% macro interval_literal(limit) -%}
{%- set is_set = limit and limit.count -%}
{{ text_literal(limit.count ~ ' ' ~ (limit.period.value or limit.period) if is_set else none) }}::interval
{%- endmacro %}
