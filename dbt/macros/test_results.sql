{#
    Append the result of each data test to audit.test_results, one row per test and invocation.
    The failing rows that dbt stores cover only the last run. The macros leave out unit tests, which
    test the code and not the data.
#}

{# Return the name of the table, with its schema. #}
{% macro test_results_table() -%}
{{ generate_schema_name('audit', none) }}.test_results
{%- endmacro %}

{# Create audit.test_results if it does not exist. #}
{% macro create_test_results() %}
{%- if execute %}
-- Serialise invocations that start together: concurrent `create table if not exists` can fail.
select pg_advisory_xact_lock(hashtext('{{ test_results_table() }}'));
create table if not exists {{ test_results_table() }} (
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
comment on table {{ test_results_table() }} is
'One row per data test and dbt invocation. failing_rows is the table with the failing rows.';
{%- endif %}
{% endmacro %}

{# Insert one row per data test of this invocation. #}
{% macro insert_test_results(results) %}
{%- set rows = [] -%}
{%- for result in results if result.node.resource_type == 'test' -%}
    {%- do rows.append(test_result_row(result)) -%}
{%- endfor -%}
{%- if rows %}
insert into {{ test_results_table() }} (
    invocation_id, test_name, tested_models, severity, status, failures, failing_rows, message,
    duration_seconds, executed_at
)
values
{{ rows | join(',\n') }}
{%- endif %}
{% endmacro %}

{# Return the values of one row, from a dbt result. #}
{% macro test_result_row(result) -%}
{%- set node = result.node -%}
{%- set tested_models = [] -%}
{%- for unique_id in node.depends_on.nodes -%}
    {%- do tested_models.append(unique_id.split('.')[2:] | join('.')) -%}
{%- endfor -%}
{%- set failing_rows = node.schema ~ '.' ~ node.alias if result.failures else none -%}
(
    '{{ invocation_id }}',
    {{ text_literal(node.name) }},
    {{ text_literal(tested_models | join(', ')) }},
    {{ text_literal(node.config.severity | lower) }},
    {{ text_literal(result.status) }},
    {{ result.failures if result.failures is not none else 'null' }},
    {{ text_literal(failing_rows) }},
    {{ text_literal(result.message) }},
    {{ result.execution_time }},
    now()
)
{%- endmacro %}

{# Return a quoted SQL string, or null. #}
{% macro text_literal(text) -%}
{{ 'null' if text is none else dbt.string_literal(dbt.escape_single_quotes(text | string)) }}
{%- endmacro %}
