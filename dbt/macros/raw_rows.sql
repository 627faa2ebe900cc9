{# A query for the rows of all sources in raw, with the id of the transaction that each becomes. #}
{% macro raw_rows() -%}
{{ raw_rows_of('transactions') }}
    {%- for name in var('sources') %}
    union all
    {{ raw_rows_of(name) }}
    {%- endfor %}
{%- endmacro %}

{# As `raw_rows`, for one source. #}
{% macro raw_rows_of(name) -%}
{%- set literal = "'" ~ name ~ "'" -%}
select
        {{ literal }}::text as source,
        {{ transaction_id(literal, '_row_hash') }} as transaction_id,
        _load_id,
        _source_line
    from {{ source('raw', name) }}
{%- endmacro %}
