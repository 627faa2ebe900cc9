{#
    Parse an amount in a less usual notation as numeric(18,2). `parse_amount` calls this macro for the
    texts that it does not recognise itself.

    The macro accepts
    - blanks or apostrophes between thousands (`1 000.00`, `1'000.00`), but only one kind per number
    - a currency before or behind the number: `₹1,000.00`, `Rs. 1,000.00`, `-$5.00`, `5.00 EUR`
    - a minus sign behind the number, and the Unicode minus sign: `5.00-`, `−5.00`
    - `Dr` behind a balance, which is then negative, or behind a withdrawal
    - `Cr` behind a balance or a deposit. `2 Cr` can mean two crores, which are twenty millions, so the
      number must have two decimals: `1,000.00 Cr`
    - a dash for nothing: a balance becomes 0.00, and a withdrawal or deposit becomes null

    Marks that contradict each other make the result null: `-5.00 Dr`, or `Cr` in a withdrawal.
#}
{% macro parse_decorated_amount(text, side) -%}
{%- set number -%}
translate(substring({{ text }}, '[0-9](?:.*[0-9])?'), E'\u2009\u2019{{ no_break_blanks() }}', ' ''  ')
{%- endset -%}
{%- set signs = {'0': '', '-0': '-', '0-': '-', '(0)': '-'} -%}
{%- do signs.update({
    'withdrawal': {'0DR': '', '0DR.': ''},
    'deposit': {'0CR': '', '0CR.': ''},
    'balance': {'0DR': '-', '0DR.': '-', '0CR': '', '0CR.': ''},
}[side]) -%}
{%- set signed_number -%}
('{{ tojson(signs) }}'::jsonb ->> {{ amount_marks(text) }}) || translate({{ number }}, ', ''', '')
{%- endset -%}
case
        -- A comma behind a leading zero may be a decimal comma: `KWD 0,125`.
        when {{ number }} ~ '^(?!0+[, ''])({{ number_pattern([',', ' ', "''"]) }})$'
            and ({{ number }} like '%.__' or {{ text }} !~* '[0-9][^0-9]*cr')
            then {{ amount_or_null(signed_number) }}
        {%- if side == 'balance' %}
        when {{ is_dash(text) }} then 0::numeric(18, 2)
        {%- endif %}
        else null::numeric(18, 2) -- a plain null would make the type numeric, without (18, 2)
    end
{%- endmacro %}

{# Return whether the text is a dash, which stands for no amount: `-`, `--`, `–` or `₹ -`. #}
{% macro is_dash(text) -%}
{{ amount_marks(text) }} in ('-', '--', '–', '—')
{%- endmacro %}

{#
    Return the text around the number of an amount: `-$5.00` becomes `-0`, `1 000.00 Dr` becomes `0DR`.

    A zero stands for the number. The macro removes blanks and one currency. Other words remain, so
    `5.00 mn` (millions) is no amount.
#}
{% macro amount_marks(text) -%}
regexp_replace(translate(
                regexp_replace({{ text }}, '[0-9](?:.*[0-9])?', '0'),
                E'\u2212drc \u2009{{ no_break_blanks() }}', '-DRC'
            ), '[$£¥€₹₨₩₪₫₦₱₴₺₽฿]|R[Ss][.]?|{{ currency_codes() }}', '')
{%- endmacro %}

{# The currency codes of ISO 4217, as a regular expression. #}
{% macro currency_codes() -%}
{%- set codes -%}
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO
NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE
SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV
WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
{%- endset -%}
{{ codes.split() | join('|') }}
{%- endmacro %}
