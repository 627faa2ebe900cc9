{#
    Parse a trimmed text as numeric(18,2). A text that is not an exact amount becomes null. The
    result is never rounded, and no text raises an error.

    The macro accepts digits with or without thousands separators and with at most two decimals, such
    as `1,000,000.00`, `1000000`, `12.5` and, with the groups of lakhs and crores, `10,00,000.00`. A
    minus sign (`-1,000.00`) or the parentheses of accountants (`(1,000.00)`) make the amount negative.
    `parse_decorated_amount` reads the less usual notations, such as `INR 1 000.00 Dr`.

    The result is null for a comma that may be a decimal comma (`1,00.5`, `1,5`), a third decimal, or
    more than 16 digits before the decimal point. A test reports each null amount, but no test would
    report an amount that is a hundred times too large.

    The regular expressions below would be the most expensive part of the model. The cheaper macro
    `is_grouped_amount` therefore comes first and recognises the usual form, `1,000,000.00`.

    Args:
        text: SQL expression of the trimmed text.
        side: column of the amount: withdrawal, deposit or balance.
#}
{% macro parse_amount(text, side) -%}
case
    when {{ text }} = '' then null::numeric(18, 2)
    when {{ is_grouped_amount(text) }}
        or ({{ text }} like '-%' and {{ is_grouped_amount("substr(" ~ text ~ ", 2)") }})
        then replace({{ text }}, ',', '')::numeric(18, 2)
    when {{ text }} ~ '^-?({{ number_pattern([',']) }})$'
        then {{ amount_or_null("replace(" ~ text ~ ", ',', '')") }}
    when {{ text }} ~ '^[(]({{ number_pattern([',']) }})[)]$'
        then {{ amount_or_null("'-' || translate(" ~ text ~ ", '(),', '')") }}
    else {{ parse_decorated_amount(text, side) }}
end
{%- endmacro %}

{# A number with at most two decimals, as a regular expression. Lakhs have only commas. #}
{% macro number_pattern(separators) -%}
([0-9]+|[0-9]{1,3}(
{%- for separator in separators -%}
    ({{ separator }}[0-9]{3})+{{ '|' if not loop.last }}
{%- endfor -%}
)|[1-9][0-9]?(,[0-9]{2})+,[0-9]{3})([.][0-9]{1,2})?
{%- endmacro %}

{#
    Return whether the text is an amount with two decimals, all its thousands separators and at most
    12 digits before the decimal point.

    The length of such a text determines the position of each separator, so there is one `like`
    pattern per length. `_` matches any character, so the other two conditions check that the text
    has no further separators and that all other characters are digits.
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

{# Cast to numeric(18,2). Only a number of more than 16 characters can exceed the type's range. #}
{% macro amount_or_null(number) -%}
case
    when length({{ number }}) <= 16 or pg_input_is_valid({{ number }}, 'numeric(18,2)')
        then ({{ number }})::numeric(18, 2)
    else null::numeric(18, 2)
end
{%- endmacro %}
