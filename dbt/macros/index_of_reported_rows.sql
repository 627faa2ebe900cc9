{#
    Create a partial index of the rows that data tests report, unless the table has one. It is small, so
    each of these tests reads a few pages instead of the whole table. The planner recognises that the
    condition of a test implies the condition of the index.

    A missing balance or value date is not among the conditions: some banks export none, and the index
    would have every row.

    The statistics show the planner that few transactions are backdated. Without them it expects a third
    of all rows, and reads the whole table.

    Postgres names both, because names must differ while two tables exist during a full refresh.
#}
{% macro index_of_reported_rows() -%}
{%- if execute -%}
{%- set existing = run_query(
    "select 1 from pg_index where indrelid = '" ~ this ~ "'::regclass and indpred is not null"
) -%}
{%- if not existing.rows -%}
create statistics on ({{ days_between_dates() }}) from {{ this }};
create index on {{ this }} (transaction_id)
where
    account_number is null
    or transaction_date is null
    or _unparsed is not null
    or withdrawal_amount < 0
    or deposit_amount < 0
    or {{ is_backdated() }}
    or {{ is_total() }}
    or {{ has_no_amount() }}
{%- endif -%}
{%- endif -%}
{%- endmacro %}
