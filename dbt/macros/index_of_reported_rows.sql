{#
    Create a partial index of the rows that data tests report, unless the table has one. It is small,
    and each of the tests then reads a few pages instead of the whole table. The planner recognises
    that the condition of a test implies the condition of the index.

    A missing balance is not among the conditions: some banks export none, and the index would hold
    every row.

    The name of the index is left to Postgres, because during a full refresh two tables exist.
#}
{% macro index_of_reported_rows() -%}
{%- if execute -%}
{%- set partial_index = run_query(
    "select 1 from pg_index where indrelid = '" ~ this ~ "'::regclass and indpred is not null"
) -%}
{%- if not partial_index.rows -%}
create index on {{ this }} (transaction_id)
where
    account_number is null
    or transaction_date is null
    or value_date is null
    or _unparsed is not null
    or value_date < transaction_date
    or withdrawal_amount < 0
    or deposit_amount < 0
    or {{ is_total() }}
    or {{ has_no_amount() }}
{%- endif -%}
{%- endif -%}
{%- endmacro %}
