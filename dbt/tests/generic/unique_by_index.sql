{#
    Fail on each value that more than one row has; nulls may repeat.

    A valid unique index of the column proves that there is none, so the rows are read only if the
    table has no such index. Postgres evaluates the condition once, before it reads a row.
#}
{% test unique_by_index(model, column_name) %}
select
    {{ column_name }},
    count(*) as row_count
from {{ model }}
where
    {{ column_name }} is not null
    and not exists (
        select 1
        from pg_index
        inner join pg_attribute
            on
                pg_attribute.attrelid = pg_index.indrelid
                and pg_attribute.attnum = pg_index.indkey[0]
        where
            pg_index.indrelid = '{{ model }}'::regclass
            and pg_index.indisunique
            and pg_index.indisvalid
            and pg_index.indisready
            and pg_index.indimmediate
            and pg_index.indpred is null
            and pg_index.indnkeyatts = 1
            and pg_attribute.attname = '{{ column_name }}'
    )
group by {{ column_name }}
having count(*) > 1
{% endtest %}
