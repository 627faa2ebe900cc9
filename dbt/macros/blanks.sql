{# The no-break space and the narrow no-break space, for E'' strings and regular expressions. #}
{% macro no_break_blanks() -%}
\u00a0\u202f
{%- endmacro %}

{# Remove the ordinary and no-break blanks, and the `others`, from both ends of a text. #}
{% macro trim_blanks(text, others='') -%}
trim({{ text }}, E' {{ no_break_blanks() }}{{ others }}')
{%- endmacro %}
