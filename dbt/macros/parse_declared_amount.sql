{#
    Parse the text of an amount as its source declares it, as numeric(18,2). A text that is not exactly
    such an amount becomes null. The result is never rounded, and no text raises an error.

    The number may have groups of three digits, or of lakhs, and at most two decimals; further decimals
    must be zeros. Without a declared group character, it has no groups. Around the number, the macro
    accepts
    - a sign before or behind the number, or the parentheses of accountants
    - a currency, as a sign or a code
    - `Dr`, `D` or `S` (debit) and `Cr`, `C`, `H` or `K` (credit) behind the number. A debit is
      negative, except in the column of withdrawals. A credit in this column, or a debit in the column
      of deposits, makes the result null.

    Postgres evaluates each regular expression once, as in `parse_declared_date`.

    Args:
        text: SQL expression of the plain text (see `plain_text`).
        decimal_char: the character before the decimals.
        group_char: the character between the thousands. A blank stands for any blank.
        side: column of the amount: amount, withdrawal, deposit or balance.
#}
{% macro parse_declared_amount(text, decimal_char='.', group_char=none, side='amount') -%}
{%- set signs = {'0': '', '+0': '', '0+': '', '-0': '-', '0-': '-', '–0': '-', '(0)': '-', '(-0)': '-'} -%}
{%- do signs.update({'0' ~ decimal_char: '', '+0' ~ decimal_char: '', '-0' ~ decimal_char: '-'}) -%}
{%- for mark in ['DR', 'D', 'S'] if side != 'deposit' -%}
    {%- do signs.update({'0' ~ mark: '' if side == 'withdrawal' else '-'}) -%}
    {%- do signs.update({'0' ~ mark ~ '.': '' if side == 'withdrawal' else '-'}) -%}
{%- endfor -%}
{%- for mark in ['CR', 'C', 'H', 'K'] if side != 'withdrawal' -%}
    {%- do signs.update({'0' ~ mark: '', '0' ~ mark ~ '.': ''}) -%}
{%- endfor -%}
{%- set point = '[' ~ decimal_char ~ ']' -%}
{%- set group = {
    ' ': "[ \\u00a0\\u2009\\u202f]", "'": "[''\\u2019]", '.': '[.]', ',': '[,]'
}[group_char] if group_char else none -%}
(
            select case
                when
                    number.text
                    {%- if group %} ~ '^(?!0{{ group }})([0-9]+|[0-9]{1,3}({{ group }}[0-9]{3})+|[0-9]{1,2}({{ group }}[0-9]{2})+{{ group }}[0-9]{3})({{ point }}[0-9]{1,2}0*)?$'
                    {%- else %} ~ '^[0-9]+({{ point }}[0-9]{1,2}0*)?$'
                    {%- endif %}
                    then {{ amount_or_null("sign.text || " ~ canonical_number("number.text", point, group)) }}
            end
            -- `.50` becomes `0.50`.
            from regexp_replace(
                {{ text }}, '(^|[^0-9A-Za-z])({{ point }}[0-9]{1,2}($|[^0-9]))', '\10\2'
            ) as whole (text)
            cross join lateral regexp_substr(whole.text, '[0-9](?:.*[0-9])?') as number (text)
            cross join lateral jsonb_extract_path_text(
                '{{ tojson(signs) }}'::jsonb,
                regexp_replace({{ amount_marks("whole.text") }}, '{{ other_currencies() }}', '')
            ) as sign (text)
        )::numeric(18, 2)
{%- endmacro %}

{# The text of a number, as Postgres writes it. #}
{% macro canonical_number(number, point, group) -%}
{%- set digits = "regexp_replace(" ~ number ~ ", '" ~ group ~ "', '', 'g')" if group else number -%}
regexp_replace({{ digits }}, '{{ point }}', '.')
{%- endmacro %}

{# Currencies in the text that `amount_marks` returns, which has the letters d, r and c in upper case. #}
{% macro other_currencies() -%}
zł|kR[.]?|Kč|KČ|Ft|TL|円|元|원|￥|лв[.]?|руб[.]?|грн[.]?|RUR|Rp[.]?|US(?=-?0)|R(?=-?0)
{%- endmacro %}

{#
    The amount with the sign that an indicator tells: negative in a withdrawal. Null for a text that is
    neither.

    Args:
        amount: SQL expression of the amount. Its own sign does not matter.
        indicator: SQL expression of the text.
        withdrawals, deposits: the texts of each direction.
#}
{% macro signed_by(amount, indicator, withdrawals, deposits) -%}
case
            when {{ indicator }} in ({{ text_literals(withdrawals) }}) then -abs({{ amount }})
            when {{ indicator }} in ({{ text_literals(deposits) }}) then abs({{ amount }})
        end
{%- endmacro %}

{#
    The withdrawal and the deposit of a signed amount, which is positive in a deposit. Zero is neither.

    Args:
        net: SQL expression of the signed amount.
#}
{% macro withdrawal_of(net) -%}
nullif(greatest(-({{ net }}), 0), 0)::numeric(18, 2)
{%- endmacro %}

{% macro deposit_of(net) -%}
nullif(greatest({{ net }}, 0), 0)::numeric(18, 2)
{%- endmacro %}

{#
    The withdrawal and the deposit of two columns. A negative withdrawal is a deposit, and a negative
    deposit is a withdrawal. A row with both keeps both: the test ensure_withdrawal_or_deposit reports it.

    Args:
        withdrawal, deposit: SQL expressions of the amounts.
#}
{% macro withdrawal_beside(withdrawal, deposit) -%}
nullif(greatest({{ withdrawal }}, 0) + greatest(-({{ deposit }}), 0), 0)::numeric(18, 2)
{%- endmacro %}

{% macro deposit_beside(withdrawal, deposit) -%}
nullif(greatest({{ deposit }}, 0) + greatest(-({{ withdrawal }}), 0), 0)::numeric(18, 2)
{%- endmacro %}
