{#
    Parse a trimmed text as a date. A text that is not an accepted date becomes null, and no text
    raises an error.

    The macro accepts `2017-06-29`, `Jun 29, 17` and `29-Jun-17`. The last two may have a four-digit
    year, a one-digit day, and upper or lower case. Two-digit years follow the rule of Postgres: 00-69
    are 2000-2069, and 70-99 are 1970-1999. `parse_other_date` reads the less usual notations, such as
    `June 29, 2017 09:15`.

    The macro checks the whole text before the cast, because Postgres' own parser accepts much more
    (`today`, or `!j! 29, 2017` as a Julian day). The macro splits the text at its separators and
    looks up each part in the list of its possible values. Postgres builds the hash table of such a
    list once per query. `translate` or a regular expression would cost ten times as much per text.

    The macro completes a two-digit year to four digits before the cast, because only a four-digit
    year makes the accepted forms independent of the session's DateStyle.

    `pg_input_is_valid` rejects days that do not exist, such as February 30. (`to_date`
    would raise an error, which a query cannot catch.) Every month has the days 1 to 28, so dates
    with a two-digit year skip this check for these days.
#}
{% macro parse_date(text) -%}
coalesce(
        case
            when {{ text }} like '___ %' then {{ parse_date_in_words(text, ' ', month=1, day=2) }}
            when {{ text }} like '%-___-%' then {{ parse_date_in_words(text, '-', month=2, day=1) }}
            when {{ text }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then {{ date_or_null(text) }}
        end,
        case when {{ text }} <> '' then {{ parse_other_date(text) }} end
    )
{%- endmacro %}

{#
    Parse a date with a month name, such as `Jun 29, 17`.

    Args:
        text: SQL expression of the trimmed text.
        separator: character between the three parts.
        month, day: positions of the month's name and of the day, from 1. The year is always third.
#}
{% macro parse_date_in_words(text, separator, month, day) -%}
{%- set parts = [] -%}
{%- for number in range(1, 4) -%}
    {%- do parts.append("split_part(" ~ text ~ ", '" ~ separator ~ "', " ~ number ~ ")") -%}
{%- endfor -%}
{%- set comma = ',' if separator == ' ' else '' -%}
{%- set year = parts[2] -%}
{%- set text_with_full_year -%}
({{ parts[0] }} || '{{ separator }}' || {{ parts[1] }} || '{{ separator }}'
                || case when {{ year }} < '70' then '20' else '19' end || {{ year }})
{%- endset -%}
case
        when lower({{ parts[month - 1] }}) not in (
            'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'
        )
            or {{ text }} like '%{{ separator }}%{{ separator }}%{{ separator }}%'
            then null
        when {{ year }} in ({{ number_literals(0, 99, '%02d') }})
            then case
                when {{ parts[day - 1] }} in (
                    {{ number_literals(1, 28, '%d' ~ comma) }},
                    {{ number_literals(1, 9, '%02d' ~ comma) }}
                )
                    then {{ text_with_full_year }}::date
                when {{ parts[day - 1] }} in ({{ number_literals(29, 31, '%d' ~ comma) }})
                    then {{ date_or_null(text_with_full_year) }}
            end
        when {{ year }} ~ '^[0-9]{4}$'
            and {{ parts[day - 1] }} in (
                {{ number_literals(1, 31, '%d' ~ comma) }},
                {{ number_literals(1, 9, '%02d' ~ comma) }}
            )
            then {{ date_or_null(text) }}
    end
{%- endmacro %}

{# Cast a text in an accepted form to a date, or to null if the calendar has no such day. #}
{% macro date_or_null(text) -%}
case when pg_input_is_valid({{ text }}, 'date') then ({{ text }})::date end
{%- endmacro %}

{# Format the numbers from `first` to `last` as a comma-separated list of SQL string literals. #}
{% macro number_literals(first, last, format) -%}
{%- for number in range(first, last + 1) -%}
    '{{ format % number }}'{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}

{#
    Return a query for the usual texts of the days from 2000 to 2039: `Jun 9, 17`, `09-Jun-17` and
    `2017-06-09`. A look-up costs a tenth of `parse_date`, which gives the same date.

    The query groups by the text, although each text occurs once. The planner then knows that the texts
    are unique. Without the grouping, the planner would build the hash table of the join from raw.
#}
{% macro usual_dates() -%}
select
        notation.text,
        min(day.date::date) as date
    from generate_series(timestamp '2000-01-01', timestamp '2039-12-31', interval '1 day') as day (date)
    cross join lateral (
        values
        (to_char(day.date, 'Mon FMDD, YY')),
        (to_char(day.date, 'DD-Mon-YY')),
        (to_char(day.date, 'YYYY-MM-DD'))
    ) as notation (text)
    group by notation.text
{%- endmacro %}
