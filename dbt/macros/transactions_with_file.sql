{#
    The rows of staging.transactions, with the name of the file of each.

    A query that does not read the file does not read the load log either. A join would keep Postgres
    from using the indexes of staging.transactions for `max(transaction_date)` or `order by`, even if
    nobody reads the file. The file is null if the load is no longer in the load log. The inner
    subqueries are needed for `dbt run --empty`, where a ref() already ends with an alias.
#}
{% macro transactions_with_file() -%}
select
        transactions.*,
        (
            select loads._source_file
            from (select * from {{ ref('loads') }}) as loads
            where loads._load_id = transactions._load_id
        ) as _source_file
    from (select * from {{ ref('transactions') }}) as transactions
{%- endmacro %}
