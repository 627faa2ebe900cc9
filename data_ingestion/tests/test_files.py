"""The loader chooses files by name and reports those that it skips."""

import gzip
import zipfile

import pytest
from conftest import HEADER, line
from test_load import csv_and_workbook


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty data folder."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return tmp_path


def test_file_names_ignore_case_for_every_format(warehouse, run, folder):
    csv_and_workbook(folder, rows=300).rename(folder / "transactions_1.csv")
    (folder / "transactions.xlsx").rename(folder / "transactions_2.XLSX")
    (folder / "Transactions_3.csv").write_text(HEADER + line(3))
    (folder / "transactions_4.CSV").write_text(HEADER + line(4))
    (folder / "TRANSACTIONS_5.CSV.GZ").write_bytes(gzip.compress((HEADER + line(5)).encode()))
    with zipfile.ZipFile(folder / "transactions_6.Zip", "w") as archive:
        archive.writestr("EXPORT/STATEMENT.CSV", HEADER + line(6))
    outcome = run("load")
    assert (outcome.code, outcome.err) == (0, [])
    loads = "select source_file, rows_loaded, rows_duplicate from raw._loads order by load_id"
    assert warehouse.query(loads) == [
        ("transactions_1.csv", 298, 2),
        ("transactions_2.XLSX", 0, 300),
        ("Transactions_3.csv", 1, 0),
        ("transactions_4.CSV", 1, 0),
        ("TRANSACTIONS_5.CSV.GZ", 1, 0),
        ("transactions_6.Zip", 1, 0),
    ]
    by_name = run("load", "--in-data-dir", "--", "transactions_4.CSV")
    assert "already loaded as load 4" in by_name.out[0]


def test_files_skipped_because_of_their_suffix_are_reported_once(warehouse, run, folder):
    loaded = folder / "transactions.csv"
    loaded.write_text(HEADER + line(1))
    for name in ("Transactions_2.TXT", "transactions_3.csv.part", "transactions_4\x1b.csv.bz2"):
        (folder / name).touch()
    for name in ("transactions.truth.json", "notes.txt", ".transactions.csv.swp"):
        (folder / name).touch()
    notice = (
        f"{folder}: not loaded, because the name ends in none of .csv, .csv.gz, .zip, .xlsx: "
        "Transactions_2.TXT, transactions_3.csv.part, transactions_4\\x1b.csv.bz2"
    )
    outcome = run("load")
    assert (outcome.code, outcome.out[0]) == (0, notice)
    assert outcome.out[1].startswith("transactions.csv: read 1") and len(outcome.out) == 2
    assert len(run("load", "transactions.csv").out) == 1, "a load of a named file prints no notice"
    loaded.unlink()
    empty = run("load")
    assert empty.out == [notice] and "no file named transactions*" in empty.err[0]


def test_many_skipped_files_are_reported_on_one_line(warehouse, run, folder):
    (folder / "transactions.csv").write_text(HEADER + line(1))
    for number in range(20):
        (folder / f"transactions_{number:02}.pdf").touch()
    assert run("load").out[0].endswith("_10.pdf, transactions_11.pdf and 8 more")
