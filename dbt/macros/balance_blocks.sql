{#
    Return a query for the blocks of days: an irregular day, joined with one or both days beside it.

    A bank may order transactions by another date than the transaction date. An irregular day is then
    whole together with the days beside it: their net has at most one start. The query returns one
    row per day of a block, with the net of the block.

    Args:
        days: name of a CTE with account_number, position (of the day in its account), starts, ends
            and net_without_balance.
#}
{% macro balance_blocks(days) -%}
select
        account_number,
        day_position as position,
        first_position,
        last_position,
        starts,
        ends
    from (
        select
            *,
            lag(last_position) over (
                partition by account_number order by first_position, last_position
            ) as previous_last_position
        from (
            select distinct account_number, first_position, last_position, starts, ends
            from (
                -- the smallest block of each irregular day
                select distinct on (account_number, position)
                    block_nets.*
                from (
                    select
                        account_number,
                        position,
                        first_position,
                        last_position,
                        {{ array_except('all_starts', 'all_ends') }} as starts,
                        {{ array_except('all_ends', 'all_starts') }} as ends
                    from (
                        select
                            account_number,
                            position,
                            starts,
                            ends,
                            net_without_balance,
                            lag(starts) over account as previous_starts,
                            lag(ends) over account as previous_ends,
                            lag(net_without_balance) over account as previous_net,
                            lead(starts) over account as next_starts,
                            lead(ends) over account as next_ends,
                            lead(net_without_balance) over account as next_net
                        from {{ days }}
                        window account as (partition by account_number order by position)
                    ) as neighbours
                    cross join lateral (
                        values
                        (
                            position - 1, position,
                            previous_starts || starts, previous_ends || ends,
                            previous_net = 0
                        ),
                        (
                            position, position + 1,
                            starts || next_starts, ends || next_ends,
                            next_net = 0
                        ),
                        (
                            position - 1, position + 1,
                            previous_starts || starts || next_starts,
                            previous_ends || ends || next_ends,
                            previous_net = 0 and next_net = 0
                        )
                    ) as block (first_position, last_position, all_starts, all_ends, is_possible)
                    where cardinality(starts) > 1 and net_without_balance = 0 and is_possible
                ) as block_nets
                where cardinality(starts) <= 1
                order by account_number, position, last_position - first_position, first_position
            ) as smallest_blocks
        ) as distinct_blocks
    ) as ordered_blocks
    cross join lateral generate_series(first_position, last_position) as day_position
    -- Of blocks that overlap, the first one applies.
    where coalesce(previous_last_position < first_position, true)
{%- endmacro %}
