{#
    Parse an amount as numeric(18,2). A text that is not an exact amount becomes null. The result is
    never rounded, and no text raises an error.

    The macro accepts digits with or without thousands separators and with at most two decimals, such
    as `1,000,000.00`, `1000000`, `12.5` and, with the groups of lakhs and crores, `10,00,000.00`. A
    minus sign (`-1,000.00`) or the parentheses of accountants (`(1,000.00)`) make the amount negative.
    `parse_decorated_amount` reads the less usual notations, such as `INR 1 000.00 Dr`.

    The result is null for a comma that may be a decimal comma (`1,00.5`, `1,5`), a third decimal, or
    more than 16 digits before the decimal point. A test reports each null amount, but no test would
    report an amount that is a hundred times too large.

    Regular expressions for all amounts would be the most expensive part of the model. The usual form,
    `1,000,000.00`, needs none. For this form, the model computes three columns per amount:

    - <name>_text: the trimmed text; null if empty
    - <name>_digits: `amount_digits`, the text without commas
    - <name>_number: `amount_number`, the number if the text has the usual form

    The macro uses the number only if its text equals the digits. The two differ for leading zeros, for
    `-0.00`, and for notations that only Postgres accepts (`1.e5`, `1_0.00`).

    Args:
        name: name of the columns without their suffix.
        side: column of the amount: withdrawal, deposit or balance.
#}
{% macro parse_amount(name, side) -%}
{%- set text = name ~ '_text' -%}
case
    when {{ text }} is null then null::numeric(18, 2)
    when {{ name }}_number::text = {{ name }}_digits then {{ name }}_number::numeric(18, 2)
    when {{ text }} ~ '^-?({{ number_pattern([',']) }})$'
        then {{ amount_or_null(name ~ '_digits') }}
    when {{ text }} ~ '^[(]({{ number_pattern([',']) }})[)]$'
        then {{ amount_or_null("'-' || translate(" ~ text ~ ", '(),', '')") }}
    else {{ parse_decorated_amount(text, side) }}
end
{%- endmacro %}

{# The text of an amount without commas. #}
{% macro amount_digits(name) -%}
replace({{ name }}_text, ',', '')
{%- endmacro %}

{# The number of an amount in the usual form; null for other forms. #}
{% macro amount_number(name) -%}
{%- set text = name ~ '_text' -%}
case
            when
                case
                    when {{ text }} like '-%'
                        then {{ is_grouped_amount("substr(" ~ text ~ ", 2)", "substr(" ~ name ~ "_digits, 2)") }}
                    else {{ is_grouped_amount(text, name ~ '_digits') }}
                end
                and pg_input_is_valid({{ name }}_digits, 'numeric')
                then {{ name }}_digits::numeric
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
    Return whether a text without a sign has the form of an amount with two decimals, all its thousands
    separators and at most 12 characters before the decimal point. The macro does not check that these
    characters are digits.

    The length of such a text determines the position of each separator, so there is one `like`
    pattern per length. `_` matches any character, so the second condition checks that the text has no
    further commas.
#}
{% macro is_grouped_amount(text, digits) -%}
{%- set length = "octet_length(" ~ text ~ ")" -%}
{{ text }} like (array[
                            null, null, null, '_.__', '__.__', '___.__',
                            null, '_,___.__', '__,___.__', '___,___.__',
                            null, '_,___,___.__', '__,___,___.__', '___,___,___.__',
                            null, '_,___,___,___.__', '__,___,___,___.__', '___,___,___,___.__'
                        ])[{{ length }}]
                        and octet_length({{ digits }}) = {{ length }} - ({{ length }} - 3) / 4
{%- endmacro %}

{# Cast to numeric(18,2). Only a number of more than 16 characters can exceed the type's range. #}
{% macro amount_or_null(number) -%}
case
    when length({{ number }}) <= 16 or pg_input_is_valid({{ number }}, 'numeric(18,2)')
        then ({{ number }})::numeric(18, 2)
    else null::numeric(18, 2)
end
{%- endmacro %}
