"""Check that tables follow their contracts, and that the expected macro creates them."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import PROJECT, Warehouse
from dbt.cli.main import dbtRunnerResult

# The data tests that the partial index of staging.transactions serves.
INDEXED_TESTS = {
    "account_number_is_present",
    "deposit_amount_is_not_negative",
    "ensure_withdrawal_or_deposit",
    "every_value_is_parsed",
    "transaction_date_is_present",
    "value_date_greater_than_transaction_date",
    "withdrawal_amount_is_not_negative",
    "withdrawal_or_deposit_is_present",
}


def run_changed_model(warehouse: Warehouse, folder: Path, old: str, new: str) -> dbtRunnerResult:
    """Run `transactions` from a copy of the project, with `old` replaced in its properties."""
    project = folder / "project"
    for name in ("macros", "models", "seeds", "tests"):
        shutil.copytree(PROJECT / name, project / name)
    shutil.copy(PROJECT / "dbt_project.yml", project)
    properties = project / "models" / "staging" / "transactions.yml"
    text = properties.read_text()
    assert text.count(old) == 1
    properties.write_text(text.replace(old, new))
    copy = Warehouse(warehouse.name, folder / "target")
    return copy.dbt("run", "--select", "transactions", project=project)


def test_a_table_has_the_types_and_constraints_of_its_contract(warehouse: Warehouse) -> None:
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
        "transaction_id", "source", "_load_id", "_source_line", "_staged_at",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "changed"),
    [("data_type: jsonb", "data_type: text"), ("name: cheque_number", "name: cheque")],
)
def test_a_model_that_breaks_its_contract_fails(
    warehouse: Warehouse, tmp_path: Path, declared: str, changed: str
) -> None:
    result = run_changed_model(warehouse, tmp_path, declared, changed)
    assert not result.success
    messages = [r.message for r in result.result if r.message]
    assert any("enforced contract that failed" in message for message in messages)


@pytest.mark.parametrize(("key", "inserts"), [("parallel_create: true", False), ("", True)])
def test_a_model_without_the_key_is_built_by_dbts_own_macro(
    warehouse: Warehouse, tmp_path: Path, key: str, inserts: bool
) -> None:
    """dbt-postgres creates an empty table with a contract and fills it with `insert`."""
    assert run_changed_model(warehouse, tmp_path, "parallel_create: true", key).success
    (path,) = (tmp_path / "target" / "run").rglob("transactions.sql")
    statement = " ".join(path.read_text().lower().split())
    assert ("insert into" in statement, "create table" in statement) == (inserts, True)


def test_data_tests_and_charts_read_indexes(warehouse: Warehouse) -> None:
    assert warehouse.dbt("run").success
    indexes = (
        "select pg_get_indexdef(indexrelid) from pg_index"
        " where indrelid = 'staging.transactions'::regclass order by 1"
    )
    created = warehouse.query("reporter", indexes)
    assert warehouse.dbt("run").success
    assert warehouse.query("reporter", indexes) == created, "a later run creates other indexes"

    compiled = warehouse.dbt("compile", "--select", *INDEXED_TESTS).result.results
    queries = {result.node.name: result.node.compiled_code for result in compiled}
    assert queries.keys() == INDEXED_TESTS
    queries |= {
        "Backdated transactions": "select * from marts.backdated_transactions",
        "Newest transaction": "select max(transaction_date) from marts.account_transactions",
    }
    for name, query in queries.items():
        # An empty table is faster to scan, so the planner would not use the index.
        explain = f"set local enable_seqscan = off; explain {query}"
        plan = [line for (line,) in warehouse.query("transformer", explain)]
        scans = [line for line in plan if re.search(r"Scan.* on transactions", line)]
        assert len(scans) == 1, (name, plan)
        assert re.search("Index|Bitmap", scans[0]), (name, plan)
