{#
    Return a jsonb object with the text of each value that could not be parsed, keyed by column:
    {"value_date": "Feb 30, 17"}. The result is null if every value was parsed.

    Args:
        columns: maps each column name to the SQL expression of its parsed value. The query must
            provide the column's trimmed text as <name>_text.
#}
{% macro unparsed_values(columns) -%}
case
    when
    {%- for name, value in columns.items() %}
        {{ 'or ' if not loop.first }}({{ value }} is null and {{ name }}_text <> '')
    {%- endfor %}
        then jsonb_strip_nulls(jsonb_build_object(
    {%- for name, value in columns.items() %}
            '{{ name }}', case when {{ value }} is null then nullif({{ name }}_text, '') end
            {{- ',' if not loop.last }}
    {%- endfor %}
        ))
end
{%- endmacro %}
