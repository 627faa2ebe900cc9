{#
    Create the partial indexes of staging.transactions, unless the table has them.

    The first index has the rows that data tests report. It is small, so each of these tests reads a
    few pages instead of the whole table. The planner recognises that the condition of a test implies
    the condition of the index. The second one is for `newest_staged_load` of the declared sources, and has
    no row of the known source. Without other sources, it is not created: this would only cost a scan
    of the table.

    A missing balance or value date is not among the conditions: some banks export none, and the index
    would have every row.

    The statistics show the planner that few transactions are backdated. Without them it expects a third
    of all rows, and reads the whole table.

    Postgres names all of them, because names must differ while two tables exist during a full refresh.
#}
{% macro partial_indexes() -%}
{%- if execute -%}
{%- set existing = run_query(
    "select pg_get_expr(indpred, indrelid) from pg_index"
    ~ " where indrelid = '" ~ this ~ "'::regclass and indpred is not null"
).columns[0].values() | join -%}
{%- if '_unparsed' not in existing %}
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
    or {{ has_no_amount() }};
{%- endif %}
{%- if var('sources') and 'source' not in existing %}
create index on {{ this }} (source, _staged_at, _load_id) where source <> 'transactions';
{%- endif %}
{%- endif -%}
{%- endmacro %}
