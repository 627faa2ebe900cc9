"""Lines that are no transactions are skipped if they have no value, and rejected otherwise."""

import csv

import pytest
from conftest import HEADER, LOADS, line
from forms import FORMS, save

NAMES, *TRANSACTIONS = csv.reader([HEADER, *map(line, range(3))])
BLANK = [[""] * 9, [" ", "", "\t", "", "\u00a0", "", "", "", ""]]
NOTE = ["Generated on 31-Mar-24 by the branch", *[""] * 8]
TOTALS = ["", "", "TOTAL", "", "", "1,250.00 ", "5,000.00 ", "3,750.00 ", "."]
NO_DATE = ["409000611074'", " ", "BALANCE FORWARD", "", "", "", "", "3,750.00 ", "."]
SOURCE_LINES = "select _source_line from raw.transactions order by 1"
REJECTS = "select source_line, reason from raw._rejects where load_id = 1 order by 1"


@pytest.mark.parametrize("form", FORMS)
def test_rows_without_values_are_no_transactions(warehouse, run, write, tmp_path, form):
    first, *others = TRANSACTIONS
    rows = [NAMES, *BLANK, first, *BLANK, *others, *BLANK * 3]
    outcome = run("load", save(form, tmp_path, rows), *FORMS[form])
    assert (outcome.code, outcome.err) == (0, [])
    assert "read 3 = loaded 3 + duplicates 0 + rejected 0" in outcome.out[0]
    assert warehouse.query(SOURCE_LINES) == [(4,), (7,), (8,)]
    plain = run("load", write(*map(line, range(3)), name="plain.csv"))
    assert "read 3 = loaded 0 + duplicates 3" in plain.out[0], "the values are the same"


@pytest.mark.parametrize("form", FORMS)
def test_rows_without_values_may_precede_the_header(warehouse, run, tmp_path, form):
    blank = [[""] * 9] * 2
    outcome = run("load", save(form, tmp_path, [*blank, NAMES, *TRANSACTIONS]), *FORMS[form])
    assert (outcome.code, outcome.err) == (0, [])
    assert warehouse.query(SOURCE_LINES) == [(4,), (5,), (6,)]


def test_thousands_of_rows_without_values_are_skipped(warehouse, run, write, monkeypatch):
    monkeypatch.setattr("data_ingestion.formats.sources.CHUNK", 1 << 12)
    blank = f"{',' * 8}\n" * 5_000
    outcome = run("load", write(blank, line(1), blank, ',"",\n', line(2), blank, header=HEADER))
    assert "read 2 = loaded 2 + duplicates 0 + rejected 0" in outcome.out[0]
    assert warehouse.query(SOURCE_LINES) == [(5_002,), (10_004,)]


def test_a_table_of_its_own_has_no_rows_without_values(warehouse, run, write):
    path = write(",\n", "1,\n", '" ",""\n', ",2\n", name="own.csv", header="a,b\n")
    assert "read 2 = loaded 2" in run("load", path, "--table", "own").out[0]
    found = warehouse.query("select _source_line, a, b from raw.own order by 1")
    assert found == [(3, "1", ""), (5, "", "2")], "without a contract, no value is required"


def test_a_file_of_rows_without_values_is_refused(warehouse, run, write):
    outcome = run("load", write(",,,,,,,,\n", ",\n"))
    assert outcome.code == 2 and "has a header but no rows" in outcome.err[0]


@pytest.mark.parametrize("form", FORMS)
def test_rows_without_account_or_date_are_rejected(warehouse, run, tmp_path, form):
    first, *others = TRANSACTIONS
    rows = [NAMES, NOTE, first, NO_DATE, *others, BLANK[0], TOTALS]
    path = save(form, tmp_path, rows)
    refused = run("load", path, *FORMS[form])
    assert refused.code == 2 and len(refused.err) == 1
    assert "3 of 6 lines rejected (more than --max-rejects 0)" in refused.err[0]
    assert "the first is line 2: no value in date" in refused.err[0]
    expected = [(2, "no value in date"), (4, "no value in date"), (8, "no value in account_no")]
    assert warehouse.query(REJECTS) == expected
    allowed = run("load", path, *FORMS[form], "--max-rejects", 3)
    assert "read 6 = loaded 3 + duplicates 0 + rejected 3" in allowed.out[0]
    assert warehouse.query(SOURCE_LINES) == [(3,), (5,), (6,)]


def test_all_rejects_of_a_file_are_in_the_order_of_its_lines(warehouse, run, write):
    totals, two_lines = f"{','.join(TOTALS[:5])},,,,\n", '"a\n""b""",, ,,,,,,\n'
    path = write("x\n", totals, line(1), two_lines, "y,z\n", line(2), totals)
    assert run("load", path, "--max-rejects", 5).code == 0
    assert warehouse.query(LOADS) == [("loaded", 7, 2, 0, 5)]
    assert warehouse.query("select source_line, line, reason from raw._rejects order by ctid") == [
        (2, "x", "1 field instead of 9"),
        (3, totals.rstrip("\n"), "no value in account_no"),
        (5, two_lines.rstrip("\n"), "no value in date"),
        (7, "y,z", "2 fields instead of 9"),
        (9, totals.rstrip("\n"), "no value in account_no"),
    ]


def test_a_file_without_any_account_is_refused_with_10_000_rejects(warehouse, run, write):
    outcome = run("load", write(*[f",{','.join(TOTALS[1:5])},,,,\n"] * 10_500))
    assert "10,500 of 10,500 lines rejected" in outcome.err[0]
    assert warehouse.query("select count(*), max(source_line) from raw._rejects") == [
        (10_000, 10_001)
    ]


def test_the_columns_of_a_file_may_have_another_order(warehouse, run, tmp_path):
    rows = [row[::-1] for row in (NAMES, *TRANSACTIONS, TOTALS)]
    run("load", save("csv", tmp_path, rows))
    assert warehouse.query(REJECTS) == [(5, "no value in account_no")]
