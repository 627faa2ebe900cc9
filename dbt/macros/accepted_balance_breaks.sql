{#
    Create the table of the seed accepted_balance_breaks if it does not exist, so that `dbt run` works
    before the first `dbt seed`.
#}
{% macro create_accepted_balance_breaks() %}
{%- if execute %}
select pg_advisory_xact_lock(hashtext('audit.accepted_balance_breaks'));
create table if not exists audit.accepted_balance_breaks (
    account_number text,
    transaction_date date,
    difference numeric(18, 2),
    reason text
);
{%- endif %}
{% endmacro %}
