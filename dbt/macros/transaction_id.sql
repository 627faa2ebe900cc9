{#
    The id of a transaction, from the hash of its row in raw. The hash is unique in one table of raw
    only, so a declared source adds its name. The source `transactions` keeps the hash as it is,
    because its ids are older than the other sources.

    Args:
        source: SQL expression of the source's name. For a literal, the result needs no case.
        row_hash: SQL expression of the row's hash.
#}
{% macro transaction_id(source, row_hash) -%}
{%- set of_declared_source = "md5(" ~ source ~ " || ' ' || " ~ row_hash ~ "::text)::uuid" -%}
{%- if source == "'transactions'" -%}
{{ row_hash }}
{%- elif source.startswith("'") -%}
{{ of_declared_source }}
{%- else -%}
case when {{ source }} = 'transactions' then {{ row_hash }} else {{ of_declared_source }} end
{%- endif -%}
{%- endmacro %}
