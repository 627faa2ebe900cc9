"""A source is declared in YAML; a mistake is one line with the file, the key and the reason."""

import json
import re
from pathlib import Path

import pytest
import yaml

from data_ingestion.declarations import contracts, declared, json_schema, meaning, read
from data_ingestion.errors import InputError
from data_ingestion.model import Dialect

PROJECT = Path(__file__).resolve().parents[2]
SCHEMA = PROJECT / "docs" / "source.schema.json"
SOUND = {"name": "bank", "path": "bank*", "schema": {"fields": ["Date", "Amount"]}}


@pytest.fixture
def declare(tmp_path):
    """Return a function that declares a source and returns its contract."""

    def write(content: dict | str, name: str = "bank.yml"):
        text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
        (tmp_path / name).write_text(text)
        return contracts.__wrapped__(tmp_path)["bank"]

    return write


def test_the_known_source_is_declared():
    source = declared()["transactions"]
    assert source.columns == (
        "account_no", "date", "transaction_details", "chq_no", "value_date", "withdrawal_amt",
        "deposit_amt", "balance_amt",
    )  # fmt: skip
    assert (source.required, source.dropped) == (("account_no", "date"), (".",))


def test_the_schema_for_editors_is_up_to_date():
    command = "from data_ingestion.declarations import json_schema; print(json_schema(), end='')"
    assert SCHEMA.read_text() == json_schema(), f'run: python -c "{command}" > {SCHEMA}'


def test_every_declaration_names_the_schema_for_editors():
    for file in (PROJECT / "data_ingestion" / "sources").glob("*.yml"):
        reference = file.read_text().splitlines()[0].partition("$schema=")[2]
        assert (file.parent / reference).resolve() == SCHEMA


def test_columns_get_names_that_need_no_quotes(declare):
    fields = [
        "Buchungstag",
        "Währung",
        "Betrag (€)",
        "Währung",
        "",
        "日付",
        {"name": "x", "title": "Y"},
    ]
    source = declare(SOUND | {"schema": {"fields": fields}})
    assert source.columns == (
        "buchungstag", "wahrung", "betrag_eur", "wahrung_2", "column_5", "rifu", "x",
    )  # fmt: skip


def test_all_keys_reach_the_contract(declare):
    source = declare(
        {
            "name": "bank",
            "path": "*statement*",
            "encoding": "cp1252",
            "dialect": {"delimiter": ";", "quoteChar": "'", "trailingDelimiter": True},
            "schema": {
                "fields": [
                    {"name": "day", "title": "Day", "constraints": {"required": True}},
                    {"title": "Empty", "ignored": True},
                    "State",
                ]
            },
            "preamble": True,
            "skip": {"rows": {"State": ["Pending", ""]}, "lines": ["Page"], "footer": ["Total;"]},
            "duplicates": "keep",
        }
    )
    assert (source.columns, source.positions) == (("day", "state"), (0, 2))
    assert source.trailing_delimiter
    assert source.dialect == Dialect(";", "'", "cp1252")
    assert (source.required, source.dropped) == (("day",), ("Empty",))
    assert source.skipped_rows == {"state": {"Pending", ""}}
    assert (source.skipped_lines, source.footer) == (("Page",), ("Total;",))
    assert (source.preamble, source.duplicates, source.pattern) == (True, "keep", "*statement*")


def fields(*items: dict) -> dict:
    """Return the part of a declaration with these fields."""
    return {"schema": {"fields": list(items)}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Bank"}, "name: Expected `str` matching regex"),
        ({"name": "x" * 49}, "name: Expected `str` of length <= 48"),
        ({"path": ""}, "path: Expected `str` of length >= 1"),
        ({"schema": {}}, "schema: Object missing required field `fields`"),
        ({"schema": {"fields": []}}, "schema.fields: Expected `array` of length >= 1"),
        ({"schema": {"fields": [{"label": "a"}]}}, "Object contains unknown field `label`"),
        ({"dialect": {"quotechar": "'"}}, "dialect: Object contains unknown field `quotechar`"),
        ({"dialect": {"delimiter": "::"}}, "dialect.delimiter: Expected `str` of length <= 1"),
        ({"dialect": {"delimiter": "€"}}, "dialect.delimiter: '€' is not one ASCII character"),
        ({"dialect": {"delimiter": '"'}}, "dialect.quoteChar: is the delimiter, too"),
        ({"dialect": {"header": "no"}}, "dialect.header: Expected `bool`, got `str`"),
        ({"dialect": {"header": False}, "preamble": True}, "preamble: needs a header"),
        ({"encoding": "utf-7.5"}, "encoding: 'utf-7.5' is not a known encoding"),
        ({"duplicates": "maybe"}, "duplicates: Invalid enum value 'maybe'"),
        ({"skip": {"rows": {"State": ["x"]}}}, "skip.rows.State: 'State' is no column"),
        ({"name": "bank\n"}, "name: Expected `str` matching regex"),
        ({"path": "in/bank*"}, "path: is the pattern of a name: leave out the folder"),
        ({"path": "bank*.csv"}, "path: leave out the ending, which can be any of .csv, .csv.gz"),
        ({"encoding": "base64"}, "encoding: 'base64' is not a known encoding"),
        ({"encoding": "idna"}, "encoding: 'idna' is not a known encoding"),
        ({"encoding": "a\0b"}, "encoding: 'a\\x00b' is not a known encoding"),
        (
            {"schema": {"fields": ["a", "Ä"], "fieldsMatch": "equal"}},
            "schema.fieldsMatch: 'equal' needs titles in ASCII, and no other names: 'Ä', 'a_2'",
        ),
        (
            {"schema": {"fields": ["a"], "fieldsMatch": "equal"}, "preamble": True},
            "schema.fieldsMatch: 'equal' needs a header in the first line",
        ),
        ({"schema": {"fields": [{"title": "a", "ignored": True}]}}, "schema.fields: has no column"),
        ({"schema": {"fields": [{}]}}, "schema.fields[0]: needs a name or a title"),
        (
            {"schema": {"fields": ["a", {"name": "xmin"}]}},
            "schema.fields[1]: Postgres has a column 'xmin' in every table",
        ),
        (
            {"schema": {"fields": [{"name": "a", "title": "x"}, {"name": "a", "title": "y"}]}},
            "schema.fields[1]: another field has the name 'a', too",
        ),
        (
            {
                "schema": {
                    "fields": [{"title": "a", "ignored": True, "constraints": {"required": True}}]
                }
            },
            "schema.fields[0]: cannot be both ignored and required",
        ),
        ({"schema": {"fields": [1]}}, "schema.fields[0]: Expected `str | object`, got `int`: put"),
        ({"skip": {"rows": {1: ["x"]}}}, "skip.rows: Expected `str`, got `int`: put it in quotes"),
        (
            {
                "schema": {"fields": ["a", {"title": "b", "ignored": True}]},
                "skip": {"rows": {"b": ["x"]}},
            },
            "skip.rows.b: is ignored",
        ),
        ({"unknown": 1}, "the file: Object contains unknown field `unknown`"),
        (
            fields({"title": "a", "type": "date"}),
            "schema.fields[0].format: belongs to `type: date`",
        ),
        (fields({"title": "a", "format": "%d.%m.%Y"}), "schema.fields[0].format: belongs to"),
        (
            fields({"title": "a", "type": "date", "format": "%d.%m."}),
            "schema.fields[0].format: '%d.%m.' needs %d, %m or %b, and %Y or %y",
        ),
        (
            fields({"title": "a", "type": "date", "format": "%d.%m.%Y %H:%M"}),
            "schema.fields[0].format: '%d.%m.%Y %H:%M' needs",
        ),
        (
            fields({"title": "a", "decimalChar": ","}),
            "schema.fields[0]: decimalChar and groupChar belong to `type: number`",
        ),
        (
            fields({"title": "a", "type": "number", "decimalChar": ",", "groupChar": ","}),
            "schema.fields[0].groupChar: is the decimalChar, too",
        ),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_reason(declare, tmp_path, change, message):
    with pytest.raises(InputError) as refused:
        declare(SOUND | change)
    text = str(refused.value)
    assert text.startswith(f"{tmp_path / 'bank.yml'}: ") and message in text and "\n" not in text


STATEMENT = SOUND | fields(
    {"title": "Day", "type": "date", "format": "%d/%m/%y"},
    "Text",
    {"name": "sum", "title": "Amount", "type": "number", "groupChar": ","},
    {"title": "Balance", "type": "number"},
    "Sign",
    "Sign",
    {"title": "Empty", "ignored": True},
)
MEANING = {
    "account_number": {"constant": "1"},
    "transaction_date": "Day",
    "details": "Text",
    "amount": "Amount",
    "balance": "Balance",
}


def test_a_meaning_names_columns_by_their_titles_or_names(tmp_path):
    said = {**MEANING, "currency": {"constant": "EUR"}, "details": ["Text", "sign_2"]}
    file = tmp_path / "bank.yml"
    file.write_text(yaml.safe_dump(STATEMENT | {"transaction": said}))
    contract, transaction, by_column = meaning(file)
    assert contract.added == ()
    assert (transaction.transaction_date, transaction.amount) == ("day", "sum")
    assert (transaction.details, transaction.balance_is) == (["text", "sign_2"], "after")
    assert by_column["sum"].group_char == ","


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"account_number": None}, "transaction.account_number: Expected"),
        ({"transaction_date": "Date"}, "transaction.transaction_date: 'Date' is no column"),
        ({"transaction_date": "Text"}, "the field 'Text' needs `type: date`"),
        ({"value_date": "Empty"}, "transaction.value_date: 'Empty' is no column"),
        ({"balance": "Text"}, "transaction.balance: the field 'Text' needs `type: number`"),
        ({"details": "Sign"}, "transaction.details: 'Sign' is the title of sign and sign_2: name"),
        ({"details": ["Text", "text"]}, "transaction.details: names a column twice"),
        ({"amount": None}, "transaction: needs either amount, or both withdrawal and deposit"),
        ({"withdrawal": "Amount"}, "transaction: needs either amount, or both"),
        (
            {"indicator": {"field": "sign", "withdrawal": ["D"], "deposit": ["D"]}},
            "transaction.indicator: a value stands for both directions",
        ),
        (
            {
                "indicator": {"field": "sign", "withdrawal": ["D"], "deposit": ["C"]},
                "inverted": True,
            },
            "transaction.inverted: the indicator tells the sign already",
        ),
        ({"balance": None, "balance_is": "before"}, "transaction.balance_is: belongs to `balance`"),
        ({"currency": {"constant": "€"}}, "transaction.currency.constant: needs a code of three"),
        ({"account_number": {}}, "transaction.account_number: needs one of constant, preamble"),
        ({"account_number": {"path": "("}}, "transaction.account_number.path: is no regular"),
        ({"account_number": {"path": "a"}}, "account_number.path: needs one group"),
        (
            {"account_number": {"preamble": "(a)"}},
            "transaction.account_number.preamble: needs `preamble: true`",
        ),
    ],
)
def test_a_mistake_in_the_meaning_is_one_line(declare, tmp_path, change, message):
    said = {key: value for key, value in (MEANING | change).items() if value is not None}
    if change == {"account_number": None}:
        said["account_number"] = 1
    with pytest.raises(InputError) as refused:
        declare(STATEMENT | {"transaction": said})
    text = str(refused.value)
    assert text.startswith(f"{tmp_path / 'bank.yml'}: ") and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [a", ": is not YAML: "),
        ("name: a\nname: b\n", "line 2: is not YAML: the key 'name' occurs twice"),
        ("", "the file: Expected `object`, got `null`"),
        ("- a\n", "the file: Expected `object`, got `array`"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not YAML: "),
        ("? [a]\n: b\n", "line 1: is not YAML: found unhashable key"),
        ("name: 2024-13-01\n", "has a wrong value (month must be in 1..12): put it in quotes"),
        ("name: !!bool maybe\n", "has a wrong value ('maybe'): put it in quotes"),
    ],
)
def test_a_file_that_is_no_declaration_is_refused(declare, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        declare(text)


def test_a_declaration_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "bank.yml").write_bytes("name: größe".encode("cp1252"))
    with pytest.raises(InputError, match=r"bank\.yml: is not UTF-8: save it in this encoding"):
        read(tmp_path / "bank.yml")


def test_other_files_of_the_folder_are_no_declarations(declare, tmp_path):
    for name in ("._bank.yml", "notes.txt", "x.yxml"):
        (tmp_path / name).write_text("no declaration")
    assert declare(SOUND, name="BANK.YAML").table == "bank"


def test_names_that_differ_only_beyond_the_limit_of_postgres_stay_different(declare):
    fields = ["x" * 80, "x" * 90, "a", "a", "a_2"]
    columns = declare(SOUND | {"schema": {"fields": fields}}).columns
    assert columns == ("x" * 59, "x" * 59 + "_2", "a", "a_2", "a_2_2")


def test_a_source_is_declared_once(declare):
    declare(SOUND)
    with pytest.raises(InputError, match=r"other\.yml: name: another file declares 'bank', too"):
        declare(SOUND, name="other.yml")


def test_a_folder_without_sources_is_refused(tmp_path, monkeypatch, run):
    monkeypatch.setenv("SOURCES_DIR", str(tmp_path))
    assert run("load", "x.csv").err == [
        f"error: {tmp_path}: no source is declared there: set SOURCES_DIR"
    ]
    monkeypatch.setenv("SOURCES_DIR", str(tmp_path / "none"))
    outcome = run("load", "x.csv")
    assert outcome.code == 2 and "no such folder: set SOURCES_DIR" in outcome.err[0]


def test_the_schema_is_json():
    assert json.loads(json_schema())["$ref"] == "#/$defs/Declaration"
