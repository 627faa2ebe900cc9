{#
    The rows of staging.transactions, with the name of the file of each.

    The file is a subquery, so a query that reads the file looks it up once per row. A join would be
    faster for all rows, but it would keep Postgres from using an index of staging.transactions for
    `max(transaction_date)`, even in a query that does not read the file. The file is null if the load
    is no longer in the load log. The inner subqueries are needed for `dbt run --empty`, where a ref()
    already ends with an alias.
#}
{% macro transactions_with_file() -%}
select
        transactions.*,
        (
            select loads._source_file
            from (select * from {{ ref('loads') }}) as loads
            where
                loads.source = transactions.source
                and loads._load_id = transactions._load_id
        ) as _source_file
    from (select * from {{ ref('transactions') }}) as transactions
{%- endmacro %}
