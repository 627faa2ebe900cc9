{#
    Delete all rows of an incremental model before it inserts its rows. Unlike a table that dbt
    replaces, the model keeps its views and never disappears, and readers see either all old rows or
    all new ones.
#}
{% macro empty_first() -%}
{%- if is_incremental() -%}
delete from {{ this }}
{%- endif -%}
{%- endmacro %}
