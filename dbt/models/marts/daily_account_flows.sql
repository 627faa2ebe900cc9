{{ config(post_hook="{{ analyze_new_table() }}") }}

{#
    Sums, opening and closing balance per account and day.

    All transactions of an account form one path of balances. This model walks along the days of
    each account with the set of balances that the account can have:

    - a path leads from its start to its end;
    - a day that closes on itself keeps those of its balances that the account can have;
    - a day without balances moves the set by its net amount;
    - an irregular day may be whole with the days beside it, or without surplus copies;
    - a day that fits none of the possible balances is a break.

    An incremental run walks from shortly before the first changed day of an account, and writes the
    days whose result changed.
#}
with recursive
sums as not materialized (

    select * from {{ ref('account_days') }}

),

nets as not materialized (

    select * from {{ ref('irregular_days') }}

),

transaction_edges as not materialized (

    select * from {{ ref('transaction_edges') }}

),

{% if is_incremental() %}
changed_accounts as (

    select
        sums.account_id,
        min(sums.transaction_date) as first_changed_date
    from sums
    where
        sums._staged_at
        > (select coalesce(max(stored._staged_at), '-infinity') from {{ this }} as stored)
    group by sums.account_id

),

-- Three settled days before the first changed one, because a change can alter the days beside it.
walk_starts as (

    select
        changed_accounts.account_id,
        coalesce(settled.transaction_date, '-infinity') as settled_date,
        settled._balances as settled_balances
    from changed_accounts
    left join lateral (
        select
            stored.transaction_date,
            stored._balances
        from {{ this }} as stored
        where
            stored.account_id = changed_accounts.account_id
            and stored.transaction_date < changed_accounts.first_changed_date
            and stored._balances is not null
            and not stored._is_in_block
        order by stored.transaction_date desc
        limit 1 offset 2
    ) as settled on true

),
{% else %}
walk_starts as (

    select distinct
        account_id,
        '-infinity'::date as settled_date,
        null::numeric[] as settled_balances
    from sums

),
{% endif %}

days as (

    select
        sums.*,
        walk_starts.settled_balances,
        case sums.shape
            when 'path' then array[sums.path_start]::numeric[]
            when 'closed' then array[]::numeric[]
            when 'irregular' then nets.balance_starts
        end as starts,
        case sums.shape
            when 'path' then array[sums.path_end]::numeric[]
            when 'closed' then array[]::numeric[]
            when 'irregular' then nets.balance_ends
        end as ends,
        case when sums.shape = 'path' and sums.count_without_balance = 0 then sums.path_start end
            as fixed_start,
        case when sums.shape = 'path' and sums.count_without_balance = 0 then sums.path_end end
            as fixed_end,
        row_number() over (
            partition by sums.account_id order by sums.transaction_date
        ) as position
    from sums
    inner join walk_starts
        on
            sums.account_id = walk_starts.account_id
            and sums.transaction_date > walk_starts.settled_date
    left join nets
        on
            sums.account_id = nets.account_id
            and sums.transaction_date = nets.transaction_date
            and sums.shape = 'irregular'
            and nets.way_number = 1

),

ways as not materialized (

    select
        nets.account_id,
        nets.transaction_date,
        nets.balance_starts as starts,
        nets.balance_ends as ends,
        nets.surplus_ids
    from nets
    where nets.way_number > 1

),

blocks as (

    {{ balance_blocks('days') }}

),

-- A path that begins where the path of the day before ends has no other reading. It is fixed. The
-- walk visits only the other days.
fixed_or_walked as (

    select
        days.*,
        coalesce(days.fixed_start = lag(days.fixed_end) over account, false) as is_fixed,
        lead(days.fixed_start) over account as next_start,
        lead(days.position) over account is null as is_last,
        exists(
            select 1 from blocks
            where
                blocks.account_id = days.account_id
                and blocks.first_position = days.position + 1
                and blocks.starts = days.ends
        ) as is_block_behind
    from days
    window account as (partition by days.account_id order by days.position)

),

walk as (

    -- the fixed days from which the walk goes on to the next day
    select
        account_id,
        position as last_position,
        position as first_position,
        transaction_date as first_date,
        null::numeric[] as balances_before,
        ends as balances_after,
        null::integer as reading_number,
        starts,
        ends,
        null::uuid[] as surplus_ids
    from fixed_or_walked
    where is_fixed and next_start is distinct from fixed_end

    union all

    select
        account_id,
        0 as last_position,
        null as first_position,
        null as first_date,
        null as balances_before,
        settled_balances as balances_after,
        null as reading_number,
        null as starts,
        null as ends,
        null as surplus_ids
    from fixed_or_walked
    where position = 1

    union all

    select
        day.account_id,
        step.last_position,
        day.position as first_position,
        day.transaction_date as first_date,
        walk.balances_after as balances_before,
        step.balances_after,
        step.reading_number,
        step.starts,
        step.ends,
        step.surplus_ids
    from walk
    inner join fixed_or_walked as day
        on
            walk.account_id = day.account_id
            and walk.last_position + 1 = day.position
    cross join
        lateral (
            {{ balance_step('day', 'walk.balances_after') }}
        ) as step
    where not day.is_fixed

),

-- The steps of the walk, for each of their days.
steps as (

    select
        walk.*,
        day_position
    from walk
    cross join lateral generate_series(walk.first_position, walk.last_position) as day_position
    where walk.reading_number is not null

),

-- The result of each day, from the walk or, on a fixed day, from the path itself. In a block, only
-- the last day has balances.
readings as (

    select
        days.*,
        coalesce(steps.reading_number >= 5, false) as is_break,
        coalesce(steps.last_position > days.position, false) as is_in_block,
        coalesce(steps.first_date, days.transaction_date) as first_date,
        steps.reading_number,
        steps.surplus_ids,
        case
            when days.is_fixed then days.starts
            when steps.last_position = days.position then steps.balances_before
        end as balances_before,
        case
            when days.is_fixed then days.ends
            when steps.last_position = days.position then steps.balances_after
        end as balances_after,
        case
            when days.is_fixed then days.starts
            when steps.last_position = days.position then steps.starts
        end as reading_starts,
        case
            when days.is_fixed then days.ends
            when steps.last_position = days.position then steps.ends
        end as reading_ends
    from fixed_or_walked as days
    left join steps
        on
            days.account_id = steps.account_id
            and days.position = steps.day_position

),

final as (

    select
        -- ids
        account_id,
        source,
        account_number,
        currency,
        transaction_date,

        -- amounts
        withdrawal_amount,
        deposit_amount,
        case
            when is_in_block or first_date < transaction_date then null
            when cardinality(balances_before) = 1 then balances_before[1]
            when
                balances_before is null and cardinality(reading_starts) = 1
                and count_without_balance = 0
                then reading_starts[1]
        end::numeric(18, 2) as opening_balance,
        case when cardinality(balances_after) = 1 then balances_after[1] end::numeric(18, 2)
            as closing_balance,

        -- counts
        transaction_count,
        withdrawal_count,
        deposit_count,
        balance_count,

        -- reading of the day
        is_break and not is_in_block as is_break,
        coalesce(reading_number, 1) as _reading_number,
        balances_before as _balances_before,
        balances_after as _balances,
        is_in_block as _is_in_block,
        first_date as _first_date,
        reading_starts as _balance_starts,
        reading_ends as _balance_ends,
        surplus_ids as _surplus_ids,

        -- origin
        _first_load_id,
        _last_load_id,
        _staged_at

    from readings

)

select *
from final
{% if is_incremental() %}
where
    not exists (
        select 1 from {{ this }} as stored
        where
            stored.account_id = final.account_id
            and stored.transaction_date = final.transaction_date
            and stored.* is not distinct from final.*
    )
{% endif %}
