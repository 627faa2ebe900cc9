"""Compare every number of the dashboard with independent SQL.

The SQL reads raw, staging and dbt's test results. It never reads a mart.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tests.api import Api
from tests.stack import ASSETS, SAMPLE, THRESHOLD, Stack, charts, dashboard
from tests.statements import BREAKS, STATES

TRUTH = json.loads(SAMPLE.with_suffix(".truth.json").read_text())
ALERT = "Alert: Accounts over the withdrawal threshold"
CHARTS = {chart["slice_name"]: chart for chart in charts()}
# Charts whose datasets have no source.
SOURCELESS = {"Tests failed", "Test results per run", "Newest result of each test"}
# Charts that the filters of the period and the account exclude.
UNFILTERED = SOURCELESS | {
    "Last load", "Newest transaction", "History of loads", "Rows left out",
}  # fmt: skip
# Charts that the filter of the period excludes.
WHOLE_HISTORY = {"Accounts reconciled", "Open breaks", "Reconciliation per account"}
# The charts that each of the page's filters excludes, by name of the filter.
EXCLUDED = {
    "Period": UNFILTERED | WHOLE_HISTORY,
    "Account": UNFILTERED,
    "Source": SOURCELESS,
    "Currency": UNFILTERED - {"Newest transaction"},
}
COLUMNS = {"Account": "account_number", "Source": "source", "Currency": "currency"}
# The choices in the page's filters.
EVERYTHING: dict = {}
FILTERED = {
    "Period": "2015-07-01 : 2019-07-01",
    "Account": ("409000611074", "1196711", "BROKEN-1", "GAP-1"),
    "Currency": ("USD", "EUR"),
}
FIRST_BANK = {"Source": ("transactions",)}
SECOND_BANK = {"Source": ("second",)}
# Charts without a row of the second bank.
ONLY_FIRST_BANK = {"Backdated transactions", "Breaks in the balances"}

EXPECTED = {
    "Last load": """
        select finished_at, source_file, status, rows_loaded, rows_duplicate, rows_rejected
        from (select table_name as source, * from raw._loads) as loads
        where {filter} order by finished_at desc limit 1
    """,
    "Newest transaction": "select max(transaction_date) from staging.transactions where {filter}",
    "Tests failed": """
        select count(*) from audit.test_results where status not in ('pass', 'warn', 'skipped')
        and executed_at > now() - interval '1 hour'
    """,
    ALERT: """
        select account_number, currency, source, total, {threshold}
        from (
            select account_number, currency, source, sum(withdrawal_amount) as total
            from staging.transactions where {filter} group by 1, 2, 3
        ) as accounts
        where total > {threshold} order by 4 desc
    """,
    "Withdrawals and deposits": """
        select make_date(extract(year from transaction_date)::int,
                         extract(month from transaction_date)::int, 1),
               currency, coalesce(sum(withdrawal_amount), 0), coalesce(sum(deposit_amount), 0)
        from staging.transactions where {filter} group by 1, 2
    """,
    "Balance per account": """
        select distinct on (source, account_number, currency)
               concat_ws(' ', account_number, currency, nullif(source, 'transactions')),
               balance_amount
        from staging.transactions where {filter}
        order by source, account_number, currency,
                 transaction_date desc, _load_id desc, _source_line desc
    """,
    "Biggest transactions": """
        select transaction_date, account_number,
               case when withdrawal_amount > 0 then 'withdrawal' else 'deposit' end,
               greatest(withdrawal_amount, deposit_amount), currency, transaction_details
        from staging.transactions where {filter} order by 4 desc limit 25
    """,
    "Backdated transactions": """
        select transaction_date, value_date, transaction_date - value_date, account_number,
               case when withdrawal_amount > 0 then 'withdrawal' else 'deposit' end,
               greatest(withdrawal_amount, deposit_amount), currency
        from staging.transactions where value_date < transaction_date and {filter}
        order by 3 desc, 1 desc
    """,
    "Accounts reconciled": f"""
        select count(*) - count(*) filter (where state <> 'reconciled') || ' of ' || count(*),
               count(*) filter (where state = 'broken'),
               count(*) filter (where state = 'incomplete'),
               count(*) filter (where state = 'no balances')
        from (
            select distinct source, account_number, currency
            from staging.transactions where {{filter}}
        ) as accounts
        left join {STATES} using (source, account_number)
    """,
    "Open breaks": f"""
        select count(*) from {BREAKS} where accepted_reason is null and {{filter}}
    """,
    "Rows left out": """
        select count(*) from (
            select 'transactions' as source, _row_hash from raw.transactions
        ) as rows_of_raw
        where {filter} and _row_hash not in (select transaction_id from staging.transactions)
    """,
    "Breaks in the balances": f"""
        select account_number, kind, difference, currency, row_before, row_after, accepted_reason
        from {BREAKS} where {{filter}} order by place
    """,
    "Reconciliation per account": f"""
        select account_number, currency, source, coalesce(min(state), 'reconciled'),
               (array_agg(balance_amount - coalesce(deposit_amount, -withdrawal_amount)
                          order by transaction_date, _load_id, _source_line))[1],
               coalesce(sum(deposit_amount), 0), coalesce(sum(withdrawal_amount), 0),
               (array_agg(balance_amount
                          order by transaction_date desc, _load_id desc, _source_line desc))[1],
               coalesce(min(open), 0), coalesce(min(accepted), 0),
               min(transaction_date), max(transaction_date)
        from staging.transactions left join {STATES} using (source, account_number)
        where {{filter}} group by 1, 2, 3 order by 4, 1, 2, 3
    """,
    "History of loads": """
        select finished_at, source, source_file, status, rows_read, rows_loaded, rows_duplicate,
               rows_rejected, rows_skipped, error
        from (select table_name as source, * from raw._loads) as loads
        where {filter} order by finished_at desc
    """,
    "Test results per run": """
        select to_char(max(executed_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
               sum((status in ('fail', 'error'))::int), sum((status = 'warn')::int),
               sum((status = 'pass')::int), sum((status = 'skipped')::int)
        from audit.test_results group by date_trunc('hour', executed_at)
    """,
    "Newest result of each test": """
        select test_name, status, failures, executed_at from audit.test_results
        where executed_at > now() - interval '1 hour'
        order by failures desc nulls first, test_name
    """,
}
# Charts whose bars are sorted in the browser, not by the query.
UNSORTED = {"Withdrawals and deposits", "Balance per account", "Test results per run"}
PERIOD = "transaction_date >= '2015-07-01' and transaction_date < '2019-07-01'"


def shown(result: dict) -> list[tuple]:
    """Return the rows of a chart without hints, with the timestamps converted as in the page."""
    kinds = dict(zip(result["colnames"], result["coltypes"], strict=True))

    def value(column: str, cell: object) -> object:
        if kinds[column] == 2 and cell is not None:  # 2: temporal, in milliseconds
            return datetime.fromtimestamp(cell / 1000, UTC).replace(tzinfo=None)
        return cell

    columns = [column for column in result["colnames"] if column != "hint"]
    return [tuple(value(column, row[column]) for column in columns) for row in result["data"]]


def comparable(rows: list[tuple], ordered: bool) -> list[tuple]:
    """Round amounts to cents and timestamps to milliseconds, the precision of the JSON."""

    def value(cell: object) -> object:
        if isinstance(cell, datetime):
            cell = cell.astimezone(UTC).replace(tzinfo=None) if cell.tzinfo else cell
            return cell.replace(microsecond=cell.microsecond // 1000 * 1000)
        if isinstance(cell, date):
            return datetime(cell.year, cell.month, cell.day)
        if isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
            return f"{cell:.2f}"
        return cell

    rows = [tuple(value(cell) for cell in row) for row in rows]
    return rows if ordered else sorted(rows, key=repr)


def test_every_chart_is_tested() -> None:
    assert EXPECTED.keys() == CHARTS.keys()


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(
    "filters",
    [EVERYTHING, FILTERED, FIRST_BANK, SECOND_BANK],
    ids=["everything", "filtered", "first-bank", "second-bank"],
)
def test_every_number_equals_independent_sql(
    stack: Stack, admin: Api, name: str, filters: dict
) -> None:
    applied = {key: value for key, value in filters.items() if name not in EXCLUDED[key]}
    chosen = {COLUMNS[key]: value for key, value in applied.items() if key != "Period"}
    conditions = ["true", *([PERIOD] if "Period" in applied else [])]
    for column, values in chosen.items():
        conditions.append(f"{column} in ({', '.join(map(repr, values))})")
    found = shown(admin.data(CHARTS[name], applied.get("Period"), chosen))
    expected = stack.rows(
        EXPECTED[name].format(filter=" and ".join(conditions), threshold=THRESHOLD)
    )
    assert bool(expected) == (filters is not SECOND_BANK or name not in ONLY_FIRST_BANK)
    ordered = name not in UNSORTED
    assert comparable(found, ordered) == comparable(expected, ordered)


def test_a_chart_with_an_amount_names_its_currency() -> None:
    """A row of a chart then has amounts of one currency: they are neither summed nor mixed."""
    amounts = re.compile(r"amount|\bbalance|difference|withdraw|deposit|threshold")
    names = set()
    for name, chart in CHARTS.items():
        params = chart["params"]
        shown_columns = [*params.get("all_columns", []), *params.get("groupby", [])]
        values = [*shown_columns, *params.get("metrics", []), params.get("metric")]
        if any(isinstance(value, str) and amounts.search(value) for value in values):
            names.add(name)
            # The calculated column `account` of the dataset contains the currency.
            assert "currency" in shown_columns or params.get("x_axis") == "account", name
    assert len(names) == 7


def test_the_alert_shows_the_known_accounts_of_the_sample(admin: Api) -> None:
    found = {
        row["account_number"]: row["total_withdrawn"]
        for row in admin.data(CHARTS[ALERT], chosen={"source": ["transactions"]})["data"]
    }
    totals = {name: Decimal(sums["withdrawals"]) for name, sums in TRUTH["accounts"].items()}
    truth = {name: total for name, total in totals.items() if total > THRESHOLD}
    assert {name: f"{total:.2f}" for name, total in found.items()} == {
        name: f"{total:.2f}" for name, total in truth.items()
    }
    assert len(truth) > 1


def test_each_break_has_a_hint(admin: Api) -> None:
    for row in admin.data(CHARTS["Breaks in the balances"])["data"]:
        assert row["hint"].endswith(".")


def test_an_accepted_break_has_no_colour(admin: Api) -> None:
    chart = CHARTS["Breaks in the balances"]
    coloured = {rule["targetValue"] for rule in chart["params"]["conditional_formatting"]}
    kinds = {row["kind_and_state"] for row in admin.data(chart)["data"]}
    assert kinds - coloured == {"gap (accepted)"}
    assert coloured - kinds == set()


def test_a_filter_applies_to_every_chart_whose_dataset_has_its_column() -> None:
    paths = (ASSETS / "datasets").iterdir()
    datasets = {found["uuid"]: found for found in map(yaml.safe_load, map(Path.read_text, paths))}
    for name, chart in CHARTS.items():
        columns = {c["column_name"] for c in datasets[chart["dataset_uuid"]]["columns"]}
        for key in ("Source", "Currency"):
            assert (COLUMNS[key] in columns) == (name not in EXCLUDED[key]), (name, key)


def test_filters_apply_to_every_chart_with_a_period() -> None:
    names = {
        component["meta"]["chartId"]: component["meta"]["sliceName"]
        for component in dashboard()["position"].values()
        if isinstance(component, dict) and component["type"] == "CHART"
    }
    filters = dashboard()["metadata"]["native_filter_configuration"]
    excluded = {
        native["name"]: {names[chart] for chart in native["scope"]["excluded"]}
        for native in filters
    }  # fmt: skip
    assert excluded == EXCLUDED
    assert {
        native["name"]: native["targets"][0]["column"]["name"] for native in filters[1:]
    } == COLUMNS
    for name in CHARTS.keys() - UNFILTERED - WHOLE_HISTORY:
        operators = [f.get("operator") for f in CHARTS[name]["params"]["adhoc_filters"]]
        assert "TEMPORAL_RANGE" in operators, name


@pytest.mark.parametrize("name", CHARTS)
def test_an_empty_warehouse_causes_no_error(stack: Stack, name: str) -> None:
    result = stack.empty[name]
    assert result["error"] is None
    values = [value for row in result["data"] for value in row.values() if value is not None]
    assert values == ([0] if name == "Rows left out" else [])


@pytest.mark.parametrize(
    "path", sorted((ASSETS / "datasets").iterdir()), ids=lambda path: path.stem
)
def test_a_dataset_has_the_columns_of_its_mart(stack: Stack, path) -> None:
    """A dataset may lack internal columns, whose names begin with an underscore."""
    dataset = yaml.safe_load(path.read_text())
    columns = stack.rows(
        "select attname from pg_attribute where attnum > 0 and not attisdropped"
        f" and attrelid = '{dataset['schema']}.{dataset['table_name']}'::regclass"
    )
    declared = dataset["columns"]
    physical = {column["column_name"] for column in declared if "expression" not in column}
    existing = {name for (name,) in columns}
    assert physical <= existing
    assert {name for name in existing - physical if not name.startswith("_")} == set()
