{# The balance before a transaction, from the balance after it. Null without a balance. #}
{% macro balance_before() -%}
balance_amount - coalesce(deposit_amount, 0) + coalesce(withdrawal_amount, 0)
{%- endmacro %}

{# The values of one array less those of another, as multisets, in ascending order. #}
{% macro array_except(minuend, subtrahend) -%}
array(select unnest({{ minuend }}) except all select unnest({{ subtrahend }}) order by 1)
{%- endmacro %}
