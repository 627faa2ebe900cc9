{#
    A table with an enforced contract, made by `create table as`, which the server may run in
    parallel. (dbt-postgres makes an empty table and fills it by `insert … select`, which it may
    not.) The contract means what it means there: names and types of the columns are compared
    first, each column has exactly the type that the contract names, and what must not be null is
    declared so. Contracts with other constraints, and tables without one, are made as dbt does it.
#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
{%- if temporary or not config.get('contract').enforced or has_other_constraints(model) -%}
    {{ dbt.postgres__create_table_as(temporary, relation, sql) }}
{%- else -%}
    {{ get_assert_columns_equivalent(sql) }}
    {{ create_table_of_contract(relation, sql, model.columns.values()) }}
{%- endif -%}
{%- endmacro %}

{% macro has_other_constraints(model) -%}
{%- set constraints = [] + model.constraints -%}
{%- for column in model.columns.values() -%}
    {%- do constraints.extend(column.constraints) -%}
{%- endfor -%}
{{ return(constraints | rejectattr('type', 'equalto', 'not_null') | list | length > 0) }}
{%- endmacro %}

{% macro create_table_of_contract(relation, sql, columns) -%}
create table {{ relation }} as (
    select
    {%- for column in columns %}
        {{ column.name }}::{{ column.data_type }} as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
    from (
        {{ sql }}
    ) as model_subq
);
{%- set required = columns | selectattr('constraints') | list %}
{%- if required %}
alter table {{ relation }}
    {%- for column in required %}
    alter column {{ column.name }} set not null{{ ',' if not loop.last }}
    {%- endfor %};
{%- endif %}
{%- endmacro %}
