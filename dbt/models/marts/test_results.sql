with results as (

    select * from {{ source('audit', 'test_results') }}

),

final as (

    select
        -- ids
        invocation_id,
        test_name,
        tested_models,

        -- outcome
        severity,
        status,
        failures,
        failing_rows,
        message,

        -- times
        duration_seconds,
        executed_at,
        executed_at = max(executed_at) over (partition by test_name) as is_latest,
        executed_at = max(executed_at) over () as is_newest_run

    from results

)

select * from final
