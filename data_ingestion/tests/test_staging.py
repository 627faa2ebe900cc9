"""The dbt files that are written from a declaration. dbt/pytests tests the macros they call."""

import jinja2
import pytest
import yaml

from data_ingestion import cli
from data_ingestion.errors import InputError
from data_ingestion.staging import staging_files

NASTY = """it's {{ 1 / 0 }} {% x %} "quoted" \\d \\"""
SOURCE = {
    "name": "bank",
    "path": "bank*",
    "schema": {
        "fields": [
            {"name": "from", "title": "Day", "type": "date", "format": "%d'%m'%Y"},
            {"title": "Amount", "type": "number", "groupChar": "'", "missingValues": [NASTY]},
            {"title": "Balance", "type": "number"},
            "Sign",
        ]
    },
    "transaction": {
        "account_number": {"constant": NASTY},
        "transaction_date": "Day",
        "amount": "Amount",
        "balance": "Balance",
        "balance_is": "before",
        "indicator": {"field": "Sign", "withdrawal": [NASTY], "deposit": ["K"]},
        "details": "Sign",
    },
}


def view(tmp_path, source: dict) -> str:
    (tmp_path / "bank.yml").write_text(yaml.safe_dump(source))
    return staging_files(tmp_path / "bank.yml")["stg_bank.sql"]


def test_texts_of_a_declaration_are_no_code(tmp_path):
    """Each text reaches the macros as it is, whatever it has of SQL, Jinja and quotes."""
    calls = []

    def macro(name):
        return lambda *arguments, **keywords: calls.append((name, arguments)) or name

    template = jinja2.Template(view(tmp_path, SOURCE), undefined=jinja2.StrictUndefined)
    names = (
        *("source", "plain_text", "joined_details", "parse_declared_date", "signed_by"),
        *("parse_declared_amount", "transaction_id", "text_literals", "withdrawal_of"),
        *("deposit_of", "unparsed_values"),
    )
    sql = template.render({name: macro(name) for name in names})
    assert ("text_literals", ([NASTY],)) in calls
    assert ("plain_text", ("amount", [NASTY])) in calls
    assert ("plain_text", ("from",)) in calls
    assert ("parse_declared_date", ("transaction_date_text", "%d'%m'%Y")) in calls
    assert ("signed_by", ("amount", "indicator_text", [NASTY], ["K"])) in calls
    assert ("parse_declared_amount", ("amount_text", ".", "'", "amount")) in calls
    assert NASTY not in sql


@pytest.mark.parametrize(
    ("constant", "stored"),
    [("DE00 1234 5678 9012 3456 78", "DE00123456789012345678"), ("12 345 678", "12 345 678")],
)
def test_a_constant_iban_loses_its_blanks(tmp_path, constant, stored):
    said = SOURCE["transaction"] | {"account_number": {"constant": constant}}
    sql = view(tmp_path, SOURCE | {"transaction": said})
    assert f'text_literals(["{stored}"])' in sql


def test_a_view_needs_a_meaning(tmp_path):
    source = {key: value for key, value in SOURCE.items() if key != "transaction"}
    with pytest.raises(InputError, match="transaction: is missing"):
        view(tmp_path, source)


def test_the_command_writes_the_view_and_its_properties(tmp_path, capsys):
    (tmp_path / "bank.yml").write_text(yaml.safe_dump(SOURCE))
    assert cli.main(["dbt-view", str(tmp_path / "bank.yml"), "--out", str(tmp_path)]) == 0
    properties = yaml.safe_load((tmp_path / "stg_bank.yml").read_text())
    assert properties["sources"][0]["tables"][0]["name"] == "bank"
    assert properties["models"][0]["config"]["contract"] == {"enforced": False}
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "stg_bank.sql"), str(tmp_path / "stg_bank.yml"),
    ]  # fmt: skip
