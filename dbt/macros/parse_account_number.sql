{#
    Parse the text of an account number. A text that is no account number becomes null. The text must
    not have blanks or quotes around it.

    A spreadsheet writes `="00500021"` to keep the zeros of 00500021. A spreadsheet that reads an account
    number as a number loses zeros or digits. The result is therefore null for
    - a number in scientific notation or with decimals: `4.09E+11`, `409000611074.0`
    - an error of a spreadsheet (`#DIV/0!`) or a formula
    - a text without a digit: `#N/A`, `Total`
    - more than 100 bytes. No bank issues such numbers, and they could exceed the size limit of entries
      in downstream indexes.

    Most account numbers are integers, so the cheap check for an integer comes first.
#}
{% macro parse_account_number(text) -%}
{%- set account = "regexp_replace(" ~ text ~ ", '^=\"[ ''\"]*', '')" -%}
{%- set float = "[0-9]+[.]0{1,2}|[+-]?[0-9]{1,3}([.,][0-9]+)?[Ee][+-]?[0-9]{1,3}" -%}
case
        when pg_input_is_valid({{ text }}, 'bigint') then {{ text }}
        when octet_length({{ text }}) <= 100
            and {{ account }} ~ '[0-9]'
            and {{ account }} !~ '^({{ float }}|#.*[!?]|=.*)$'
            then {{ account }}
    end
{%- endmacro %}
