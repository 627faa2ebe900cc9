{#
    The date that a trimmed text means, or null: never an error, never another date.

    Read are `Jun 29, 17`, `29-Jun-17` (both also with a four-digit year or a one-digit day, in
    any case) and `2017-06-29`. Two-digit years follow the rule of Postgres: 00-69 are 2000-2069,
    70-99 are 1970-1999.

    Everything is checked here before Postgres sees it, because its own parser takes much more
    (`today`, `!j! 29, 2017` as a Julian day): the text is split at its separators, and each part
    must be in a list of all that it can be. (Postgres hashes such a list once; `translate` or a
    regular expression on each text costs ten times as much.) With a four-digit year these forms
    mean the same under every DateStyle, so that a two-digit one is completed first.
    `pg_input_is_valid` turns down the days that do not exist, where to_date would raise an error
    that no query can catch; every month has a day 28, so that it need not be asked for most.
#}
{% macro parse_date(text) -%}
case
    when {{ text }} like '___ %' then {{ parse_date_in_words(text, ' ', month=1, day=2) }}
    when {{ text }} like '%-___-%' then {{ parse_date_in_words(text, '-', month=2, day=1) }}
    when {{ text }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then {{ date_or_null(text) }}
end
{%- endmacro %}

{# The date whose parts, the month's name among them, stand between separators, the year last. #}
{% macro parse_date_in_words(text, separator, month, day) -%}
{%- set parts = [] -%}
{%- for number in range(1, 4) -%}
    {%- do parts.append("split_part(" ~ text ~ ", '" ~ separator ~ "', " ~ number ~ ")") -%}
{%- endfor -%}
{%- set comma = ',' if separator == ' ' else '' -%}
{%- set year = parts[2] -%}
{%- set full -%}
({{ parts[0] }} || '{{ separator }}' || {{ parts[1] }} || '{{ separator }}'
                || case when {{ year }} < '70' then '20' else '19' end || {{ year }})
{%- endset -%}
case
        when lower({{ parts[month - 1] }}) not in (
            'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'
        )
            or {{ text }} like '%{{ separator }}%{{ separator }}%{{ separator }}%'
            then null
        when {{ year }} in ({{ texts_of_numbers(0, 99, '%02d') }})
            then case
                when {{ parts[day - 1] }} in (
                    {{ texts_of_numbers(1, 28, '%d' ~ comma) }},
                    {{ texts_of_numbers(1, 9, '%02d' ~ comma) }}
                )
                    then {{ full }}::date
                when {{ parts[day - 1] }} in ({{ texts_of_numbers(29, 31, '%d' ~ comma) }})
                    then {{ date_or_null(full) }}
            end
        when {{ year }} ~ '^[0-9]{4}$'
            and {{ parts[day - 1] }} in (
                {{ texts_of_numbers(1, 31, '%d' ~ comma) }},
                {{ texts_of_numbers(1, 9, '%02d' ~ comma) }}
            )
            then {{ date_or_null(text) }}
    end
{%- endmacro %}

{% macro date_or_null(text) -%}
case when pg_input_is_valid({{ text }}, 'date') then ({{ text }})::date end
{%- endmacro %}

{# Numbers from the first to the last one, as a list of literals in that format. #}
{% macro texts_of_numbers(first, last, format) -%}
{%- for number in range(first, last + 1) -%}
    '{{ format % number }}'{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}
