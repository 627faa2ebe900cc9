"""The project on a real warehouse: incremental runs, tests and their history, rights."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from conftest import PROJECT, WITHOUT_UNIT_TESTS, Warehouse, not_passed, statuses

BACKDATED = "value_date_greater_than_transaction_date"
NOT_ALLOWED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)


def row(day: str, number: int, value_day: str | None = None, **columns: str) -> dict[str, str]:
    """A withdrawal of 600,000,000.00 on a day of June 2017."""
    return {
        "account_no": "409000611074'",
        "date": f"Jun {day}, 17",
        "value_date": f"Jun {value_day or day}, 17",
        "withdrawal_amt": "600,000,000.00 ",
        "balance_amt": f"{number},000.00 ",
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
    assert after == before, "a run with nothing new wrote rows"

    warehouse.load([row("29", 3), row("30", 4)], load_id=3)
    assert warehouse.dbt("run").success
    old = warehouse.query(
        "reporter", "select count(*) from staging.transactions where _staged_at = %s", before[0]
    )
    assert old == [(2,)], "rows that were there were written again"
    incremental = staged(warehouse), flows(warehouse)
    assert [count for *_, count in incremental[1]] == [1, 2, 1]
    assert [float(balance) for _, _, balance, _ in incremental[1]] == [1000, 3000, 4000]

    assert warehouse.dbt("run", "--full-refresh").success
    assert (staged(warehouse), flows(warehouse)) == incremental

    # A rebuild that ended before the marts: what they have summed up looks new, and is not.
    assert warehouse.dbt("run", "--full-refresh", "--select", "transactions").success
    assert warehouse.dbt("run").success
    assert flows(warehouse) == incremental[1]


@pytest.mark.parametrize("load_id", [1, 2])
def test_raw_loaded_anew_doubles_nothing_and_loses_nothing(
    warehouse: Warehouse, load_id: int
) -> None:
    """Numbers may begin again at 1, even below what staging has seen."""
    warehouse.load([row("28", 1)], load_id=1)
    warehouse.load([row("29", 2)], load_id=2)
    assert warehouse.dbt("run").success
    warehouse.query("loader", "truncate raw.transactions, raw._loads")
    warehouse.load([row("28", 1), row("29", 2), row("29", 3)], load_id=load_id)
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
    }
    unparsed = warehouse.query(
        "reporter", "select _unparsed from audit.every_value_is_parsed order by _source_line"
    )
    assert unparsed == [({"withdrawal_amount": "1,5"},), ({"transaction_date": "Jun 31, 17"},)]


def test_the_alert_and_the_balance_of_an_account(warehouse: Warehouse) -> None:
    other = {"account_no": "0012", "withdrawal_amt": "1,000,000,000.00"}
    warehouse.load([row("28", 1), row("28", 2), row("29", 3, **other)], load_id=1)
    assert warehouse.dbt("run").success
    accounts = warehouse.query(
        "reporter",
        "select account_number, withdrawal_amount, balance_amount, is_over_threshold"
        " from marts.accounts order by 1",
    )
    assert accounts == [("0012", 10**9, 3000, False), ("409000611074", 12 * 10**8, 2000, True)]


def test_a_table_is_what_its_contract_says(warehouse: Warehouse) -> None:
    assert warehouse.dbt("run", "--select", "transactions").success
    columns = warehouse.query(
        "reporter",
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute"
        " where attrelid = 'staging.transactions'::regclass and attnum > 0",
    )
    types = {name: type_ for name, type_, _ in columns}
    assert types["withdrawal_amount"] == types["balance_amount"] == "numeric(18,2)"
    assert types["transaction_id"] == "uuid"
    assert {name for name, _, not_null in columns if not_null} == {
        "transaction_id", "_load_id", "_source_file", "_source_line", "_loaded_at",
        "_first_staged_at", "_staged_at",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "wrong"),
    [("data_type: jsonb", "data_type: text"), ("name: cheque_number", "name: cheque")],
)
def test_a_model_that_breaks_its_contract_fails(
    warehouse: Warehouse, tmp_path: Path, said: str, wrong: str
) -> None:
    project = tmp_path / "project"
    for folder in ("macros", "models", "tests"):
        shutil.copytree(PROJECT / folder, project / folder)
    shutil.copy(PROJECT / "dbt_project.yml", project)
    contract = project / "models" / "staging" / "transactions.yml"
    text = contract.read_text()
    assert text.count(said) == 1
    contract.write_text(text.replace(said, wrong))
    broken = Warehouse(warehouse.name, tmp_path / "target")
    result = broken.dbt("run", "--select", "transactions", project=project)
    assert not result.success
    messages = [r.message for r in result.result if r.message]
    assert any("enforced contract that failed" in message for message in messages)


def test_an_empty_table_is_built_and_tested(warehouse: Warehouse) -> None:
    assert warehouse.dbt("build", *WITHOUT_UNIT_TESTS).success


def test_marts_are_built_although_a_transaction_is_backdated(warehouse: Warehouse) -> None:
    warehouse.load([row("29", 1, value_day="27")], load_id=1)
    result = warehouse.dbt("build", *WITHOUT_UNIT_TESTS)
    assert not result.success
    days = warehouse.query("reporter", "select days_backdated from marts.backdated_transactions")
    assert days == [(2,)]


def test_unit_tests_of_the_models_pass(warehouse: Warehouse) -> None:
    assert warehouse.dbt("run", "--empty").success
    result = warehouse.dbt("test", "--resource-type", "unit_test")
    assert len(statuses(result)) == 8
    assert not_passed(result) == {}


@pytest.mark.parametrize("command", ["run", "test"])
def test_a_selection_of_nothing_is_not_green(warehouse: Warehouse, command: str) -> None:
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


def test_two_invocations_at_once_both_keep_their_history(warehouse: Warehouse) -> None:
    """What the hooks of two invocations send when they meet: the statements, side by side."""
    warehouse.load([row("28", 1)], load_id=1)
    compiled = warehouse.dbt("compile", "--inline", "{{ create_test_results() }}")
    statement = compiled.result.results[0].node.compiled_code
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: warehouse.query("transformer", statement), range(16)))
    assert warehouse.query("reporter", "select count(*) from audit.test_results") == [(0,)]


def test_init_marts_builds_what_is_missing_and_leaves_the_rest(warehouse: Warehouse) -> None:
    def views() -> dict[str, int]:
        found = "select relname, oid from pg_class where relnamespace = 'marts'::regnamespace"
        return dict(warehouse.query("reporter", found))

    assert warehouse.dbt("run").success  # on empty tables
    first = views()
    assert warehouse.query("reporter", "select count(*) from marts.accounts") == [(0,)]
    warehouse.init_marts()
    assert views() == first  # dbt would have made the views anew
    warehouse.query("transformer", "drop view marts.accounts")
    warehouse.init_marts()
    assert views().keys() == first.keys()
