{#
    A jsonb object of the columns that are null although their text is not empty, with the text:
    {"value_date": "Feb 30, 17"}; null when every value was understood.

    columns: parsed column -> the column of its trimmed text.
#}
{% macro unparsed_values(columns) -%}
case
    when
    {%- for column, text in columns.items() %}
        {{ 'or ' if not loop.first }}({{ column }} is null and {{ text }} <> '')
    {%- endfor %}
        then jsonb_strip_nulls(jsonb_build_object(
    {%- for column, text in columns.items() %}
            '{{ column }}', case when {{ column }} is null and {{ text }} <> '' then {{ text }} end
            {{- ',' if not loop.last }}
    {%- endfor %}
        ))
end
{%- endmacro %}
