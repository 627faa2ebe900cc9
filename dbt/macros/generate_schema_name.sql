{#
    Use a configured schema name as it is. dbt's default would prefix it with the target's schema,
    but init_db.sql creates the schemas and their grants under these exact names.

    Only `make dbt` passes SCHEMA_PREFIX on, so that a developer tries models in schemas such as
    alice_staging.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ env_var('SCHEMA_PREFIX', '') }}{{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
