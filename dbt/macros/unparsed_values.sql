{#
    A jsonb object of the columns that are null although their text is not empty, with the text:
    {"value_date": "Feb 30, 17"}; null when every value was understood.

    columns: name of a column -> its parsed value; the trimmed text stands in <name>_text.
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
