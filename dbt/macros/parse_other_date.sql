{#
    Parse a date in a less usual notation. `parse_date` calls this macro for the texts that it does not
    recognise itself.

    The macro accepts
    - `Sept` and the full names of months: `Sept 29, 17`, `29-September-2017`
    - blanks or slashes around the month: `29 Sep 2017`, `29/Sep/2017`
    - slashes or dots in ISO dates: `2017/09/29`, `2017.09.29`
    - a time behind any date: `2017-09-29T09:15:00.000Z`, `Sep 29, 17 9:15 PM`. The result is the date
      that is written, whichever time zone follows it.

    A date of numbers that does not begin with a four-digit year becomes null: `05.03.2024` is a day in
    March or in May.
#}
{% macro parse_other_date(text) -%}
{%- set minutes = "(:[0-5][0-9]){1,2}([.][0-9]+)?" -%}
{%- set am_pm = "[ " ~ no_break_blanks() ~ "]?[AP]M" -%}
{%- set time = "([01]?[0-9]|2[0-3])" ~ minutes ~ "|(0?[1-9]|1[0-2])" ~ minutes ~ am_pm -%}
{%- set zone = "( ?(Z|[+-][0-9]{2}:?[0-9]{2}))?" -%}
{%- set date -%}
regexp_replace({{ text }}, '( +|T)({{ time }}){{ zone }}$', '', 'i')
{%- endset -%}
{%- set month = [
    'jan(uary)?', 'feb(ruary)?', 'mar(ch)?', 'apr(il)?', 'may', 'june?', 'july?', 'aug(ust)?',
    'sep(t(ember)?)?', 'oct(ober)?', 'nov(ember)?', 'dec(ember)?'
] | join('|') -%}
{%- set day_and_month -%}
({{ month }}) [0-9]{1,2}, |[0-9]{1,2}( ({{ month }}) |-({{ month }})-|/({{ month }})/)
{%- endset -%}
case
            when {{ date }} ~ '^[0-9]{4}(-[0-9]{2}-|/[0-9]{2}/|[.][0-9]{2}[.])[0-9]{2}$'
                then {{ date_or_null("translate(" ~ date ~ ", '/.', '--')") }}
            when {{ date }} ~* '^({{ day_and_month }})([0-9]{2}|[0-9]{4})$'
                then {{ date_or_null(with_century(date)) }}
        end
{%- endmacro %}

{# Complete a two-digit year at the end of a date, as `parse_date` does. #}
{% macro with_century(date) -%}
regexp_replace(
                regexp_replace({{ date }}, '[ /-](?=[0-6][0-9]$)', '\&20'),
                '[ /-](?=[7-9][0-9]$)', '\&19'
            )
{%- endmacro %}
