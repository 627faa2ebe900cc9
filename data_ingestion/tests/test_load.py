"""Loads into a real Postgres give the right rows, duplicates, load log and indexes."""

import csv
import gzip
import json
import zipfile
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from conftest import COLUMNS, LOADS, line

SAMPLE = Path(__file__).parents[1] / "data" / "transactions_data.csv"


def test_the_loaded_sample_matches_its_truth_file(warehouse, run):
    truth = json.loads(SAMPLE.with_suffix(".truth.json").read_text())
    outcome = run("load", SAMPLE)
    assert (outcome.code, outcome.err) == (0, [])
    assert outcome.out[0].startswith(
        "transactions_data.csv: read 20,000 = loaded 19,900 + duplicates 100 + rejected 0 in "
    )
    assert warehouse.query(LOADS) == [
        ("loaded", truth["rows"], truth["distinct_rows"], truth["duplicates"], 0)
    ]
    with SAMPLE.open(newline="", encoding="utf-8") as file:
        rows = {tuple(row[:8]) for row in list(csv.reader(file))[1:]}
    assert warehouse.rows() == sorted(rows), "raw values are unchanged"
    sums = warehouse.query(
        "select rtrim(account_no, ''''), count(*),"
        " sum(nullif(replace(withdrawal_amt, ',', ''), '')::numeric)::text from raw.transactions"
        " group by 1"
    )
    assert {number: (count, Decimal(total)) for number, count, total in sums} == {
        number: (account["transactions"], Decimal(account["withdrawals"]))
        for number, account in truth["accounts"].items()
    }


def test_the_loader_adds_its_columns_log_and_indexes(warehouse, run, write):
    path = write(line(1), line(2, '"two\nlines"'), line(3))
    assert run("load", path).code == 0
    assert warehouse.query(
        "select _source_line, source_file, _load_id"
        " from raw.transactions join raw._loads on load_id = _load_id order by 1"
    ) == [(number, "transactions.csv", 1) for number in (2, 3, 5)]
    assert warehouse.query(
        "select source_file, file_size, length(file_sha256), error, finished_at > started_at"
        " from raw._loads"
    ) == [("transactions.csv", path.stat().st_size, 64, None, True)]
    indexes = warehouse.query("select indexdef from pg_indexes where tablename = 'transactions'")
    assert len(indexes) == 2
    assert any("UNIQUE" in text and "(_row_hash)" in text for (text,) in indexes)
    assert any("brin (_load_id)" in text for (text,) in indexes)


def test_a_known_file_is_skipped_unless_forced(warehouse, run, write):
    path = write(line(1), line(2))
    run("load", path)
    again = run("load", path)
    assert again.code == 0 and "already loaded as load 1 on " in again.out[0]
    assert len(warehouse.query(LOADS)) == 1
    forced = run("load", path, "--force")
    assert "read 2 = loaded 0 + duplicates 2 + rejected 0" in forced.out[0]
    warehouse.query("delete from raw.transactions")
    assert "read 2 = loaded 2" in run("load", path).out[0], "its rows were deleted"


def test_overlapping_files_load_each_row_once(warehouse, run, write):
    january = write(*map(line, range(0, 60)), name="january.csv")
    february = write(*map(line, range(40, 100)), name="february.csv")
    everything = write(*map(line, range(0, 100)), name="all.csv")
    assert run("load", february, january, everything).code == 0
    assert warehouse.query(LOADS + " order by load_id") == [
        ("loaded", 60, 60, 0, 0),
        ("loaded", 60, 40, 20, 0),
        ("loaded", 100, 0, 100, 0),
    ]
    assert len(warehouse.rows()) == 100


def test_the_order_of_columns_does_not_change_a_row(warehouse, run, write):
    run("load", write(line(1), line(2)))
    with (write(line(1), line(2))).open(newline="") as file:
        rows = list(csv.reader(file))
    other = write(name="other.csv", header="")
    with other.open("w", newline="") as file:
        csv.writer(file).writerows(row[::-1] for row in rows)
    assert "read 2 = loaded 0 + duplicates 2" in run("load", other).out[0]


@pytest.mark.parametrize("memory", [256, 0])
def test_duplicates_keep_counts_repeated_rows(warehouse, run, write, memory):
    twice = write(line(1), line(2), line(1), line(1), name="twice.csv")
    options = ("--duplicates", "keep", "--dedup-memory", memory)
    assert "read 4 = loaded 4 + duplicates 0" in run("load", twice, *options).out[0]
    assert "already loaded" in run("load", twice, *options).out[0]
    assert "loaded 0 + duplicates 4" in run("load", twice, *options, "--force").out[0]
    more = write(*[line(1)] * 4, name="more.csv")
    assert "loaded 1 + duplicates 3" in run("load", more, *options).out[0]
    assert sorted(Counter(warehouse.rows()).values()) == [1, 4]


def test_the_memory_for_duplicates_does_not_change_the_table(warehouse, run):
    statement = f"select {COLUMNS}, _row_hash, _source_line from raw.transactions"
    little = run("load", SAMPLE, "--dedup-memory", "0")
    assert "read 20,000 = loaded 19,900 + duplicates 100 + rejected 0" in little.out[0]
    without = set(warehouse.query(statement))
    warehouse.query("drop table raw.transactions")
    assert run("load", SAMPLE).code == 0
    assert set(warehouse.query(statement)) == without and len(without) == 19_900


@pytest.mark.parametrize("batch_rows", [100, 100_000])
def test_a_load_without_memory_skips_existing_rows(warehouse, run, write, monkeypatch, batch_rows):
    monkeypatch.setattr("data_ingestion.writer.MAX_BATCH_ROWS", batch_rows)
    lines = SAMPLE.read_text().splitlines(keepends=True)
    run("load", write(*lines[5_000:9_000], name="a.csv", header=lines[0]))
    before = warehouse.query("select count(*) from raw.transactions")[0][0]
    assert run("load", SAMPLE, "--dedup-memory", "0").code == 0
    counted = warehouse.query(LOADS + " where load_id = 2")
    assert counted == [("loaded", 20_000, 19_900 - before, 100 + before, 0)]
    first = {}
    for number, text in enumerate(lines[1:], start=2):
        first.setdefault(text, number)
    source_lines = "select _source_line from raw.transactions where _load_id = 2"
    assert {number for (number,) in warehouse.query(source_lines)} == {
        number for text, number in first.items() if text not in set(lines[5_000:9_000])
    }


@pytest.mark.parametrize("memory", ["0", "256"])
@pytest.mark.parametrize("empty", ["truncate raw.transactions", "delete from raw.transactions"])
def test_a_table_that_was_emptied_is_loaded_as_a_new_one(warehouse, run, empty, memory):
    """Duplicates beyond the memory are deleted after the COPY, before the unique index exists."""
    definitions = "select indexdef from pg_indexes where tablename = 'transactions'"
    assert run("load", SAMPLE).code == 0
    indexes = set(warehouse.query(definitions))
    warehouse.query(empty)
    again = run("load", SAMPLE, "--dedup-memory", memory)
    assert (again.code, again.err) == (0, [])
    assert "read 20,000 = loaded 19,900 + duplicates 100 + rejected 0" in again.out[0]
    assert set(warehouse.query(definitions)) == indexes and len(indexes) == 2


def _gz(path: Path, data: bytes) -> Path:
    path = path.with_name("transactions.csv.gz")
    path.write_bytes(gzip.compress(data))
    return path


def _zip(path: Path, data: bytes) -> Path:
    path = path.with_name("transactions.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/transactions.csv", data)
        archive.writestr("__MACOSX/._transactions.csv", b"resource fork")
    return path


def _plain(path: Path, data: bytes) -> Path:
    path = path.with_name("other.csv")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("pack", "change"),
    [
        (_gz, lambda data: data),
        (_zip, lambda data: data),
        (_plain, lambda data: b"\xef\xbb\xbf" + data),
        (_plain, lambda data: data.replace(b"\n", b"\r\n")),
        (_plain, lambda data: data.rstrip(b"\n")),
        (_plain, lambda data: data.replace(b"\n", b"\n\n")),
    ],
    ids=["gzip", "zip", "byte order mark", "CRLF", "no last line end", "empty lines"],
)
def test_the_same_rows_in_another_format_are_duplicates(warehouse, run, write, pack, change):
    path = write(line(1), line(2, '"a, ""b"""'), line(3, "é ₹"))
    run("load", path)
    outcome = run("load", pack(path, change(path.read_bytes())))
    assert (outcome.code, outcome.err) == (0, [])
    assert "read 3 = loaded 0 + duplicates 3 + rejected 0" in outcome.out[0]


def test_a_workbook_gives_the_same_rows_as_its_csv(warehouse, run, tmp_path):
    text = csv_and_workbook(tmp_path, rows=300)
    assert "read 300 = loaded 298 + duplicates 2" in run("load", text).out[0]
    outcome = run("load", tmp_path / "transactions.xlsx")
    assert outcome.err == []
    assert "reading sheet bank, the only one of 2 visible sheets" in outcome.out[0]
    assert "read 300 = loaded 0 + duplicates 300 + rejected 0" in outcome.out[1]


def csv_and_workbook(folder: Path, rows: int) -> Path:
    """Write the first rows of the sample as CSV and as a workbook with typed cells.

    The last row is repeated. Of 300 rows, 298 are distinct.
    """
    with SAMPLE.open(newline="", encoding="utf-8") as file:
        records = list(csv.reader(file))[:rows]
    records.append(records[-1])
    text = folder / "transactions.csv"
    with text.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(records)
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "bank"
    sheet.append(records[0])
    for number, record in enumerate(records[1:], start=2):
        for column, value in enumerate(record, start=1):
            cell = sheet.cell(number, column, value or None)
            if column in (2, 5):
                cell.value = datetime.strptime(value, "%b %d, %y")
                cell.number_format = "mmm d, yy"
            elif column in (6, 7, 8) and value:
                cell.value = float(value.replace(",", ""))
                cell.number_format = "#,##0.00_)"
    book.create_sheet("notes").append(["nothing"])
    book.save(folder / "transactions.xlsx")
    return text


def test_any_other_csv_loads_with_its_own_header(warehouse, run, write):
    header = "ID;Größe\n"
    path = write("1;é\n", "2;'a;b'\n", name="own.csv", header=header)
    path.write_bytes(path.read_text().encode("cp1252"))
    options = ("--table", "sizes", "--delimiter", ";", "--quotechar", "'", "--encoding", "cp1252")
    assert run("load", path, *options).code == 0
    assert warehouse.query("select id, gr_e from raw.sizes order by 1") == [
        ("1", "é"),
        ("2", "a;b"),
    ]
    other = write("1,2\n", name="other.csv", header="id,colour\n")
    outcome = run("load", other, "--table", "sizes")
    assert outcome.code == 2
    assert "other columns than raw.sizes (differing: colour, gr_e)" in outcome.err[0]


def test_a_utf_16_file_needs_the_encoding_option(warehouse, run, write):
    path = write(line(1, "₹"))
    path.write_bytes(path.read_text().encode("utf-16"))
    refused = run("load", path)
    assert refused.code == 2 and "load it with --encoding utf-16" in refused.err[0]
    assert run("load", path, "--encoding", "utf-16").code == 0
    assert warehouse.rows()[0][2] == "₹"


def test_files_are_looked_up_in_the_data_folder(warehouse, run, write, tmp_path, monkeypatch):
    write(line(1), name="transactions_1.csv")
    write(line(2), name="transactions_2.csv")
    write(line(3), name="other.csv")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    outcome = run("load")
    assert [text.split(":")[0] for text in outcome.out] == [
        "transactions_1.csv",
        "transactions_2.csv",
    ]
    assert "read 1 = loaded 1" in run("load", "other.csv").out[0]
    assert "already loaded" in run("load", tmp_path / "*_1.csv").out[0]
    assert len(warehouse.rows()) == 3


@pytest.mark.parametrize(
    ("empty", "stored"),
    [
        (False, [("transactions_1.csv", 2), ("transactions_2.csv", 1)]),
        (True, [("transactions_2.csv", 2)]),
    ],
)
def test_a_table_of_an_older_version_loses_the_columns_that_the_load_log_has(
    warehouse, run, write, empty, stored
):
    assert run("load", write(line(1), line(2), name="transactions_1.csv")).code == 0
    warehouse.query(
        "alter table raw.transactions add column _source_file text not null default 'x',"
        " add column _loaded_at timestamptz not null default now()"
    )
    if empty:
        warehouse.query("delete from raw.transactions")
    assert run("load", write(line(2), line(3), name="transactions_2.csv")).code == 0
    files = (
        "select source_file, count(*) from raw.transactions join raw._loads on load_id = _load_id"
        " group by 1 order by 1"
    )
    assert warehouse.query(files) == stored
    names = "select attname from pg_attribute where attrelid = 'raw.transactions'::regclass"
    added = f"{names} and attname like E'\\\\_%' and not attisdropped order by attnum"
    assert warehouse.query(added) == [("_row_hash",), ("_load_id",), ("_source_line",)]


def test_a_view_on_a_column_that_the_load_log_has_now_is_reported(warehouse, run, write):
    assert run("load", write(line(1), name="transactions_1.csv")).code == 0
    warehouse.query("alter table raw.transactions add column _source_file text")
    warehouse.query("create view raw.mine as select _source_file from raw.transactions")
    outcome = run("load", write(line(2), name="transactions_2.csv"))
    assert outcome.code == 3
    assert "raw._loads has now" in outcome.err[0]
    warehouse.query("drop view raw.mine")
    assert run("load", write(line(2), name="transactions_2.csv")).code == 0


def test_sql_in_names_and_values_is_stored_as_text(warehouse, run, write):
    bad = "x'); drop table raw._loads; --"
    path = write(line(1, f'"{bad}"'), name=f"{bad}.csv")
    assert run("load", path).code == 0
    assert warehouse.query(
        "select transaction_details, source_file from raw.transactions, raw._loads"
    ) == [(bad, f"{bad}.csv")]


def test_init_creates_the_tables_once(warehouse, run, write):
    assert run("init").out == ["raw.transactions: created"]
    assert warehouse.rows() == []
    assert warehouse.query("select count(*) from raw._loads") == [(0,)]
    assert run("load", write(line(1), line(2))).code == 0
    assert run("init").out == ["all tables exist"]
    assert len(warehouse.rows()) == 2


@pytest.mark.parametrize(("name", "most"), [("MAX_BATCH_ROWS", 50), ("MAX_BATCH_BYTES", 5_000)])
def test_an_overlapping_file_loads_each_row_once_in_small_pieces(
    warehouse, run, write, monkeypatch, name, most
):
    """Each piece is compared with the table while the reader reads the next piece."""
    monkeypatch.setattr("data_ingestion.formats.sources.CHUNK", 1 << 12)
    monkeypatch.setattr(f"data_ingestion.writer.{name}", most)
    first = write(*map(line, range(0, 2_000, 3)), name="transactions_1.csv")
    numbers = [*range(2_000), *range(500)]
    second = write(*map(line, numbers), name="transactions_2.csv")
    assert run("load", first, second).code == 0
    assert [loaded for _, _, loaded, _, _ in warehouse.query(LOADS)] == [667, 1_333]
    assert warehouse.query(
        "select count(*), count(distinct _row_hash), max(_source_line) from raw.transactions"
    ) == [(2_000, 2_000, 2_001)]
    misplaced = warehouse.query(
        "select _load_id, _source_line, balance_amt from raw.transactions where balance_amt"
        " <> case _load_id when 1 then 3 * (_source_line - 2) else _source_line - 2 end || '.00 '"
    )
    assert misplaced == [], "each row has its own line number"


def test_the_session_uses_utf8_despite_the_environment(warehouse, run, write, monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert run("load", write(line(1, details="Café €"))).code == 0
    assert warehouse.query("select transaction_details from raw.transactions") == [("Café €",)]
