"""A declared source beside the known one: its view, the union, and a watermark per source."""

import datetime
import shutil
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import PROJECT, WITHOUT_UNIT_TESTS, Warehouse, not_passed
from test_project import row

NAME = "bank"
VIEW = """
with texts as (

    select
        {{ plain_text('account') }} as account_number_text,
        {{ plain_text('day') }} as transaction_date_text,
        {{ plain_text('amount') }} as amount_text,
        {{ plain_text('balance') }} as balance_text,
        {{ joined_details(['name', 'purpose']) }} as transaction_details,
        _row_hash, _load_id, _source_line
    from {{ source('raw', 'bank') }}

),

parsed as (

    select
        *,
        {{ parse_declared_account('account_number_text') }} as account_number,
        {{ parse_declared_date('transaction_date_text', '%d.%m.%Y') }} as transaction_date,
        {{ parse_declared_amount('amount_text', ',', '.') }} as amount,
        {{ parse_declared_amount('balance_text', ',', '.', 'balance') }} as balance
    from texts

)

select
    {{ transaction_id("'bank'", '_row_hash') }} as transaction_id,
    transaction_date,
    null::date as value_date,
    'bank'::text as source,
    account_number,
    'EUR'::text as currency,
    transaction_details,
    null::text as cheque_number,
    {{ withdrawal_of('amount') }} as withdrawal_amount,
    {{ deposit_of('amount') }} as deposit_amount,
    balance as balance_amount,
    {{ unparsed_values({
        'transaction_date': ('transaction_date', 'transaction_date_text'),
        'amount': ('amount', 'amount_text'),
    }, dashes=['amount']) }} as _unparsed,
    _load_id,
    _source_line
from parsed
"""
PROPERTIES = """
sources:
  - name: raw
    tables: [{name: bank}]
models:
  - name: stg_bank
    config: {materialized: view, contract: {enforced: false}}
"""
TABLE = """
create table raw.bank (
    account text not null, day text not null, name text not null, purpose text not null,
    amount text not null, balance text not null,
    _row_hash uuid not null, _load_id bigint not null, _source_line bigint not null
)
"""
LINES = [
    ("DE12", "02.09.2024", "Shop", "Card", "-1.200,50", "8.799,50"),
    ("DE12", "03.09.2024", "Work", "", "2.000,00", "10.799,50"),
]
STAGED = """
select source, transaction_date, transaction_details, withdrawal_amount, deposit_amount,
    balance_amount, _load_id
from staging.transactions order by source, transaction_date, _source_line
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a copy of the dbt project with the source `bank`."""
    copy = tmp_path_factory.mktemp("project") / "dbt"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(".*", "target", "logs", "pytests"))
    settings = copy / "dbt_project.yml"
    text = settings.read_text()
    assert "  sources: []\n" in text
    settings.write_text(text.replace("  sources: []\n", "  sources: [bank]\n"))
    views = copy / "models" / "staging" / "sources"
    views.mkdir(exist_ok=True)
    (views / "stg_bank.sql").write_text(VIEW)
    (views / "stg_bank.yml").write_text(PROPERTIES)
    return copy


@pytest.fixture
def bank(warehouse: Warehouse) -> Warehouse:
    warehouse.query("loader", TABLE)
    return warehouse


def load(warehouse: Warehouse, lines: Sequence[tuple], load_id: int, first_line: int = 2) -> None:
    """Write lines to raw.bank as one load. Equal lines have equal hashes, as the loader's have."""
    records = [
        (*line, str(uuid.uuid5(uuid.NAMESPACE_OID, repr(line))), load_id, number)
        for number, line in enumerate(lines, start=first_line)
    ]
    warehouse.insert("raw.bank", records, "(" + ", ".join(["%s"] * 9) + ")")
    warehouse.insert(
        "raw._loads (table_name, load_id, source_file, status, started_at, finished_at)",
        [(NAME, load_id, f"bank_{load_id}.csv")],
        "(%s, %s, %s, 'loaded', clock_timestamp(), clock_timestamp())",
    )


def staged(warehouse: Warehouse) -> list[tuple]:
    """Return the rows of the source `bank` in staging: date, details, amounts, balance, load."""
    return [values[1:] for values in warehouse.query("reporter", STAGED) if values[0] == NAME]


EXPECTED = [
    (datetime.date(2024, 9, 2), "Shop Card", Decimal("1200.50"), None, Decimal("8799.50"), 1),
    (datetime.date(2024, 9, 3), "Work", None, Decimal(2000), Decimal("10799.50"), 1),
]


def test_each_source_has_a_watermark_of_its_own(bank, project):
    bank.load([row("28", 1)], load_id=5)
    load(bank, LINES[:1], load_id=1)
    assert bank.dbt("run", project=project).success
    assert staged(bank) == EXPECTED[:1]
    # Load 2 of the bank comes after load 5 of the known source, which has a new load, too.
    load(bank, LINES[1:], load_id=2, first_line=3)
    bank.load([row("29", 2)], load_id=6)
    times = "select source, _load_id, _staged_at from staging.transactions order by 1, 2"
    before = bank.query("reporter", times)
    assert bank.dbt("run", project=project).success
    after = bank.query("reporter", times)
    assert [values[:2] for values in after] == [
        ("bank", 1), ("bank", 2), ("transactions", 5), ("transactions", 6),
    ]  # fmt: skip
    assert set(before) < set(after), "a row was staged again"
    assert staged(bank) == [EXPECTED[0], (*EXPECTED[1][:-1], 2)]
    result = bank.dbt("test", *WITHOUT_UNIT_TESTS, project=project)
    assert not_passed(result) == {}
    state = "select currency, state from marts.reconciliation where source = 'bank'"
    assert bank.query("reporter", state) == [("EUR", "reconciled")]


def test_the_unit_tests_pass_beside_a_declared_source(bank, project):
    bank.load([row("28", 1)], load_id=1)
    assert bank.dbt("run", project=project).success
    result = bank.dbt("test", "--select", "test_type:unit", project=project)
    assert not_passed(result) == {}


def test_equal_rows_of_two_sources_never_meet(bank, project):
    load(bank, LINES[:1], load_id=1)
    bank.load([row("28", 1)], load_id=1)
    bank.query("loader", "update raw.bank set _row_hash = (select _row_hash from raw.transactions)")
    assert bank.dbt("run", project=project).success
    ids = bank.query("reporter", "select source, transaction_id from staging.transactions")
    assert len(ids) == len({number for _, number in ids}) == 2
    (row_hash,) = bank.query("loader", "select _row_hash from raw.transactions")[0]
    assert dict(ids)["transactions"] == row_hash


def test_a_source_that_is_loaded_again_from_the_start_is_staged_once(bank, project):
    load(bank, LINES, load_id=3)
    assert bank.dbt("run", project=project).success
    bank.query("loader", "truncate raw.bank; delete from raw._loads where table_name = 'bank'")
    load(bank, LINES, load_id=1)
    assert bank.dbt("run", project=project).success
    assert staged(bank) == EXPECTED
    assert not_passed(bank.dbt("test", *WITHOUT_UNIT_TESTS, project=project)) == {}


def test_a_text_that_is_not_as_declared_is_reported(bank, project):
    load(bank, [("DE12", "2024-09-02", "Shop", "", "-1,200.50", "0,00")], load_id=1)
    assert bank.dbt("run", project=project).success
    unparsed = bank.query("reporter", "select _unparsed from staging.transactions")
    assert unparsed == [({"amount": "-1,200.50", "transaction_date": "2024-09-02"},)]
    result = bank.dbt("test", "--select", "every_value_is_parsed", project=project)
    assert not result.success
    hints = bank.query("transformer", "select hint from audit.every_value_is_parsed")
    assert hints == [
        (
            "the text does not have the form that the source declares: change its field in"
            " data_ingestion/sources and the view stg_bank",
        )
    ]


def test_rows_of_a_source_that_vanish_from_raw_are_reported(bank, project):
    load(bank, LINES, load_id=1)
    assert bank.dbt("run", project=project).success
    bank.query("loader", "delete from raw.bank where _source_line = 2")
    result = bank.dbt("test", "--select", "every_raw_row_is_staged", project=project)
    assert not_passed(result) == {"every_raw_row_is_staged": "fail"}
