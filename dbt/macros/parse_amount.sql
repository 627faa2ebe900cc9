{#
    The amount that a trimmed text means, as numeric(18,2), or null: never an error, never a
    rounded or a guessed amount.

    Read are digits with or without thousands separators and with at most two decimals:
    `1,000,000.00`, `1000000`, `12.5`. `-1,000.00` and the accountants' `(1,000.00)` are negative.
    A comma that does not stand before a group of three digits (`1,00.5`, `1,5`), a third decimal,
    a currency or more than 16 digits before the point make it null: an amount that is a hundred
    times too large is worse than one that is missing and reported.
#}
{% macro parse_amount(text) -%}
{%- set digits = "([0-9]{1,3}(,[0-9]{3})+|[0-9]+)([.][0-9]{1,2})?" -%}
case
    when {{ text }} = '' then null::numeric(18, 2)
    when {{ text }} ~ '^-?{{ digits }}$'
        then {{ amount_or_null("replace(" ~ text ~ ", ',', '')") }}
    when {{ text }} ~ '^[(]{{ digits }}[)]$'
        then {{ amount_or_null("'-' || translate(" ~ text ~ ", '(),', '')") }}
    else null::numeric(18, 2) -- typed: else the whole would lose its two decimals
end
{%- endmacro %}

{# Sixteen characters always fit; what is longer may not. #}
{% macro amount_or_null(number) -%}
case
    when length({{ number }}) <= 16 or pg_input_is_valid({{ number }}, 'numeric(18,2)')
        then ({{ number }})::numeric(18, 2)
    else null::numeric(18, 2)
end
{%- endmacro %}
