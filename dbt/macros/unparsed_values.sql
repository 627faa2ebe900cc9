{#
    Return a jsonb object with the text of each value that could not be parsed, keyed by column:
    {"value_date": "Feb 30, 17"}. The result is null if every value was parsed.

    Args:
        columns: maps each column name to two SQL expressions: of its parsed value and of its trimmed
            text.
        dashes: names of the columns in which a dash stands for no value.
#}
{% macro unparsed_values(columns, dashes) -%}
{%- set unparsed = {} -%}
{%- for name, (value, text) in columns.items() -%}
    {%- set no_dash = ' and not ' ~ is_dash(text) if name in dashes else '' -%}
    {%- do unparsed.update({name: value ~ ' is null and ' ~ text ~ " <> ''" ~ no_dash}) -%}
{%- endfor -%}
case
    when
    {%- for name, condition in unparsed.items() %}
        {{ 'or ' if not loop.first }}({{ condition }})
    {%- endfor %}
        then jsonb_strip_nulls(jsonb_build_object(
    {%- for name, condition in unparsed.items() %}
            '{{ name }}', case when {{ condition }} then {{ columns[name][1] }} end
            {{- ',' if not loop.last }}
    {%- endfor %}
        ))
end
{%- endmacro %}

{#
    Return the reason why a text could not be parsed, and the remedy. The result is null if the text
    does not show the reason.

    Args:
        column: SQL expression of the column's name.
        text: SQL expression of the text.
#}
{% macro unparsed_hint(column, text) -%}
case
            when {{ column }} like '%_date' and {{ text }} ~ '^[0-9]{1,2}([-/. ])[0-9]{1,2}\1[0-9]{2}'
                then 'day and month are ambiguous: export dates as YYYY-MM-DD or with the name of the'
                    ' month, or add the notation to dbt/macros/parse_other_date.sql'
            when {{ column }} like '%_date' and {{ text }} ~ '^[0-9]{5}([.][0-9]+)?$'
                then 'the text is the serial number of a date in a spreadsheet: give the column a date'
                    ' format and export it again'
            when {{ column }} like '%_amount'
                and {{ text }} ~ ',[0-9]{1,2}[^0-9]*$|[.][0-9]{3}|^[^0-9]*0+,'
                then 'the comma or the point may separate thousands or decimals: export amounts as'
                    ' 1234.56, or add the notation to dbt/macros/parse_decorated_amount.sql'
            when {{ column }} = 'account_number'
                then 'the text is no account number: if a spreadsheet has replaced the number, load the'
                    ' file as the bank exported it'
        end
{%- endmacro %}
