{#
    The newest load of raw.transactions that is in this model, or 0.

    _load_id is exact (load n+1 begins after n has ended), but it only counts while raw is what
    this model has read: when raw was emptied and loaded again, numbers may begin at 1 once more.
    Then raw no longer holds the newest row that is here, and the answer is 0: everything is read
    again, and the unique key keeps it from doubling anything. Rows that raw has lost stay here
    until a full refresh.
#}
{% macro newest_staged_load() -%}
coalesce(
        (
            select newest._load_id
            from (
                select
                    transaction_id,
                    _load_id,
                    _loaded_at
                from {{ this }}
                order by _staged_at desc, _load_id desc
                limit 1
            ) as newest
            inner join {{ source('raw', 'transactions') }} as origin
                on
                    newest.transaction_id = origin._row_hash
                    and newest._load_id = origin._load_id
                    and newest._loaded_at = origin._loaded_at
        ),
        0
    )
{%- endmacro %}
