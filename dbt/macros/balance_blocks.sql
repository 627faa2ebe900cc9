{#
    Return a query for the blocks of days that are whole together: an irregular day, joined with one
    or both days beside it. A bank may order transactions by another date than the transaction date.

    Args:
        days: name of a CTE with account_id, position (of the day in its account),
            transaction_date, shape, starts, ends and net_without_balance.
#}
{% macro balance_blocks(days) -%}
select *
    from (
        select
            neighbours.account_id,
            block.first_position,
            block.last_position,
            block.first_date,
            block.last_date,
            block.next_start,
            {{ array_except('block.all_starts', 'block.all_ends') }} as starts,
            {{ array_except('block.all_ends', 'block.all_starts') }} as ends
        from (
            select
                account_id,
                position,
                transaction_date,
                starts,
                ends,
                net_without_balance,
                cardinality(starts) > 1 and net_without_balance = 0 as is_irregular,
                lag(transaction_date) over account as previous_date,
                lag(starts) over account as previous_starts,
                lag(ends) over account as previous_ends,
                lag(net_without_balance) over account as previous_net,
                lead(transaction_date) over account as next_date,
                lead(starts) over account as next_starts,
                lead(ends) over account as next_ends,
                lead(net_without_balance) over account as next_net,
                lead(fixed_start) over account as start_behind,
                lead(fixed_start, 2) over account as next_start_behind
            from {{ days }}
            window account as (partition by account_id order by position)
        ) as neighbours
        cross join lateral (
            values
            (
                position - 1, position, previous_date, transaction_date,
                previous_starts || starts, previous_ends || ends,
                previous_net = 0, start_behind
            ),
            (
                position, position + 1, transaction_date, next_date,
                starts || next_starts, ends || next_ends,
                next_net = 0, next_start_behind
            ),
            (
                position - 1, position + 1, previous_date, next_date,
                previous_starts || starts || next_starts, previous_ends || ends || next_ends,
                previous_net = 0 and next_net = 0, next_start_behind
            )
        ) as block (
            first_position, last_position, first_date, last_date,
            all_starts, all_ends, has_balances_only, next_start
        )
        where is_irregular and has_balances_only
    ) as blocks
    where cardinality(starts) < 2
{%- endmacro %}
