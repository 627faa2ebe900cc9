{#
    The history of data tests: audit.test_results, one row per test of each invocation. (dbt's
    stored failures are those of the last run only.) Unit tests are not in it: they say something
    about the code, not about the data.
#}
{% macro create_test_results() %}
{%- if execute %}
-- Two invocations that begin together take turns: `if not exists` alone can still collide.
select pg_advisory_xact_lock(hashtext('audit.test_results'));
create table if not exists audit.test_results (
    invocation_id uuid not null,
    test_name text not null,
    tested_models text not null,
    severity text not null,
    status text not null,
    failures bigint,
    failing_rows text,
    message text,
    duration_seconds double precision not null,
    executed_at timestamptz not null,
    primary key (invocation_id, test_name)
);
comment on table audit.test_results is
'One row per data test of each dbt invocation; failing_rows names the table of its failing rows.';
{%- endif %}
{% endmacro %}

{% macro insert_test_results(results) %}
{%- set rows = [] -%}
{%- for result in results if result.node.resource_type == 'test' -%}
    {%- do rows.append(test_result_row(result)) -%}
{%- endfor -%}
{%- if rows %}
insert into audit.test_results (
    invocation_id, test_name, tested_models, severity, status, failures, failing_rows, message,
    duration_seconds, executed_at
)
values
{{ rows | join(',\n') }}
{%- endif %}
{% endmacro %}

{% macro test_result_row(result) -%}
{%- set node = result.node -%}
{%- set tested = [] -%}
{%- for unique_id in node.depends_on.nodes -%}
    {%- do tested.append(unique_id.split('.')[2:] | join('.')) -%}
{%- endfor -%}
{%- set failing_rows = node.schema ~ '.' ~ node.alias if result.failures else none -%}
(
    '{{ invocation_id }}',
    {{ text_literal(node.name) }},
    {{ text_literal(tested | join(', ')) }},
    {{ text_literal(node.config.severity | lower) }},
    {{ text_literal(result.status) }},
    {{ result.failures if result.failures is not none else 'null' }},
    {{ text_literal(failing_rows) }},
    {{ text_literal(result.message) }},
    {{ result.execution_time }},
    now()
)
{%- endmacro %}

{% macro text_literal(text) -%}
{{ 'null' if text is none else dbt.string_literal(dbt.escape_single_quotes(text | string)) }}
{%- endmacro %}
