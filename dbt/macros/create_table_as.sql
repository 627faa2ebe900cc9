{#
    Build a large table in parallel if the model's config contains `meta: {parallel_create: true}`.

    For a model with an enforced contract, dbt-postgres creates an empty table and fills it with
    `insert ... select`, which Postgres never runs in parallel. With the key, this macro builds the
    model with `create table as`, which Postgres can run in parallel. The macro still enforces the
    contract: it first compares the names and types of the query's columns with the contract, then
    casts each column to the type in the contract, and adds the `not_null` constraints at the end.

    dbt-postgres' own macro builds every other relation: models without the key, temporary tables,
    and models with constraints other than `not_null`.
#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
{%- if config.meta_get('parallel_create')
    and config.get('contract').enforced
    and not temporary
    and not has_other_constraints(model)
-%}
    {{ get_assert_columns_equivalent(sql) }}
    {{ create_table_with_contract(relation, sql, model.columns.values()) }}
{%- else -%}
    {{ dbt.postgres__create_table_as(temporary, relation, sql) }}
{%- endif -%}
{%- endmacro %}

{# Whether the model or one of its columns has a constraint other than `not_null`. #}
{% macro has_other_constraints(model) -%}
{%- set constraints = [] + model.constraints -%}
{%- for column in model.columns.values() -%}
    {%- do constraints.extend(column.constraints) -%}
{%- endfor -%}
{{ return(constraints | rejectattr('type', 'equalto', 'not_null') | list | length > 0) }}
{%- endmacro %}

{# `create table as` with the column types and the `not_null` constraints of the contract. #}
{% macro create_table_with_contract(relation, sql, columns) -%}
create table {{ relation }} as (
    select
    {%- for column in columns %}
        {{ column.name }}::{{ column.data_type }} as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
    from (
        {{ sql }}
    ) as model_subq
);
{%- set not_null_columns = columns | selectattr('constraints') | list %}
{%- if not_null_columns %}
alter table {{ relation }}
    {%- for column in not_null_columns %}
    alter column {{ column.name }} set not null{{ ',' if not loop.last }}
    {%- endfor %};
{%- endif %}
{%- endmacro %}
