{#
    The amount that a trimmed text means, as numeric(18,2), or null: never an error, never a
    rounded or a guessed amount.

    Read are digits with or without thousands separators and with at most two decimals:
    `1,000,000.00`, `1000000`, `12.5`. `-1,000.00` and the accountants' `(1,000.00)` are negative.
    A comma that does not stand before a group of three digits (`1,00.5`, `1,5`), a third decimal,
    a currency or more than 16 digits before the point make it null: an amount that is a hundred
    times too large is worse than one that is missing and reported.

    The form that statements have, `1,000,000.00`, is known without the regular expressions, which
    would cost more than all the rest: they decide about every other text.
#}
{% macro parse_amount(text) -%}
{%- set digits = "([0-9]{1,3}(,[0-9]{3})+|[0-9]+)([.][0-9]{1,2})?" -%}
case
    when {{ text }} = '' then null::numeric(18, 2)
    when {{ is_grouped_amount(text) }}
        or ({{ text }} like '-%' and {{ is_grouped_amount("substr(" ~ text ~ ", 2)") }})
        then replace({{ text }}, ',', '')::numeric(18, 2)
    when {{ text }} ~ '^-?{{ digits }}$'
        then {{ amount_or_null("replace(" ~ text ~ ", ',', '')") }}
    when {{ text }} ~ '^[(]{{ digits }}[)]$'
        then {{ amount_or_null("'-' || translate(" ~ text ~ ", '(),', '')") }}
    else null::numeric(18, 2) -- typed: else the whole would lose its two decimals
end
{%- endmacro %}

{#
    Whether the text is an amount with two decimals and all its thousands separators, of at most
    12 digits before the point. Its length says where each separator stands; that there are no
    others, and nothing but digits beside them, is what is left when they are dropped.
#}
{% macro is_grouped_amount(text) -%}
{%- set digits = "replace(replace(" ~ text ~ ", ',', ''), '.', '')" -%}
{%- set length = "octet_length(" ~ text ~ ")" -%}
(
        {{ text }} like (array[
            null, null, null, '_.__', '__.__', '___.__',
            null, '_,___.__', '__,___.__', '___,___.__',
            null, '_,___,___.__', '__,___,___.__', '___,___,___.__',
            null, '_,___,___,___.__', '__,___,___,___.__', '___,___,___,___.__'
        ])[{{ length }}]
        and octet_length({{ digits }}) = {{ length }} - 1 - ({{ length }} - 3) / 4
        and {{ digits }} !~ '[^0-9]'
    )
{%- endmacro %}

{# Sixteen characters always fit; what is longer may not. #}
{% macro amount_or_null(number) -%}
case
    when length({{ number }}) <= 16 or pg_input_is_valid({{ number }}, 'numeric(18,2)')
        then ({{ number }})::numeric(18, 2)
    else null::numeric(18, 2)
end
{%- endmacro %}
