{# The balances of a day or block that closes on itself, as far as the account of `day` can have them. #}
{% macro closed_balances(day, first_date, last_date, balances) -%}
(
                    select array_agg(distinct edges.balance_after)
                    from transaction_edges as edges
                    where
                        {{ same_account('edges', day) }}
                        and edges.transaction_date between {{ first_date }} and {{ last_date }}
                        and ({{ balances }} is null or edges.balance_after = any({{ balances }}))
                )
{%- endmacro %}

{#
    The balances behind a net that begins at a possible balance. Null if the net begins at another
    balance or has several starts. The net is that of `day`, or of a block or way of its account.
#}
{% macro reached(day, net, first_date, last_date, balances) -%}
case cardinality({{ net }}.starts)
                when 1 then
                    case
                        when {{ balances }} is null or {{ net }}.starts[1] = any({{ balances }})
                            then {{ net }}.ends
                    end
                when 0 then {{ closed_balances(day, first_date, last_date, balances) }}
            end
{%- endmacro %}

{#
    The balances that an account can have after a day with transactions without a balance.

    The net of these transactions moves the balance before the other transactions, behind them, or
    between an end and a start that differ by the net. If these transactions stand at several places,
    the order of the lines decides.
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
                        from transaction_edges as edges
                        where
                            cardinality({{ day }}.starts) = 0
                            and {{ same_account('edges', day) }}
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
                    union all
                    {{ moves_in_line_order(day, balances) }}
                ) as move (balance_before, balance_after)
            )
{%- endmacro %}

{#
    A query for the balances before and after a day, on the assumption that the lines of each load are
    in the order of time, oldest or newest first. All loads of the day have the same direction.

    A row without a balance shifts the start of the next row with a balance in its load. Rows behind
    the last row with a balance shift the end of that row. A load may have only rows without a balance
    on the day. Their net moves the balance before all others or behind them.

    The query returns nothing if the balances before a path are known and the net, before or behind
    the path, explains the day.
#}
{% macro moves_in_line_order(day, balances) -%}
select
                        balance.balance_before - elsewhere.net_before,
                        coalesce(nets.ends[1], balance.balance_before)
                        + nets.net_elsewhere - elsewhere.net_before
                    from (
                        select
                            {{ array_except('array_agg(balance_before)', 'array_agg(balance_after)') }}
                                as starts,
                            {{ array_except('array_agg(balance_after)', 'array_agg(balance_before)') }}
                                as ends,
                            array_agg(balance_after) as balances,
                            {{ day }}.net_without_balance
                            - sum(net_of_load) filter (where is_last) as net_elsewhere
                        from (
                            select
                                direction,
                                net_of_load,
                                lead(balance_after) over lines is null as is_last,
                                balance_before - net_so_far
                                + lag(net_so_far, 1, 0::numeric) over lines as balance_before,
                                balance_after + case
                                    when lead(balance_after) over lines is null
                                        then net_of_load - net_so_far
                                    else 0
                                end as balance_after
                            from (
                                select
                                    file.direction,
                                    {{ balance_before() }} as balance_before,
                                    balance_amount as balance_after,
                                    _load_id,
                                    _source_line * file.direction as line_order,
                                    sum({{ net_without_balance() }}) over (
                                        partition by file.direction, _load_id
                                        order by _source_line * file.direction
                                    ) as net_so_far,
                                    sum({{ net_without_balance() }}) over (
                                        partition by file.direction, _load_id
                                    ) as net_of_load
                                from (select * from {{ ref('transactions') }}) as staged
                                cross join (values (1), (-1)) as file (direction)
                                where
                                    {{ same_account('staged', day) }}
                                    and transaction_date = {{ day }}.transaction_date
                                    and (
                                        {{ balances }} is null
                                        or cardinality({{ day }}.starts) <> 1
                                        or not {{ balances }} && array[
                                            {{ day }}.starts[1],
                                            {{ day }}.starts[1] - {{ day }}.net_without_balance
                                        ]
                                    )
                            ) as rows_of_day
                            where balance_after is not null
                            window lines as (partition by direction, _load_id order by line_order)
                        ) as edges
                        group by direction
                    ) as nets
                    cross join lateral unnest(
                        case cardinality(nets.starts) when 0 then nets.balances else nets.starts end
                    ) as balance (balance_before)
                    cross join lateral (values (0), (nets.net_elsewhere)) as elsewhere (net_before)
                    where cardinality(nets.starts) < 2
{%- endmacro %}
