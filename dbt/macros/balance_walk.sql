{#
    Return a query for one step of the walk: the first of these readings of a day that fits.

    1. The day as it is begins at a possible balance.
    2. A block whose first day is this day begins at a possible balance. The day behind the block
       begins at the block's end.
    3. The same for the day without surplus copies of its edges (see irregular_days).
    4. The same for a path without a surplus copy of an edge at its start.
    5. The day passes a possible balance and returns to it, but has breaks within. No end of the day
       fits the day behind it. (On the last day, a path gets reading 7: the break is before it.)
    6. The day without surplus copies begins at another balance, but has fewer breaks.
    7. The day as it is, as a break.

    If the balances before the day are unknown, any path fits. A block then comes first (number 0),
    unless another block begins on the day behind, at the end of this day.

    The query reads the CTEs transaction_edges, blocks and ways, and the model transactions.

    Args:
        day: alias of the day.
        balances: the balances that the account can have before the day; null if unknown.
#}
{% macro balance_step(day, balances) -%}
{%- set date = day ~ '.transaction_date' -%}
select
            reading_number,
            last_position,
            balances_after,
            starts,
            ends,
            surplus_ids
        from (
            select
                1 as reading_number,
                {{ day }}.position as last_position,
                case
                    when {{ balances }} is null and {{ day }}.starts is null then null
                    when {{ day }}.starts is null then array(
                        select balance + {{ day }}.net_without_balance
                        from unnest({{ balances }}) as balance
                    )
                    when {{ day }}.count_without_balance > 0
                        then {{ reached_with_net(day, balances) }}
                    else {{ reached(day, day, date, date, balances) }}
                end as balances_after,
                {{ day }}.starts,
                {{ day }}.ends,
                null::uuid [] as surplus_ids,
                null::numeric as next_start

            union all

            select
                case when {{ balances }} is null then 0 else 2 end,
                block.last_position,
                {{ reached(day, 'block', 'block.first_date', 'block.last_date', balances) }},
                block.starts,
                block.ends,
                null,
                block.next_start
            from blocks as block
            where
                block.account_id = {{ day }}.account_id
                and block.first_position = {{ day }}.position
                and ({{ balances }} is not null or not {{ day }}.is_block_behind)

            union all

            select
                3,
                {{ day }}.position,
                {{ reached(day, 'way', 'way.transaction_date', 'way.transaction_date', balances) }},
                way.starts,
                way.ends,
                way.surplus_ids,
                {{ day }}.next_start
            from ways as way
            where
                cardinality({{ day }}.starts) > 1
                and way.account_id = {{ day }}.account_id
                and way.transaction_date = {{ day }}.transaction_date

            union all

            select
                4,
                {{ day }}.position,
                case
                    when copies.balance_after = any({{ balances }}) then {{ day }}.ends
                    when copies.balance_after = {{ day }}.ends[1]
                        then {{ closed_balances(day, date, date, balances) }}
                end,
                case
                    when copies.balance_after = any({{ balances }})
                        then array[copies.balance_after]
                    else array[]::numeric []
                end,
                case
                    when copies.balance_after = any({{ balances }}) then {{ day }}.ends
                    else array[]::numeric []
                end,
                copies.ids[2:2],
                {{ day }}.next_start
            from (
                select
                    edges.balance_after,
                    array_agg(edges.transaction_id order by edges._load_id, edges._source_line)
                        as ids
                from transaction_edges as edges
                where
                    {{ day }}.fixed_start <> all({{ balances }})
                    and {{ same_account('edges', day) }}
                    and edges.transaction_date = {{ day }}.transaction_date
                    and edges.balance_before = {{ day }}.fixed_start
                group by edges.balance_after
                having count(*) > 1
            ) as copies

            union all

            select
                5,
                {{ day }}.position,
                (
                    select array_agg(distinct node.balance)
                    from transaction_edges as edges
                    cross join lateral (
                        values (edges.balance_before), (edges.balance_after)
                    ) as node (balance)
                    where
                        {{ same_account('edges', day) }}
                        and edges.transaction_date = {{ day }}.transaction_date
                        and node.balance = any({{ balances }})
                ),
                {{ day }}.starts,
                {{ day }}.ends,
                null,
                null
            where
                cardinality({{ day }}.starts) > 0
                and {{ day }}.net_without_balance = 0
                and not {{ balances }} && {{ day }}.starts
                and (cardinality({{ day }}.starts) > 1 or not {{ day }}.is_last)
                and coalesce({{ day }}.next_start <> all({{ day }}.ends), true)

            union all

            select
                6,
                {{ day }}.position,
                way.ends,
                way.starts,
                way.ends,
                way.surplus_ids,
                {{ day }}.next_start
            from ways as way
            where
                cardinality({{ day }}.starts)
                > case when {{ balances }} && {{ day }}.starts then 2 else 1 end
                and way.account_id = {{ day }}.account_id
                and way.transaction_date = {{ day }}.transaction_date
                and cardinality(way.starts) = 1

            union all

            select
                7,
                {{ day }}.position,
                case
                    when cardinality({{ day }}.starts) = 0
                        then {{ closed_balances(day, date, date, 'null::numeric []') }}
                    else {{ day }}.ends
                end,
                {{ day }}.starts,
                {{ day }}.ends,
                null,
                null
        ) as readings
        where
            (balances_after is not null or ({{ day }}.starts is null and reading_number = 1))
            and (next_start is null or next_start = any(balances_after))
        order by reading_number, last_position, cardinality(surplus_ids)
        limit 1
{%- endmacro %}
