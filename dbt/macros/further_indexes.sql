{#
    Create the indexes of staging.transactions that dbt's config `indexes` cannot declare, unless the
    table has them.

    The first index is for "the biggest transactions" and the like.

    The second index is partial: it has only rows that data tests report. It is small, and each of the
    tests then reads a few pages instead of the whole table. The planner recognises that the condition
    of a test implies the condition of the index. A missing balance is not among the conditions: some
    banks export none, and the index would have every row.

    Postgres chooses the names of the indexes, because during a full refresh two tables exist.
#}
{% macro further_indexes() -%}
{%- if execute -%}
{%- set existing = run_query(
    "select 1 from pg_index where indrelid = '" ~ this ~ "'::regclass and indpred is not null"
) -%}
{%- if not existing.rows -%}
create index on {{ this }} (({{ amount() }}));
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
