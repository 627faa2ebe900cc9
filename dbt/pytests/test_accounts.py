"""Check that an account is a number of a source in one currency, in the chain and in each mart."""

import shutil
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import PROJECT, WITHOUT_UNIT_TESTS, Warehouse, not_passed
from test_project import row

NUMBER = "409000611074"
EMPTY_VIEW = """
select
    null::uuid as transaction_id, null::date as transaction_date, null::date as value_date,
    'second'::text as source, null::text as account_number, null::text as currency,
    null::text as transaction_details, null::text as cheque_number,
    null::numeric(18, 2) as withdrawal_amount, null::numeric(18, 2) as deposit_amount,
    null::numeric(18, 2) as balance_amount, null::jsonb as _unparsed, null::bigint as _load_id,
    null::bigint as _source_line
where false
"""
MARTS = ("run", "--exclude", "transactions")


class Line(NamedTuple):
    """A line of the file of another bank."""

    currency: str | None
    day: date
    amount: int  # negative: a withdrawal
    balance: int | None
    load_id: int = 1
    account: str = NUMBER


def june(day: int) -> date:
    return date(2017, 6, day)


def add(warehouse: Warehouse, source: str, lines: Sequence[Line], first_line: int = 2) -> None:
    """Stage the lines of another bank and add its loads to the load log.

    The hash of a line in raw is md5 of its number. Value dates are missing.
    """
    statement = """
        insert into staging.transactions (
            transaction_id, transaction_date, source, account_number, currency, withdrawal_amount,
            deposit_amount, balance_amount, _load_id, _source_line, _staged_at
        )
        values (
            md5(%(source)s || ' ' || md5(%(number)s::text)::uuid::text)::uuid, %(day)s, %(source)s,
            %(account)s, %(currency)s, %(withdrawal)s, %(deposit)s, %(balance)s, %(load_id)s,
            %(number)s, clock_timestamp()
        )
    """
    for number, line in enumerate(lines, start=first_line):
        amounts = {
            "withdrawal": -line.amount if line.amount < 0 else None,
            "deposit": line.amount if line.amount > 0 else None,
        }
        values = line._asdict() | amounts | {"source": source, "number": number}
        warehouse.query("transformer", statement, values)
    loads = {line.load_id for line in lines}
    warehouse.insert(
        "raw._loads (table_name, load_id, source_file, status, started_at, finished_at)",
        [(source, load_id, f"{source}_{load_id}.csv") for load_id in loads],
        "(%s, %s, %s, 'loaded', now(), now())",
    )


def first_bank(warehouse: Warehouse) -> None:
    """Load one withdrawal of the known source, and build all models."""
    deposit = {"withdrawal_amt": "", "deposit_amt": "100.00", "balance_amt": "100.00"}
    warehouse.load([row("28", 1, **deposit)], load_id=1)
    assert warehouse.dbt("build", *WITHOUT_UNIT_TESTS).success


def breaks(warehouse: Warehouse) -> list[tuple]:
    return warehouse.query(
        "reporter",
        "select source, account_number, currency, kind, difference, source_file_before,"
        " source_file_after from marts.balance_breaks order by 1, 2, 3, date_after",
    )


def accounts(warehouse: Warehouse) -> list[tuple]:
    """Return the sums and the state of each account, from both marts of accounts."""
    return warehouse.query(
        "reporter",
        "select accounts.source, accounts.account_number, accounts.currency,"
        " accounts.withdrawal_amount, accounts.deposit_amount, accounts.balance_amount,"
        " reconciliation.state, reconciliation.opening_balance, reconciliation.closing_balance"
        " from marts.accounts inner join marts.reconciliation using (account_id)"
        " where (accounts.source, accounts.account_number) ="
        " (reconciliation.source, reconciliation.account_number)"
        " and accounts.currency is not distinct from reconciliation.currency"
        " order by 1, 2, 3",
    )


def test_one_number_in_two_sources_and_currencies_is_several_accounts(
    warehouse: Warehouse,
) -> None:
    """On the same days, each account has its own chain of balances, and no amount is added up."""
    first_bank(warehouse)
    lines = [
        Line("EUR", june(28), 7, 7), Line("JPY", june(28), 5000, 5000), Line(None, june(28), 1, 1),
        Line("EUR", june(29), -3, 4), Line("JPY", june(29), -1, 4999), Line(None, june(29), 1, 2),
    ]  # fmt: skip
    add(warehouse, "second", lines)
    add(warehouse, "third", [Line("USD", june(28), 11, 11), Line("EUR", june(29), -20, 80)])
    assert warehouse.dbt(*MARTS).success
    expected = [
        ("second", NUMBER, "EUR", 3, 7, 4, "reconciled", 0, 4),
        ("second", NUMBER, "JPY", 1, 5000, 4999, "reconciled", 0, 4999),
        ("second", NUMBER, None, 0, 2, 2, "reconciled", 0, 2),
        ("third", NUMBER, "EUR", 20, 0, 80, "reconciled", 100, 80),
        ("third", NUMBER, "USD", 0, 11, 11, "reconciled", 0, 11),
        ("transactions", NUMBER, "USD", 0, 100, 100, "reconciled", 0, 100),
    ]
    assert accounts(warehouse) == expected
    assert breaks(warehouse) == []
    tests = warehouse.dbt("test", *WITHOUT_UNIT_TESTS)
    assert not_passed(tests) == {"every_raw_row_is_staged": "fail"}, "raw lacks the inserted rows"

    # An incremental run adds rows to existing days, also of the account without a currency.
    more = [Line("EUR", june(29), 6, 10, 2), Line(None, june(29), 3, 5, 2)]
    add(warehouse, "second", more, first_line=20)
    assert warehouse.dbt(*MARTS).success
    expected[0] = ("second", NUMBER, "EUR", 3, 13, 10, "reconciled", 0, 10)
    expected[2] = ("second", NUMBER, None, 0, 5, 5, "reconciled", 0, 5)
    assert accounts(warehouse) == expected
    assert warehouse.dbt(*MARTS, "--full-refresh").success
    assert accounts(warehouse) == expected
    withdrawn = warehouse.query(
        "reporter",
        "select source, account_number, currency, sum(withdrawal_amount)"
        " from marts.account_withdrawals group by 1, 2, 3 order by 1, 2, 3",
    )
    assert withdrawn == [(*account[:3], account[3]) for account in expected if account[3]]


def test_a_break_is_found_in_its_own_account_and_explained_by_its_own_loads(
    warehouse: Warehouse,
) -> None:
    """The load 1 of a source says nothing about the load 1 of another one."""
    first_bank(warehouse)
    # Load 1 of the second bank ends before its load 2 begins. Load 1 of the third spans both days.
    add(warehouse, "second", [Line("EUR", june(1), 5, 5), Line("EUR", june(30), 5, 50, 2)])
    add(warehouse, "third", [Line("EUR", june(1), 5, 5), Line("EUR", june(30), 5, 50)])
    assert warehouse.dbt(*MARTS).success
    assert breaks(warehouse) == [
        ("second", NUMBER, "EUR", "gap", 40, "second_1.csv", "second_2.csv"),
        ("third", NUMBER, "EUR", "broken", 40, "third_1.csv", "third_1.csv"),
    ]
    # The load log shows that load 1 of the second bank also had the row of June 30.
    warehouse.query(
        "loader",
        "update raw._loads set first_row_hash = md5('2')::uuid, last_row_hash = md5('3')::uuid"
        " where table_name = 'second' and load_id = 1",
    )
    assert warehouse.dbt(*MARTS).success
    assert [kind for *_, kind, _, _, _ in breaks(warehouse)] == ["broken", "broken"]


def test_a_dropped_duplicate_of_another_source_is_found(warehouse: Warehouse) -> None:
    """The loader writes the hash of raw. The transaction of another source has another id."""
    first_bank(warehouse)
    add(warehouse, "second", [Line("EUR", june(1), 5, 5), Line("EUR", june(1), -5, 0)])
    warehouse.insert(
        "raw._duplicates", [("second",), ("transactions",)],
        "(%s, 1, md5('2')::uuid, 9, 1)",
    )  # fmt: skip
    assert warehouse.dbt(*MARTS).success
    tests = warehouse.dbt("test", "--select", "repeated_lines_are_duplicates")
    assert not_passed(tests) == {"repeated_lines_are_duplicates": "warn"}
    reported = warehouse.query(
        "reporter",
        "select source, account_number, currency, _source_file, source_line, equal_line"
        " from audit.repeated_lines_are_duplicates",
    )
    assert reported == [("second", NUMBER, "EUR", "second_1.csv", 9, 2)]


def test_the_threshold_depends_on_the_currency(warehouse: Warehouse) -> None:
    first_bank(warehouse)
    lines = [
        Line("JPY", june(1), -900, 0), Line("EUR", june(1), -900, 0), Line(None, june(1), -90, 0)
    ]  # fmt: skip
    add(warehouse, "second", lines)

    def alerts(thresholds: str) -> list[tuple]:
        variables = f"large_withdrawal_threshold: {thresholds}"
        assert warehouse.dbt(*MARTS, "--vars", f"{{{variables}}}").success
        return warehouse.query(
            "reporter",
            "select accounts.currency, large_withdrawal_threshold, is_over_threshold"
            " from marts.account_withdrawals as days inner join marts.accounts"
            " on accounts.source = days.source"
            " and accounts.currency is not distinct from days.currency order by 1",
        )

    assert alerts("{default: 100, JPY: 1000}") == [
        ("EUR", 100, True), ("JPY", 1000, False), (None, 100, False),
    ]  # fmt: skip
    assert alerts("89.5") == [
        ("EUR", Decimal("89.5"), True), ("JPY", Decimal("89.5"), True),
        (None, Decimal("89.5"), True),
    ]  # fmt: skip


@pytest.mark.parametrize("thresholds", ["{JPY: 1000}", "{default: many}", "all"])
def test_a_threshold_that_is_no_number_stops_the_run(warehouse: Warehouse, thresholds: str) -> None:
    variables = f"{{large_withdrawal_threshold: {thresholds}}}"
    result = warehouse.dbt("compile", "--select", "accounts", "--vars", variables)
    assert not result.success
    assert "a number, or a mapping of currencies to numbers" in str(
        result.exception or [found.message for found in result.result]
    )


def test_other_banks_may_lack_value_dates_and_balances_but_have_currencies_and_zeros(
    warehouse: Warehouse,
) -> None:
    first_bank(warehouse)
    lines = [
        Line("EUR", june(1), 5, None, account="0012"), Line("Euro", june(1), 5, None, account="2"),
        Line("EUR", june(1), 5, None, account="12"),
    ]  # fmt: skip
    add(warehouse, "second", lines)
    add(warehouse, "third", [Line("EUR", june(1), 5, None, account="002")])
    assert warehouse.dbt(*MARTS).success
    assert not_passed(warehouse.dbt("test", *WITHOUT_UNIT_TESTS)) == {
        "account_numbers_keep_their_zeros": "warn",
        "currency_is_a_code": "fail",
        "every_raw_row_is_staged": "fail",
    }
    zeros = warehouse.query(
        "reporter",
        "select source, account_number, account_number_without_zeros"
        " from audit.account_numbers_keep_their_zeros",
    )
    assert zeros == [("second", "0012", "12")]
    wrong = warehouse.query("reporter", "select account_number from audit.currency_is_a_code")
    assert wrong == [("2",)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project that a test may change."""
    copy = tmp_path / "project"
    for name in ("macros", "models", "seeds", "tests"):
        shutil.copytree(PROJECT / name, copy / name)
    shutil.copy(PROJECT / "dbt_project.yml", copy)
    return copy


def test_an_accepted_break_may_name_its_source_and_currency(
    warehouse: Warehouse, project: Path, tmp_path: Path
) -> None:
    first_bank(warehouse)
    for source in ("second", "third"):
        lines = [Line(currency, june(day), 5, 5 * day)
                 for currency in ("EUR", "JPY") for day in (1, 30)]  # fmt: skip
        add(warehouse, source, lines)
    seed = project / "seeds" / "accepted_balance_breaks.csv"
    seed.write_text(
        "source,account_number,currency,transaction_date,difference,reason\n"
        f"second,{NUMBER},EUR,2017-06-30,140.00,one account\n"
        f",{NUMBER},JPY,2017-06-30,140.00,each source\n"
    )
    copy = Warehouse(warehouse.name, tmp_path / "target")
    assert copy.dbt("seed", "--full-refresh", project=project).success
    assert copy.dbt(*MARTS, project=project).success
    accepted = warehouse.query(
        "reporter",
        "select source, currency, accepted_reason from marts.balance_breaks order by 1, 2",
    )
    assert accepted == [
        ("second", "EUR", "one account"), ("second", "JPY", "each source"),
        ("third", "EUR", None), ("third", "JPY", "each source"),
    ]  # fmt: skip


def test_the_rows_of_each_source_are_counted_by_load(
    warehouse: Warehouse, project: Path, tmp_path: Path
) -> None:
    """The load 1 of a declared source must be staged, whatever the known source's load 1 has."""
    first_bank(warehouse)
    warehouse.query(
        "loader",
        "create table raw.second (_row_hash uuid, _load_id bigint, _source_line bigint);"
        "insert into raw.second values (md5('2')::uuid, 1, 2)",
    )
    models = project / "models" / "staging"
    (models / "stg_second.yml").write_text(
        "sources: [{name: raw, tables: [{name: second}]}]\n"
        "models: [{name: stg_second, config: {contract: {enforced: false}}}]\n"
    )
    (models / "stg_second.sql").write_text(EMPTY_VIEW)  # it loses all rows
    settings = project / "dbt_project.yml"
    settings.write_text(settings.read_text().replace("sources: []", "sources: [second]"))
    copy = Warehouse(warehouse.name, tmp_path / "target")
    test = ("test", "--select", "every_raw_row_is_staged")
    assert not_passed(copy.dbt(*test, project=project)) == {"every_raw_row_is_staged": "fail"}
    failing = "select source, _load_id, raw_rows, staged_rows from audit.every_raw_row_is_staged"
    assert warehouse.query("reporter", failing) == [("second", 1, 1, 0)]
    # With `drop`, a row of raw that is not staged is listed, by the id that it would have.
    drop = ("run", "--select", "dropped_transactions", "--vars", "other_notation: drop")
    assert copy.dbt(*drop, project=project).success
    dropped = "select source, transaction_id::text from staging.dropped_transactions"
    ((source, dropped_id),) = warehouse.query("reporter", dropped)
    assert source == "second"
    assert not_passed(copy.dbt(*test, project=project)) == {}
    # The row of the same hash, staged by the known source's rule, would be another transaction.
    add(warehouse, "second", [Line("EUR", june(1), 5, 5)])
    staged = "select transaction_id::text from staging.transactions where source = 'second'"
    assert warehouse.query("reporter", staged) == [(dropped_id,)]
