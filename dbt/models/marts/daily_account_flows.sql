{#
    Sums, opening and closing balance per account and day.

    All transactions of an account form one path of balances. This model walks along the days of
    each account with the set of balances that the account can have. A day is a set of moves from a
    balance before it to a balance after it:

    - a path has one move, from its start to its end;
    - a day that closes on itself has a move from each of its balances to the same balance;
    - a day without balances moves any balance by its net amount;
    - an irregular day that the days beside it do not complete has no move.

    The moves that begin at a possible balance give the next set. If there is none, the day is a
    break, and all its moves give the next set.

    A path without further transactions has the same result for any set. Only the other days, which
    "float", need the walk from day to day.

    An incremental run walks from shortly before the first changed day of an account, and writes the
    days whose result changed.
#}
with recursive
{% if is_incremental() %}
changed_accounts as (

    select
        account_number,
        min(transaction_date) as first_changed_date
    from {{ ref('account_days') }}
    where _staged_at > (select coalesce(max(_staged_at), '-infinity') from {{ this }})
    group by account_number

),

-- Three settled days before the first changed one, because a change can alter the days beside it.
walk_starts as (

    select
        changed_accounts.account_number,
        coalesce(settled.transaction_date, '-infinity') as settled_date,
        settled._balances as settled_balances
    from changed_accounts
    left join lateral (
        select
            stored.transaction_date,
            stored._balances
        from {{ this }} as stored
        where
            stored.account_number = changed_accounts.account_number
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
        account_number,
        '-infinity'::date as settled_date,
        null::numeric [] as settled_balances
    from {{ ref('account_days') }}

),
{% endif %}

days as (

    select
        days.*,
        walk_starts.settled_balances,
        irregular_days.surplus_ids,
        case days.shape
            when 'path' then array[days.path_start]::numeric[]
            when 'closed' then array[]::numeric[]
            when 'irregular' then irregular_days.balance_starts
        end as starts,
        case days.shape
            when 'path' then array[days.path_end]::numeric[]
            when 'closed' then array[]::numeric[]
            when 'irregular' then irregular_days.balance_ends
        end as ends,
        row_number() over account as position
    from {{ ref('account_days') }} as days
    inner join walk_starts
        on
            days.account_number = walk_starts.account_number
            and days.transaction_date > walk_starts.settled_date
    left join {{ ref('irregular_days') }} as irregular_days
        on
            days.account_number = irregular_days.account_number
            and days.transaction_date = irregular_days.transaction_date
            and days.shape = 'irregular'
    window account as (partition by days.account_number order by days.transaction_date)

),

blocks as (

    {{ balance_blocks('days') }}

),

-- The days, with the net of a block at its last day.
walk_days as (

    select
        days.account_number,
        days.transaction_date,
        days.position,
        days.settled_balances,
        days.net_without_balance,
        blocks.last_position > days.position as is_in_block,
        min(days.transaction_date) over (
            partition by days.account_number, coalesce(blocks.first_position, days.position)
        ) as first_date,
        case
            when blocks.position is null then days.starts
            when blocks.position = blocks.last_position then blocks.starts
        end as starts,
        case
            when blocks.position is null then days.ends
            when blocks.position = blocks.last_position then blocks.ends
        end as ends
    from days
    left join blocks
        on days.account_number = blocks.account_number and days.position = blocks.position

),

-- A path without further transactions is fixed, and so is an irregular day: its ends are known
-- without the days before it. All other days float.
fixed_or_floating as (

    select
        *,
        coalesce(cardinality(starts) > 0 and net_without_balance = 0, false) as is_fixed,
        lead(cardinality(starts) > 0 and net_without_balance = 0) over (
            partition by account_number order by position
        ) as is_next_fixed
    from walk_days

),

walk as (

    -- the fixed days before floating ones
    select
        account_number,
        position,
        ends as balances,
        false as is_break,
        false as is_floating
    from fixed_or_floating
    where is_fixed and is_next_fixed is not true

    union all

    -- the beginning of accounts whose first day floats
    select
        account_number,
        0,
        settled_balances,
        false,
        false
    from fixed_or_floating
    where position = 1 and not is_fixed

    union all

    select
        day.account_number,
        day.position,
        coalesce(moves.reached, moves.balances_after, day.ends),
        moves.reached is null and day.starts is not null,
        true
    from walk
    inner join fixed_or_floating as day
        on walk.account_number = day.account_number and walk.position + 1 = day.position
    cross join lateral (
        {{ balance_moves('day', 'walk.balances') }}
    ) as moves
    where not day.is_fixed

),

walked as (

    select
        fixed_or_floating.*,
        case when is_fixed then ends else walk.balances end as balances_after,
        case when is_fixed then cardinality(starts) > 1 else walk.is_break end as is_broken
    from fixed_or_floating
    left join walk
        on
            fixed_or_floating.account_number = walk.account_number
            and fixed_or_floating.position = walk.position
            and walk.is_floating

),

connected as (

    select
        *,
        case
            when position = 1 then settled_balances
            else lag(balances_after) over (partition by account_number order by position)
        end as balances_before
    from walked

),

final as (

    select
        -- ids
        days.account_number,
        days.transaction_date,

        -- amounts
        days.withdrawal_amount,
        days.deposit_amount,
        case
            when connected.is_in_block or connected.first_date < days.transaction_date then null
            when cardinality(connected.balances_before) = 1 then connected.balances_before[1]
            when connected.balances_before is null and connected.is_fixed
                and cardinality(connected.starts) = 1
                then connected.starts[1]
        end::numeric(18, 2) as opening_balance,
        case
            when cardinality(connected.balances_after) = 1 and connected.is_in_block is not true
                then connected.balances_after[1]
        end::numeric(18, 2) as closing_balance,

        -- counts
        days.transaction_count,
        days.withdrawal_count,
        days.deposit_count,
        days.balance_count,

        -- state of the walk
        connected.is_broken or (
            connected.is_fixed
            and connected.starts[1] <> all(connected.balances_before)
        ) is true as is_break,
        connected.balances_before as _balances_before,
        connected.balances_after as _balances,
        coalesce(connected.is_in_block, false) as _is_in_block,
        connected.first_date as _first_date,
        connected.starts as _balance_starts,
        connected.ends as _balance_ends,
        days.surplus_ids as _surplus_ids,
        days._first_load_id,
        days._last_load_id,
        days._staged_at

    from connected
    inner join days
        on
            connected.account_number = days.account_number
            and connected.position = days.position

)

select final.*
from final
{% if is_incremental() %}
where
    not exists (
        select from {{ this }} as stored
        where
            stored.account_number = final.account_number
            and stored.transaction_date = final.transaction_date
            and stored is not distinct from final
    )
{% endif %}
