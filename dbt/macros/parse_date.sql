{#
    The date that a trimmed text means, or null: never an error, never another date.

    Read are `Jun 29, 17`, `29-Jun-17` (both also with a four-digit year or a one-digit day, in
    any case) and `2017-06-29`. Two-digit years follow the rule of Postgres: 00-69 are 2000-2069,
    70-99 are 1970-1999.

    Everything is checked here before Postgres sees it, because its own parser takes much more
    (`today`, `!j! 29, 2017` as a Julian day): `like` fixes where the separators stand, nothing but
    them and the month may be left when `translate` drops the digits, and the month must be one.
    (A regular expression costs twice as much.) With a four-digit year these forms mean the same
    under every DateStyle, so that a two-digit one is completed first. `pg_input_is_valid` then
    turns down the days that do not exist, where to_date would raise an error that no query can
    catch.
#}
{% macro parse_date(text) -%}
{%- set shapes = [
    'Mon DD, YY', 'Mon DD, YYYY', 'Mon D, YY', 'Mon D, YYYY',
    'DD-Mon-YY', 'DD-Mon-YYYY', 'D-Mon-YY', 'D-Mon-YYYY',
] -%}
case
    {%- for shape in shapes %}
    {%- set blank_month = shape | replace('Mon', '___') %}
    when {{ text }} like '{{ blank_month | replace('D', '_') | replace('Y', '_') }}'
        and translate({{ text }}, '0123456789', '')
            like '{{ blank_month | replace('D', '') | replace('Y', '') }}'
        and lower(substr({{ text }}, {{ shape.index('Mon') + 1 }}, 3)) in (
            'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'
        )
        then {{ date_or_null(text if 'YYYY' in shape else four_digit_year(text, shape | length)) }}
    {%- endfor %}
    when {{ text }} like '____-__-__' and translate({{ text }}, '0123456789', '') = '--'
        then {{ date_or_null(text) }}
end
{%- endmacro %}

{# The text, `length` long, with the century put before its last two characters. #}
{% macro four_digit_year(text, length) -%}
{%- set year = "substr(" ~ text ~ ", " ~ (length - 1) ~ ")" -%}
substr({{ text }}, 1, {{ length - 2 }})
            || case when {{ year }} < '70' then '20' else '19' end || {{ year }}
{%- endmacro %}

{% macro date_or_null(text) -%}
case when pg_input_is_valid({{ text }}, 'date') then ({{ text }})::date end
{%- endmacro %}
