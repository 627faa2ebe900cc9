"""A header must fit its contract, and a file belongs to a contract by its name."""

import pytest
from conftest import HEADER

from data_ingestion.contracts import name_columns, normalise
from data_ingestion.declarations import declared
from data_ingestion.errors import InputError, printable
from data_ingestion.files import files_of

TRANSACTIONS = declared()["transactions"]
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
def test_column_names_are_normalised(name, expected):
    assert normalise(name) == expected


def test_a_contract_drops_the_dot_column_and_sets_the_order():
    reverse = name_columns(FIELDS[::-1], TRANSACTIONS)
    assert reverse.names == TRANSACTIONS.columns
    assert reverse.fields == (8, 7, 6, 5, 4, 3, 2, 1)


def test_every_column_gets_a_name_without_a_contract():
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
def test_a_header_that_does_not_fit_is_refused(header, contract, message):
    with pytest.raises(InputError, match=message):
        name_columns(header, contract)


def test_files_of_a_contract_are_sorted_by_name(tmp_path):
    names = ["transactions_b.csv", "transactions_a.csv.gz", "transactions.xlsx", "transactions.zip"]
    for name in [*names, "other.csv", "transactions.truth.json"]:
        (tmp_path / name).touch()
    assert [path.name for path in files_of([TRANSACTIONS], tmp_path)] == sorted(names)


def test_file_names_of_a_contract_ignore_case(tmp_path):
    names = ["transactions_1.csv", "Transactions_2.csv", "transactions_3.CSV", "transactions_4.Zip"]
    names += ["TRANSACTIONS_5.CSV.GZ", "transactions_6.XLSX"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in files_of([TRANSACTIONS], tmp_path)] == names


def test_a_folder_without_files_of_the_contract_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"no file named transactions\*"):
        files_of([TRANSACTIONS], tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        files_of([TRANSACTIONS], tmp_path / "none")


def test_printable_escapes_terminal_control_characters():
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert printable("x" * 300) == "x" * 200 + "…"
