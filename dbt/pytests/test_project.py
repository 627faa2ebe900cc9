"""Test the dbt project on a real warehouse: incremental runs, data tests, history and grants."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
import yaml
from conftest import PROJECT, WITHOUT_UNIT_TESTS, Warehouse, not_passed, statuses

BACKDATED = "value_date_greater_than_transaction_date"
PROJECT_FILE = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
THRESHOLD = PROJECT_FILE["vars"]["large_withdrawal_threshold"]
WITHDRAWAL = THRESHOLD * 6 // 10
NOT_ALLOWED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)


def row(day: str, number: int, value_day: str | None = None, **columns: str) -> dict[str, str]:
    """Return the n-th withdrawal of 60 % of the alert threshold, on a day of June 2017."""
    return {
        "account_no": "409000611074'",
        "date": f"Jun {day}, 17",
        "value_date": f"Jun {value_day or day}, 17",
        "withdrawal_amt": f"{WITHDRAWAL:,}.00 ",
        "balance_amt": f"{-number * WITHDRAWAL:,}.00 ",
        "details": f"transaction {number}",
    } | columns


def staged(warehouse: Warehouse) -> list[tuple]:
    return warehouse.query(
        "reporter",
        "select transaction_details, transaction_date, withdrawal_amount, balance_amount, _load_id"
        " from staging.transactions order by transaction_details",
    )


def flows(warehouse: Warehouse) -> list[tuple]:
    return warehouse.query(
        "reporter",
        "select transaction_date::text, withdrawal_amount, closing_balance, transaction_count"
        " from marts.daily_account_flows order by 1",
    )


def test_incremental_runs_equal_a_full_refresh(warehouse: Warehouse) -> None:
    warehouse.load([row("28", 1), row("29", 2)], load_id=1)
    assert warehouse.dbt("run").success
    before = warehouse.query("reporter", "select max(_staged_at) from staging.transactions")

    assert warehouse.dbt("run").success
    after = warehouse.query("reporter", "select max(_staged_at) from staging.transactions")
    assert after == before, "a run without new rows wrote rows"

    warehouse.load([row("29", 3), row("30", 4)], load_id=3)
    assert warehouse.dbt("run").success
    old = warehouse.query(
        "reporter", "select count(*) from staging.transactions where _staged_at = %s", before[0]
    )
    assert old == [(2,)], "a run wrote rows that were already staged"
    incremental = staged(warehouse), flows(warehouse)
    assert [count for *_, count in incremental[1]] == [1, 2, 1]
    closing_balances = [balance for _, _, balance, _ in incremental[1]]
    assert closing_balances == [-WITHDRAWAL, -3 * WITHDRAWAL, -4 * WITHDRAWAL]

    assert warehouse.dbt("run", "--full-refresh").success
    assert (staged(warehouse), flows(warehouse)) == incremental

    # After a rebuild of staging alone, rows that the marts have already counted look new.
    assert warehouse.dbt("run", "--full-refresh", "--select", "transactions").success
    assert warehouse.dbt("run").success
    assert flows(warehouse) == incremental[1]


def test_a_doubled_transaction_is_reported_if_no_index_of_its_id_excludes_it(
    warehouse: Warehouse,
) -> None:
    """An index proves the ids unique only if it is unique, complete, and has no other column."""
    warehouse.load([row("28", 1), row("29", 2)], load_id=1)
    assert warehouse.dbt("run").success
    ((index,),) = warehouse.query(
        "reporter",
        "select indexrelid::regclass::text from pg_index"
        " where indrelid = 'staging.transactions'::regclass and indisunique",
    )
    test = ("test", "--select", "transaction_id_is_unique")
    assert warehouse.dbt(*test).success
    warehouse.query(
        "transformer",
        f"drop index {index};"
        "create index on staging.transactions (transaction_id);"
        "create unique index on staging.transactions (transaction_id, _staged_at);"
        "create unique index on staging.transactions (_staged_at, transaction_id);"
        "create unique index on staging.transactions (transaction_id) where _load_id > 1",
    )
    assert warehouse.dbt(*test).success, "each id occurs once"
    columns = "transaction_id, source, _load_id, _source_line, _staged_at"
    warehouse.query(
        "transformer",
        f"insert into staging.transactions ({columns})"
        " select transaction_id, source, _load_id, _source_line, _staged_at + interval '1 second'"
        " from staging.transactions limit 1",
    )
    assert not_passed(warehouse.dbt(*test)) == {"transaction_id_is_unique": "fail"}


@pytest.mark.parametrize(("load_id", "begins_alike"), [(1, False), (2, False), (2, True)])
def test_a_reload_of_raw_keeps_each_row_once(
    warehouse: Warehouse, load_id: int, begins_alike: bool
) -> None:
    """Empty raw and load it again, with a load id at or below the newest staged load id.

    With `begins_alike`, the newest staged row is again on the same line of the same load.
    """
    warehouse.load([row("28", 1)], load_id=1)
    warehouse.load([row("29", 2)], load_id=2)
    assert warehouse.dbt("run").success
    warehouse.query("loader", "truncate raw.transactions, raw._loads")
    rows = [row("28", 1), row("29", 2), row("29", 3)]
    warehouse.load(rows[1:] + rows[:1] if begins_alike else rows, load_id=load_id)
    for _ in range(2):
        assert warehouse.dbt("run").success
        assert [details for details, *_ in staged(warehouse)] == [
            "transaction 1",
            "transaction 2",
            "transaction 3",
        ]
        assert [count for *_, count in flows(warehouse)] == [1, 2]
    result = warehouse.dbt("test", "--select", "every_raw_row_is_staged", "daily_flows_add_up")
    assert result.success


def test_backdated_rows_fail_or_warn_and_are_kept(warehouse: Warehouse) -> None:
    warehouse.load([row("28", 1), row("29", 2, value_day="27"), row("30", 3)], load_id=1)
    assert warehouse.dbt("run").success

    failed = warehouse.dbt("test", *WITHOUT_UNIT_TESTS)
    assert not failed.success
    assert not_passed(failed) == {BACKDATED: "fail"}
    rows = warehouse.query("reporter", f"select transaction_date::text from audit.{BACKDATED}")
    assert rows == [("2017-06-29",)]

    severity = "{backdated_transactions_severity: warn}"
    warned = warehouse.dbt("test", *WITHOUT_UNIT_TESTS, "--vars", severity)
    assert warned.success
    assert not_passed(warned) == {BACKDATED: "warn"}

    history = warehouse.query(
        "reporter",
        "select severity, status, failures, failing_rows, is_latest from marts.test_results"
        " where test_name = %s order by executed_at",
        [BACKDATED],
    )
    assert history == [
        ("error", "fail", 1, f"audit.{BACKDATED}", False),
        ("warn", "warn", 1, f"audit.{BACKDATED}", True),
    ]
    counts = warehouse.query(
        "reporter", "select count(*) from audit.test_results group by invocation_id"
    )
    assert counts == [(len(statuses(failed)),)] * 2


def test_each_defect_is_reported_by_its_test(warehouse: Warehouse) -> None:
    defects = [
        row("28", 1, deposit_amt="1.00"),
        row("28", 2, withdrawal_amt="", deposit_amt="0.00"),
        row("28", 3, withdrawal_amt="-5.00"),
        row("28", 4, withdrawal_amt="1,5"),
        row("31", 5, value_day="30"),
        row("28", 6, account_no=" '"),
    ]
    warehouse.load(defects, load_id=1)
    assert warehouse.dbt("run").success
    assert not_passed(warehouse.dbt("test", *WITHOUT_UNIT_TESTS)) == {
        "ensure_withdrawal_or_deposit": "fail",
        "withdrawal_or_deposit_is_present": "warn",
        "withdrawal_amount_is_not_negative": "fail",
        "every_value_is_parsed": "fail",
        "transaction_date_is_present": "fail",
        "account_number_is_present": "fail",
        "balances_reconcile": "fail",
    }
    unparsed = warehouse.query(
        "reporter", "select _unparsed from audit.every_value_is_parsed order by _source_line"
    )
    assert unparsed == [({"withdrawal_amount": "1,5"},), ({"transaction_date": "Jun 31, 17"},)]


def test_the_alert_and_the_balance_of_an_account(warehouse: Warehouse) -> None:
    at_threshold = row("29", 3, account_no="0012", withdrawal_amt=f"{THRESHOLD:,}.00")
    warehouse.load([row("28", 1), row("28", 2), at_threshold], load_id=1)
    assert warehouse.dbt("run").success
    accounts = warehouse.query(
        "reporter",
        "select account_number, withdrawal_amount, balance_amount, is_over_threshold"
        " from marts.accounts order by 1",
    )
    assert accounts == [
        ("0012", THRESHOLD, -3 * WITHDRAWAL, False),
        ("409000611074", 2 * WITHDRAWAL, -2 * WITHDRAWAL, True),
    ]


def test_the_project_builds_on_an_empty_raw_table(warehouse: Warehouse) -> None:
    assert warehouse.dbt("build", *WITHOUT_UNIT_TESTS).success


def test_the_marts_are_built_despite_backdated_transactions(warehouse: Warehouse) -> None:
    warehouse.load([row("29", 1, value_day="27")], load_id=1)
    result = warehouse.dbt("build", *WITHOUT_UNIT_TESTS)
    assert not result.success
    days = warehouse.query("reporter", "select days_backdated from marts.backdated_transactions")
    assert days == [(2,)]


def test_unit_tests_of_the_models_pass(warehouse: Warehouse) -> None:
    assert warehouse.dbt("run", "--empty").success
    result = warehouse.dbt("test", "--resource-type", "unit_test")
    assert len(statuses(result)) == 11
    assert not_passed(result) == {}


@pytest.mark.parametrize("command", ["run", "test"])
def test_a_command_that_selects_nothing_fails(warehouse: Warehouse, command: str) -> None:
    assert not warehouse.dbt(command, "--select", "no_such_model").success
    assert not warehouse.dbt(command, "--select", "accounts", "--exclude", "accounts").success


def test_reporter_reads_results_and_nothing_else(warehouse: Warehouse) -> None:
    warehouse.load([row("28", 1)], load_id=1)
    assert warehouse.dbt("build", *WITHOUT_UNIT_TESTS).success
    relations = warehouse.query(
        "transformer",
        "select schemaname || '.' || relname from ("
        " select schemaname, tablename from pg_tables union all"
        " select schemaname, viewname from pg_views) as relation (schemaname, relname)"
        " where schemaname in ('staging', 'marts', 'audit')",
    )
    assert len(relations) > 20
    for (relation,) in relations:
        warehouse.query("reporter", f"select * from {relation} limit 1")
    for statement in (
        "select * from raw.transactions",
        "select * from raw._loads",
        "delete from audit.test_results",
        "set transaction read write; delete from staging.transactions",
        "create table marts.mine (x int)",
    ):
        with pytest.raises(NOT_ALLOWED):
            warehouse.query("reporter", statement)


def test_concurrent_invocations_create_the_history_table_once(warehouse: Warehouse) -> None:
    """Run the `on-run-start` hook of 16 invocations at the same time."""
    warehouse.load([row("28", 1)], load_id=1)
    compiled = warehouse.dbt("compile", "--inline", "{{ create_test_results() }}")
    statement = compiled.result.results[0].node.compiled_code
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: warehouse.query("transformer", statement), range(16)))
    assert warehouse.query("reporter", "select count(*) from audit.test_results") == [(0,)]


def test_init_marts_runs_dbt_only_if_a_model_or_a_column_is_missing(warehouse: Warehouse) -> None:
    def views() -> dict[str, int]:
        query = (
            "select relname, oid from pg_class"
            " where relnamespace = 'marts'::regnamespace and relkind in ('r', 'v')"
        )
        return dict(warehouse.query("reporter", query))

    assert warehouse.dbt("run").success  # on empty tables
    before = views()
    assert warehouse.query("reporter", "select count(*) from marts.accounts") == [(0,)]
    warehouse.init_marts()
    assert views() == before  # dbt would have replaced the views
    warehouse.query("transformer", "drop view marts.accounts")
    warehouse.init_marts()
    assert views().keys() == before.keys()
    # A warehouse of an older version, whose transactions had no source.
    warehouse.query("transformer", "alter table staging.transactions drop source cascade")
    assert views().keys() < before.keys()
    warehouse.load([row("28", 1)], load_id=1)
    warehouse.init_marts()
    assert views().keys() == before.keys()
    staged_source = warehouse.query("reporter", "select source, currency from staging.transactions")
    assert staged_source == [("transactions", "USD")]


def test_the_newest_check_of_freshness_is_stored_once_per_source(warehouse: Warehouse) -> None:
    """A warehouse without a load, then a late load, then a new one. `dbt test` stores nothing."""

    def check() -> list[tuple]:
        success = warehouse.dbt("source", "freshness").success
        query = (
            "select source_name, status, last_load_at = (select max(finished_at) from raw._loads),"
            " warn_after::text, error_after::text from audit.source_freshness"
        )
        return [(success, *row) for row in warehouse.query("transformer", query)]

    limits = ("36:00:00", "3 days")
    assert check() == [(False, "transactions", "error", None, *limits)]
    warehouse.load([row("28", 1)], load_id=1)
    warehouse.query("loader", "update raw._loads set finished_at = now() - interval '40 hours'")
    assert check() == [(True, "transactions", "warn", True, *limits)]
    warehouse.load([row("29", 2)], load_id=2)
    assert check() == [(True, "transactions", "pass", True, *limits)]
    stored = warehouse.query("reporter", "select checked_at from audit.source_freshness")
    assert warehouse.dbt("build", *WITHOUT_UNIT_TESTS).success
    assert warehouse.query("reporter", "select checked_at from audit.source_freshness") == stored
