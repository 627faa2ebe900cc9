{#
    The text of a declared column without the blanks around it, and without the marks that make a
    spreadsheet take a value as it is: `="00500021"`, `=2024-08-27`, `'00500021'`, `_00500021`.

    Args:
        column: name of the column in raw.
        missing: texts that stand for no value. They become empty.
#}
{% macro plain_text(column, missing=[]) -%}
{%- set text = bare_text(column) -%}
{%- if missing -%}
case when {{ text }} in ({{ text_literals(missing) }}) then '' else {{ text }} end
{%- else -%}
{{ text }}
{%- endif -%}
{%- endmacro %}

{# As `plain_text`, with every text. #}
{% macro bare_text(column) -%}
{{ trim_all_blanks("regexp_replace(" ~ trim_all_blanks('"' ~ column ~ '"')
    ~ ", '^(?:=\"(.*)\"|=(.+)|[''`_](.*[^''])''?)$', '\\1\\2\\3')") }}
{%- endmacro %}

{# Remove blanks of any kind, tabs, line ends and byte order marks from both ends of a text. #}
{% macro trim_all_blanks(text) -%}
{{ trim_blanks(text, others='\\t\\r\\n\\u200b\\ufeff') }}
{%- endmacro %}

{#
    The details of a transaction: the texts of several columns, joined with one blank. Texts keep their
    inner blanks and line breaks, and lose the marks of spreadsheets (`'` and `="…"`). Empty ones and
    dashes are left out. Null if no text is left.

    Args:
        columns: names of columns in raw.
#}
{% macro joined_details(columns) -%}
nullif(concat_ws(
            ' '
            {%- for column in columns -%}
            , nullif(nullif(regexp_replace({{ trim_all_blanks('"' ~ column ~ '"') }}, '^(?:''(.+)|="(.*)")$', '\1\2'), ''), '-')
            {%- endfor %}
        ), '')
{%- endmacro %}

{#
    Parse the text of an account number. An IBAN loses its blanks; other numbers keep them. A number in
    scientific notation and an error of a spreadsheet become null, as in `parse_account_number`.

    Args:
        text: SQL expression of the plain text.
#}
{% macro parse_declared_account(text) -%}
case
            when {{ text }} ~ '^[0-9]{1,3}([.,][0-9]+)?[Ee][+-]?[0-9]{1,3}$|^#.*[!?]$|^#N/A$' then null
            when octet_length({{ text }}) > 100 then null
            when {{ text }} ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9 \u00a0]{10,34}$'
                then regexp_replace({{ text }}, '[ \u00a0]', '', 'g')
            else nullif({{ text }}, '')
        end
{%- endmacro %}

{#
    Parse the text of a currency: a code of three letters, or the sign of one currency. Other texts,
    such as `$`, become null.

    Args:
        text: SQL expression of the plain text.
#}
{% macro parse_currency(text) -%}
case
            when upper({{ text }}) ~ '^[A-Z]{3}$' then upper({{ text }})
            else '{"€": "EUR", "£": "GBP", "₹": "INR", "₽": "RUB", "₺": "TRY", "zł": "PLN", "円": "JPY", "元": "CNY"}'::jsonb ->> {{ text }}
        end
{%- endmacro %}

{# Texts as a list of SQL literals. #}
{% macro text_literals(texts) -%}
{%- for text in texts -%}
'{{ text | replace("'", "''") }}'{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}
