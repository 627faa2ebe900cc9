{#
    The rows of staging.transactions, with the name of the file of each.

    The outer join keeps a transaction whose load is no longer in the load log. Postgres leaves the
    join out of a query that does not read the file. The subqueries are needed for `dbt run --empty`,
    where a ref() already ends with an alias.
#}
{% macro transactions_with_file() -%}
select
        transactions.*,
        loads._source_file
    from (select * from {{ ref('transactions') }}) as transactions
    left join (select * from {{ ref('loads') }}) as loads
        on transactions._load_id = loads._load_id
{%- endmacro %}
