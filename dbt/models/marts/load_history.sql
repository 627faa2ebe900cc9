with loads as (

    select * from {{ source('raw', '_loads') }}

),

final as (

    select
        -- ids
        table_name,
        load_id,

        -- file
        source_file,
        file_size,
        file_sha256,

        -- outcome
        status,
        error,

        -- counts
        rows_read,
        rows_loaded,
        rows_duplicate,
        rows_rejected,
        rows_skipped,

        -- times
        started_at,
        finished_at,
        extract(epoch from finished_at - started_at)::double precision as duration_seconds

    from loads

)

select * from final
