"""Names of columns, and what a header must hold."""

import pytest
from conftest import HEADER

from data_ingestion.contract import CONTRACTS, files_of, name_columns, normalise
from data_ingestion.errors import InputError, printable

TRANSACTIONS = CONTRACTS["transactions"]
FIELDS = HEADER.rstrip("\n").split(",")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Account No", "account_no"),
        (" WITHDRAWAL AMT ", "withdrawal_amt"),
        ("CHQ.NO.", "chq_no"),
        (".", ""),
        ("_load_id", "load_id"),
        ("Größe (m²)", "gr_e_m"),
        ('x"; drop table t; --', "x_drop_table_t"),
        ("2019", "2019"),
    ],
)
def test_normalise(name, expected):
    assert normalise(name) == expected


def test_contract_drops_the_dot_and_keeps_its_own_order():
    reverse = name_columns(FIELDS[::-1], TRANSACTIONS)
    assert reverse.names == TRANSACTIONS.columns
    assert reverse.fields == (8, 7, 6, 5, 4, 3, 2, 1)


def test_without_contract_every_column_gets_a_name():
    columns = name_columns(["Name", ".", "N"], None)
    assert columns.names == ("name", "column_2", "n")
    assert columns.fields == (0, 1, 2)


@pytest.mark.parametrize(
    ("header", "contract", "message"),
    [
        (FIELDS[1:], TRANSACTIONS, "lacks column account_no"),
        ([*FIELDS, "Branch"], TRANSACTIONS, "has column branch"),
        ([*FIELDS, "Date"], TRANSACTIONS, "both be named 'date'"),
        (["a", "A "], None, "columns 1 and 2 would both be named 'a'"),
        (["a" * 64], None, "name of 64 characters"),
    ],
)
def test_refused_headers(header, contract, message):
    with pytest.raises(InputError, match=message):
        name_columns(header, contract)


def test_files_of_the_contract_sorted(tmp_path):
    names = ["transactions_b.csv", "transactions_a.csv.gz", "transactions.xlsx", "transactions.zip"]
    for name in [*names, "other.csv", "transactions.truth.json"]:
        (tmp_path / name).touch()
    assert [path.name for path in files_of(TRANSACTIONS, tmp_path)] == sorted(names)


def test_files_of_the_contract_in_capitals_too(tmp_path):
    names = ["transactions_1.csv", "Transactions_2.csv", "transactions_3.CSV", "transactions_4.Zip"]
    names += ["TRANSACTIONS_5.CSV.GZ", "transactions_6.XLSX"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in files_of(TRANSACTIONS, tmp_path)] == names


def test_no_files_of_the_contract(tmp_path):
    with pytest.raises(InputError, match=r"no file named transactions\*"):
        files_of(TRANSACTIONS, tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        files_of(TRANSACTIONS, tmp_path / "none")


def test_printable_escapes_what_a_terminal_would_obey():
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert printable("x" * 300) == "x" * 200 + "…"
