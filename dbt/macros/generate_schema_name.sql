{#
    Use a configured schema name as it is. dbt's default would prefix it with the target's schema,
    but init_db.sql creates the schemas and their grants under these exact names.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
