{#
    The alert threshold of a currency, as an SQL expression. The dbt variable of this name is one number
    for all currencies, or a mapping of currencies to numbers with the key `default`.

    Args:
        currency: SQL expression of the currency. A missing currency has the default threshold.
#}
{% macro large_withdrawal_threshold(currency) -%}
{%- set thresholds = var('large_withdrawal_threshold') -%}
{%- if thresholds is not mapping -%}
{%- set thresholds = {'default': thresholds} -%}
{%- endif -%}
{%- if execute and (
    thresholds.get('default') is not number or thresholds.values() | reject('number') | list
) -%}
{{ exceptions.raise_compiler_error(
    'large_withdrawal_threshold must be a number, or a mapping of currencies to numbers with the key'
    ' default, such as {default: 1000000000, JPY: 150000000000}'
) }}
{%- endif -%}
{%- if thresholds | length == 1 -%}
{{ thresholds['default'] }}
{%- else -%}
case {{ currency }}
            {%- for code, threshold in thresholds.items() if code != 'default' %}
            when {{ text_literal(code) }} then {{ threshold }}
            {%- endfor %}
            else {{ thresholds['default'] }}
        end
{%- endif -%}
{%- endmacro %}
