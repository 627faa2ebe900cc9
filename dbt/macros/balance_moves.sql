{#
    Return a query for the balances that an account can have after a floating day, as one row:

    - balances_after: the ends of all moves of the day, or null if the day has no move;
    - reached: the ends of the moves that begin at a possible balance, or null if there is none. All
      moves count if the balances before the day are unknown.

    The position of transactions without a balance among the others is unknown. They move the balance
    by their net before the others, behind them, or between an end and a start that differ by it.

    Args:
        day: alias of the day, with account_number, first_date, transaction_date, starts, ends,
            is_in_block and net_without_balance.
        balances: the balances that the account can have before the day; null if unknown.
#}
{% macro balance_moves(day, balances) -%}
select
            array_agg(distinct balance_after) as balances_after,
            array_agg(distinct balance_after) filter (
                where {{ balances }} is null or balance_before = any({{ balances }})
            ) as reached
        from (
            -- a day without balances
            select
                balance as balance_before,
                balance + {{ day }}.net_without_balance as balance_after
            from unnest({{ balances }}) as balance
            where {{ day }}.starts is null

            union all

            select
                balance_before - net_before,
                balance_after + {{ day }}.net_without_balance - net_before
            from (
                -- a path
                select {{ day }}.starts[1], {{ day }}.ends[1]
                where cardinality({{ day }}.starts) = 1

                union all

                -- a day that closes on itself
                select balance_amount, balance_amount
                from {{ ref('transactions') }} as transactions
                where
                    cardinality({{ day }}.starts) = 0
                    and transactions.account_number = {{ day }}.account_number
                    and transactions.transaction_date
                    between {{ day }}.first_date and {{ day }}.transaction_date
                    and balance_amount is not null
            ) as move (balance_before, balance_after)
            cross join lateral (
                values (0), ({{ day }}.net_without_balance)
            ) as net (net_before)

            union all

            -- two paths
            select {{ day }}.starts[3 - start_number], {{ day }}.ends[3 - end_number]
            from (values (1), (2)) as one (start_number)
            cross join (values (1), (2)) as other (end_number)
            where
                cardinality({{ day }}.starts) = 2
                and {{ day }}.ends[end_number] + {{ day }}.net_without_balance
                = {{ day }}.starts[start_number]
        ) as moves
{%- endmacro %}
