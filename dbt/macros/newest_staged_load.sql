{#
    Return the `_load_id` of the newest load of a source in staging.transactions, or 0 to read all of its
    table in raw. Load ids count per table, so each source has its own.

    Load ids are an exact high-water mark, because load n+1 begins only after load n has ended.
    However, load ids start again at 1 when somebody empties raw with its load log and loads the files
    again. To detect this, the macro looks in raw for the most recently staged row. If raw no longer
    has this row on the same line of the same load, or if this load ended after the row was staged,
    the macro returns 0 and the run reads all of raw. The model's unique key then prevents duplicates.

    Rows that are deleted from raw stay in staging until `dbt run --full-refresh`.

    Args:
        name: name of the source.
#}
{% macro newest_staged_load(name) -%}
coalesce(
        (
            select newest_row._load_id
            from (
                select
                    transaction_id,
                    _load_id,
                    _source_line,
                    _staged_at
                from {{ this }}
                where source = '{{ name }}'
                order by _staged_at desc, _load_id desc
                limit 1
            ) as newest_row
            inner join {{ source('raw', name) }} as raw_row
                on
                    newest_row.transaction_id
                    = {{ transaction_id("'" ~ name ~ "'", 'raw_row._row_hash') }}
                    and newest_row._load_id = raw_row._load_id
                    and newest_row._source_line = raw_row._source_line
            where
                not exists (
                    select 1 from {{ source('raw', '_loads') }} as loads
                    where
                        loads.table_name = '{{ name }}'
                        and loads.load_id = newest_row._load_id
                        and loads.finished_at > newest_row._staged_at
                )
        ),
        0
    )
{%- endmacro %}
