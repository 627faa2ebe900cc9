{#
    Without nested loops, the planner uses hash joins for the breaks. It expects one break, and with
    nested loops it would compare each of thousands with all others. It still looks up transactions
    one by one where a lateral join leaves no other way.
#}
-- depends_on: {{ ref('accepted_balance_breaks') }}
{{ config(pre_hook=["set local enable_nestloop = off", "{{ empty_first() }}"]) }}

{#
    Every place at which the balances of an account do not follow from each other.

    The kind of a break depends on the loads beside it. If no load spans both sides, a statement is
    missing. A load spans the days from its first to its last transaction, including duplicates of
    earlier loads. The load log has the hash of the first and the last row of each file.
#}
with flows as (

    select * from {{ ref('daily_account_flows') }}

),

transactions as not materialized (

    select * from {{ ref('transactions') }}

),

loads as (

    select * from {{ ref('loads') }}

),

duplicates as (

    select
        table_name as source,
        load_id,
        {{ transaction_id('table_name', 'row_hash') }} as transaction_id,
        source_line
    from {{ source('raw', '_duplicates') }}

),

load_spans as (

    select
        source,
        load_id,
        min(transaction_date) as first_date,
        max(transaction_date) as last_date
    from (
        select
            flows.source,
            flows.transaction_date,
            unnest(array[flows._first_load_id, flows._last_load_id]) as load_id
        from flows
        union all
        select
            loads.source,
            end_row.transaction_date,
            loads._load_id as load_id
        from loads
        -- With `offset 0`, the planner looks up each row in the index.
        cross join
            lateral (
                select transactions.transaction_date
                from transactions
                where
                    transactions.transaction_id
                    in (loads._first_transaction_id, loads._last_transaction_id)
                offset 0
            ) as end_row
    ) as load_days
    group by source, load_id

),

account_loads as (

    select distinct
        flows.account_id,
        flows.source,
        load_id
    from flows
    cross join lateral unnest(array[flows._first_load_id, flows._last_load_id]) as load_id

),

found_breaks as (

    select
        *,
        true as is_doubled,
        null::bigint[] as load_ids
    from {{ ref('surplus_copies') }}

    union all

    select
        *,
        null::bigint[] as load_ids
    from {{ ref('breaks_between_days') }}

    union all

    select
        account_id,
        date_before,
        balance_before,
        id_before,
        date_after,
        balance_after,
        id_after,
        false as is_doubled,
        load_ids
    from {{ ref('breaks_within_days') }}

),

-- For each break, whether a load with rows of its account spans both sides.
spanned as (

    select
        found_breaks.id_after,
        bool_or(
            load_spans.first_date <= found_breaks.date_before
            and load_spans.last_date >= found_breaks.date_after
        ) as is_spanned,
        -- two whole files that meet on the day of the break
        bool_and(
            load_spans.first_date = found_breaks.date_before
            or load_spans.last_date = found_breaks.date_after
        ) filter (where load_spans.load_id = any(found_breaks.load_ids)) as is_between_loads
    from found_breaks
    inner join account_loads using (account_id)
    inner join load_spans using (source, load_id)
    group by found_breaks.id_after

),

-- Equal edges that lead back over a break: one of them is surplus.
copies as (

    select distinct on (found_breaks.id_after)
        found_breaks.id_after,
        edge.transaction_date,
        array_agg(edge.transaction_id order by edge._load_id, edge._source_line) as ids
    from found_breaks
    cross join {{ edges_of(
        'found_breaks.account_id', 'found_breaks.date_before', 'found_breaks.date_after'
    ) }} as edge
    where
        not found_breaks.is_doubled
        and found_breaks.balance_before = edge.balance_after
        and found_breaks.balance_after = edge.balance_before
    group by found_breaks.id_after, edge.transaction_date
    having count(*) > 1
    order by found_breaks.id_after, edge.transaction_date

),

breaks as (

    select
        found_breaks.account_id,
        coalesce(copies.transaction_date, found_breaks.date_before) as date_before,
        found_breaks.balance_before,
        coalesce(copies.ids[1], found_breaks.id_before) as id_before,
        coalesce(copies.transaction_date, found_breaks.date_after) as date_after,
        found_breaks.balance_after,
        coalesce(copies.ids[2], found_breaks.id_after) as id_after,
        case
            when found_breaks.is_doubled or copies.ids is not null then 'doubled'
            when found_breaks.date_before < found_breaks.date_after and not spanned.is_spanned
                then 'gap'
            when found_breaks.date_before = found_breaks.date_after and spanned.is_between_loads
                then 'gap'
            else 'broken'
        end as kind
    from found_breaks
    left join copies using (id_after)
    left join spanned using (id_after)

),

-- A duplicate that the loader dropped within a file, and that the balances need.
needed_duplicates as (

    select distinct on (breaks.id_after)
        breaks.id_after,
        loads._source_file,
        duplicates.source_line
    from breaks
    cross join
        {{ edges_of('breaks.account_id', 'breaks.date_before', 'breaks.date_after') }}
            as edge
    inner join duplicates
        on edge.transaction_id = duplicates.transaction_id
    inner join loads
        on duplicates.source = loads.source and duplicates.load_id = loads._load_id
    where
        breaks.kind <> 'doubled'
        and breaks.balance_before = edge.balance_before
        and breaks.balance_after = edge.balance_after
    order by breaks.id_after, duplicates.load_id, duplicates.source_line

),

final as (

    select
        -- ids
        breaks.account_id,
        row_after.source,
        row_after.account_number,
        row_after.currency,
        breaks.kind,

        -- before the break
        breaks.date_before,
        breaks.balance_before::numeric(18, 2) as balance_before,
        load_before._source_file as source_file_before,
        row_before._source_line as source_line_before,

        -- after the break
        breaks.date_after,
        breaks.balance_after::numeric(18, 2) as balance_after,
        load_after._source_file as source_file_after,
        row_after._source_line as source_line_after,

        -- explanation
        (breaks.balance_after - breaks.balance_before)::numeric(18, 2) as difference,
        case
            when needed_duplicates.source_line is not null
                then format(
                    'Line %s of %s was dropped as a duplicate, but the balances need it. '
                    'Load the file again with DUPLICATES=keep.',
                    needed_duplicates.source_line, needed_duplicates._source_file
                )
            when breaks.kind = 'gap'
                then
                    'No loaded file covers the time between these rows. Load the missing statement.'
            when breaks.kind = 'doubled'
                then
                    'Both rows are the same step of the balance, so one of them is surplus. '
                    'If only their notation differs, set other_notation to drop. '
                    'Otherwise remove the wrong file.'
            else
                'A row between these two is missing, or one of them is misread, belongs to another '
                'account or is no transaction.'
        end as hint,
        accepted.reason as accepted_reason

    from breaks
    cross join {{ row_of('breaks.id_after') }} as row_after
    left join {{ row_of('breaks.id_before') }} as row_before on true
    left join loads as load_after
        on row_after.source = load_after.source and row_after._load_id = load_after._load_id
    left join loads as load_before
        on row_before.source = load_before.source and row_before._load_id = load_before._load_id
    left join needed_duplicates using (id_after)
    left join {{ accepted_balance_breaks() }} as accepted
        on
            row_after.account_number = accepted.account_number
            and (accepted.source is null or row_after.source = accepted.source)
            and (accepted.currency is null or row_after.currency = accepted.currency)
            and breaks.date_after = accepted.transaction_date
            and (breaks.balance_after - breaks.balance_before)
            is not distinct from accepted.difference

)

select * from final
