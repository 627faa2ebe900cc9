{# The ends of a net that begins at a possible balance. Null if it does not, or has several starts. #}
{% macro reached(net, first_date, last_date, balances) -%}
case cardinality({{ net }}.starts)
                when 1 then
                    case
                        when {{ balances }} is null or {{ net }}.starts[1] = any({{ balances }})
                            then {{ net }}.ends
                    end
                when 0 then (
                    select array_agg(distinct edges.balance_after)
                    from {{ ref('transaction_edges') }} as edges
                    where
                        edges.account_number = {{ net }}.account_number
                        and edges.transaction_date between {{ first_date }} and {{ last_date }}
                        and ({{ balances }} is null or edges.balance_after = any({{ balances }}))
                )
            end
{%- endmacro %}

{#
    The balances that an account can have after a day with transactions without a balance.

    Their position among the others is unknown. They move the balance by their net before the others,
    behind them, or between an end and a start that differ by it.
#}
{% macro reached_with_net(day, balances) -%}
(
                select
                    array_agg(distinct move.balance_after)
                        filter (
                            where {{ balances }} is null or move.balance_before = any({{ balances }})
                        )
                from (
                    select
                        side.balance - net.net_before,
                        side.balance_after + {{ day }}.net_without_balance - net.net_before
                    from (
                        select {{ day }}.starts[1], {{ day }}.ends[1]
                        where cardinality({{ day }}.starts) = 1
                        union all
                        select edges.balance_after, edges.balance_after
                        from {{ ref('transaction_edges') }} as edges
                        where
                            cardinality({{ day }}.starts) = 0
                            and edges.account_number = {{ day }}.account_number
                            and edges.transaction_date = {{ day }}.transaction_date
                    ) as side (balance, balance_after)
                    cross join lateral (
                        values (0), ({{ day }}.net_without_balance)
                    ) as net (net_before)
                    union all
                    select
                        {{ day }}.starts[3 - one.start_number],
                        {{ day }}.ends[3 - other.end_number]
                    from (values (1), (2)) as one (start_number)
                    cross join (values (1), (2)) as other (end_number)
                    where
                        cardinality({{ day }}.starts) = 2
                        and {{ day }}.ends[other.end_number] + {{ day }}.net_without_balance
                        = {{ day }}.starts[one.start_number]
                ) as move (balance_before, balance_after)
            )
{%- endmacro %}

{#
    Return a query for one step of the walk: the first of these readings of a day that fits.

    1. The day as it is begins at a possible balance.
    2. A block that begins with the day does, and the day behind it begins at the block's end.
    3. The same for the day without surplus copies of its edges (see irregular_days).
    4. The same for a path, of whose only dangling edge a copy is surplus. It closes on itself then.
    5. The day without surplus copies begins at another balance.
    6. The day as it is, as a break.

    Args:
        day: alias of the day.
        balances: the balances that the account can have before the day; null if unknown.
#}
{% macro balance_step(day, balances) -%}
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
                    when {{ day }}.net_without_balance = 0 then {{ reached(
                        day, day ~ '.transaction_date', day ~ '.transaction_date', balances
                    ) }}
                    else {{ reached_with_net(day, balances) }}
                end as balances_after,
                {{ day }}.starts,
                {{ day }}.ends,
                null::uuid [] as surplus_ids,
                null::numeric as next_start

            union all

            select
                2,
                block.last_position,
                {{ reached('block', 'block.first_date', 'block.last_date', balances) }},
                block.starts,
                block.ends,
                null,
                block.next_start
            from blocks as block
            where
                block.account_number = {{ day }}.account_number
                and block.first_position = {{ day }}.position

            union all

            select
                3,
                {{ day }}.position,
                {{ reached('way', 'way.transaction_date', 'way.transaction_date', balances) }},
                way.starts,
                way.ends,
                way.surplus_ids,
                {{ day }}.next_start
            from ways as way
            where
                cardinality({{ day }}.starts) > 1
                and way.account_number = {{ day }}.account_number
                and way.transaction_date = {{ day }}.transaction_date

            union all

            select
                4,
                {{ day }}.position,
                (
                    select array_agg(distinct edges.balance_after)
                    from {{ ref('transaction_edges') }} as edges
                    where
                        edges.account_number = {{ day }}.account_number
                        and edges.transaction_date = {{ day }}.transaction_date
                        and edges.balance_after = any({{ balances }})
                ),
                array[]::numeric [],
                array[]::numeric [],
                copies.ids[2:2],
                {{ day }}.next_start
            from (
                select array_agg(edges.transaction_id order by edges._load_id, edges._source_line)
                    as ids
                from {{ ref('transaction_edges') }} as edges
                where
                    edges.account_number = {{ day }}.account_number
                    and edges.transaction_date = {{ day }}.transaction_date
                    and edges.balance_before = {{ day }}.starts[1]
                    and edges.balance_after = {{ day }}.ends[1]
            ) as copies
            where
                {{ day }}.shape = 'path'
                and {{ day }}.net_without_balance = 0
                and {{ day }}.starts[1] <> all({{ balances }})
                and cardinality(copies.ids) > 1

            union all

            select
                5,
                {{ day }}.position,
                way.ends,
                way.starts,
                way.ends,
                way.surplus_ids,
                {{ day }}.next_start
            from ways as way
            where
                cardinality({{ day }}.starts) > 1
                and way.account_number = {{ day }}.account_number
                and way.transaction_date = {{ day }}.transaction_date
                and cardinality(way.starts) = 1

            union all

            select
                6,
                {{ day }}.position,
                case
                    when cardinality({{ day }}.starts) = 0 then (
                        select array_agg(distinct edges.balance_after)
                        from {{ ref('transaction_edges') }} as edges
                        where
                            edges.account_number = {{ day }}.account_number
                            and edges.transaction_date = {{ day }}.transaction_date
                    )
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
