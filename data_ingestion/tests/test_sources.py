"""Files of declared sources: preamble, footer, rows that are no transactions, whose file it is."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openpyxl
import psycopg2
import pytest
import yaml

from data_ingestion.declarations import declared
from data_ingestion.files import ChosenFile, source_of
from data_ingestion.model import Dialect
from data_ingestion.parsing.records import RecordReader

COUNTS = (
    "select status, rows_read, rows_loaded, rows_duplicate, rows_rejected, rows_skipped"
    " from raw._loads order by load_id"
)
REJECTS = "select source_line, reason from raw._rejects order by 1"


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Return a function that declares a source; the others of the test are forgotten."""
    folders = iter(range(99))

    def write(*sources: dict) -> None:
        folder = tmp_path / f"sources_{next(folders)}"
        folder.mkdir()
        for source in sources:
            text = yaml.safe_dump({"name": "bank", "path": "statement*"} | source)
            (folder / f"{source.get('name', 'bank')}.yml").write_text(text)
        monkeypatch.setenv("SOURCES_DIR", str(folder))

    return write


@pytest.fixture
def statement(tmp_path):
    """Return a function that writes a statement and returns its path."""

    def write(text: str, name: str = "statement.csv", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def rows(warehouse, columns: str = "*", table: str = "bank") -> list[tuple]:
    query = f"select {columns} from raw.{table} order by _source_line"
    return [row[: len(row) - 3] if columns == "*" else row for row in warehouse.query(query)]


FIELDS = {"schema": {"fields": ["Date", "Text", "Amount"]}}
LINES = "2024-09-01,One,-1.00\n2024-09-02,Two,2.00\n"


def test_a_header_is_found_below_a_preamble(warehouse, run, declare, statement):
    declare(FIELDS | {"preamble": True})
    preamble = 'Account,41771233\n"not closed, 1\n\nDate,Text\nDate,Text,Amount,Balance\n,,\n'
    outcome = run("load", statement(preamble + "date,TEXT,Amount\n" + LINES))
    assert (outcome.code, outcome.err) == (0, [])
    assert rows(warehouse) == [("2024-09-01", "One", "-1.00"), ("2024-09-02", "Two", "2.00")]
    assert warehouse.query("select min(_source_line) from raw.bank") == [(8,)]
    assert warehouse.query(COUNTS) == [("loaded", 2, 2, 0, 0, 0)]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Date,Text\n", "lacks column Amount, which bank needs; its header has columns Date, Text"),
        ("Date,Amount,Text\n", "has the columns of bank in another order"),
        ("Date,Text,Amount,Fee\n", "has column Fee, which bank does not know"),
        (",Text,Amount\n", "lacks column Date"),
        ("a,b,c\n" * 300, "has no header in its first 200 lines"),
        ("a,b,c\n", "has no header in its first 3 lines"),
    ],
)
def test_a_statement_without_the_header_is_refused(
    warehouse, run, declare, statement, header, message
):
    declare(FIELDS | {"preamble": True})
    outcome = run("load", statement(header + LINES))
    assert outcome.code == 2 and message in outcome.err[0], outcome.err
    assert warehouse.query("select to_regclass('raw.bank')") == [(None,)]


def test_lines_and_rows_that_are_no_transactions_are_skipped_and_counted(
    warehouse, run, declare, statement
):
    fields = ["Date", "Text", "State", {"name": "amount", "constraints": {"required": True}}]
    declare(
        {
            "schema": {"fields": fields},
            "skip": {
                "rows": {"State": ["Pending", ""], "text": ["Opening balance"]},
                "lines": ["Page "],
                "footer": ["Total,", "Disclaimer"],
            },
        }
    )
    text = (
        "Date,Text,State,Amount\n"
        "2024-09-01,Opening balance,Done,\n"
        "2024-09-01,One,Done,1.00\n"
        "Page 1 of 2\n"
        "Pending,Two, Pending ,2.00\n"
        "2024-09-02,No amount,Done,\n"
        "2024-09-03,Three,Done,3.00\n"
        ",Four,,4.00\n"
        "2024-09-03,Three,Done,3.00\n"
        "2024-09-04,Total,Done,5.00\n"
        "\n"
        'Disclaimer:\nNo guarantee, "at all\nTotal,1\n2024-09-05,Six,Done,6.00\n'
    )
    outcome = run("load", statement(text), "--max-rejects", 1)
    assert outcome.err == []
    assert "read 13 = loaded 3 + duplicates 1 + rejected 1 + skipped 8" in outcome.out[0]
    assert [text for _, text, *_ in rows(warehouse)] == ["One", "Three", "Total"]
    assert warehouse.query(COUNTS) == [("loaded", 13, 3, 1, 1, 8)]
    assert warehouse.query(REJECTS) == [(6, "no value in amount")]


@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_a_footer_ends_the_data_across_blocks(
    warehouse, run, declare, statement, monkeypatch, chunk
):
    monkeypatch.setattr("data_ingestion.formats.sources.CHUNK", chunk)
    declare(FIELDS | {"skip": {"footer": ["End"]}})
    body = "".join(f"2024-09-01,row {number},1.00\n" for number in range(300))
    run("load", statement("Date,Text,Amount\n" + body + "End\n" + body))
    assert warehouse.query(COUNTS) == [("loaded", 601, 300, 0, 0, 301)]


def test_a_file_without_a_header(warehouse, run, declare, statement):
    fields = ["Day", {"name": "nothing", "ignored": True}, "Amount"]
    dialect = {"header": False, "delimiter": ";", "quoteChar": "'"}
    declare({"schema": {"fields": fields}, "dialect": dialect, "encoding": "cp1252"})
    text = "'Größe;1';;1,00\n2;;2,00\n3;x;3,00\n4;;4,00;\n"
    outcome = run("load", statement(text, encoding="cp1252"), "--max-rejects", 2)
    assert outcome.err == []
    assert rows(warehouse) == [("Größe;1", "1,00"), ("2", "2,00")]
    assert warehouse.query(REJECTS) == [
        (3, "a value in a column that must be empty"),
        (4, "4 fields instead of 3"),
    ]


def test_rows_that_end_with_a_delimiter_behind_the_last_column(warehouse, run, declare, statement):
    declare(FIELDS | {"dialect": {"trailingDelimiter": True}})
    text = "Date,Text,Amount\n1,One,1.00,\n2,Two,2.00,x\n3,Three,3.00\n"
    run("load", statement(text), "--max-rejects", 2)
    assert rows(warehouse) == [("1", "One", "1.00")]
    assert warehouse.query(REJECTS) == [
        (3, "a value in a column that must be empty"),
        (4, "3 fields instead of 4"),
    ]


def test_columns_of_the_same_name_and_without_a_name(warehouse, run, declare, statement):
    declare({"schema": {"fields": ["", "Currency", "Amount", "Currency"]}, "preamble": True})
    run("load", statement("Transaction,,,\n,Currency,Amount,Currency\n1,EUR,2.00,CHF\n"))
    assert rows(warehouse, "column_1, currency, amount, currency_2") == [
        ("1", "EUR", "2.00", "CHF")
    ]


def test_a_workbook_with_a_preamble_and_empty_cells(warehouse, run, declare, tmp_path):
    book = openpyxl.Workbook()
    for row in [["Statement"], [], ["Date", "Text", "Amount"], ["1", "One"], ["2", "Two", "3"]]:
        book.active.append(row)
    book.save(tmp_path / "statement.xlsx")
    declare(FIELDS | {"preamble": True})
    assert run("load", tmp_path / "statement.xlsx").err == []
    assert rows(warehouse) == [("1", "One", ""), ("2", "Two", "3")]


def test_duplicates_are_kept_as_declared(warehouse, run, declare, statement):
    declare(FIELDS | {"duplicates": "keep"})
    path = statement("Date,Text,Amount\n" + "1,One,1.00\n" * 3)
    run("load", path)
    assert len(rows(warehouse)) == 3
    assert "already loaded as load 1" in run("load", path).out[0]
    run("load", path, "--duplicates", "drop", "--force")
    assert warehouse.query(COUNTS) == [("loaded", 3, 3, 0, 0, 0), ("loaded", 3, 0, 3, 0, 0)]
    assert warehouse.query("select distinct duplicates from raw._loads") == [("keep",)]


HEADERLESS = {"schema": {"fields": ["Day", "Sum"]}, "dialect": {"header": False}}


def test_files_go_to_the_source_that_their_name_and_header_fit(
    warehouse, run, declare, statement, tmp_path
):
    other = {"name": "other", "schema": {"fields": ["Datum", "Betrag"]}, "preamble": True}
    bare = HEADERLESS | {"name": "bare"}
    card = {"name": "card", "path": "card*", "schema": {"fields": ["A", "B", "C"]}}
    declare(FIELDS, other, bare, card)
    statement("Date,Text,Amount\n" + LINES, name="statement_1.csv")
    statement("Bank\nDatum,Betrag\n1,2\n", name="STATEMENT_2.csv")
    statement("1,2\n3,4\n", name="statement_3.csv")
    statement("A,B,C\n1,2,3\n", name="card.csv")
    statement("x,y,z,a\n1,2,3,4\n", name="statement_4.csv")
    outcome = run("load", "--data-dir", tmp_path)
    assert outcome.code == 2
    assert outcome.err == [
        "error: statement_4.csv: fits no source (bank, bare, other): declare one, or load the file "
        "with --table NAME"
    ]
    loads = warehouse.query("select source_file, table_name, rows_loaded from raw._loads")
    assert sorted(loads) == [
        ("STATEMENT_2.csv", "other", 1),
        ("card.csv", "card", 1),
        ("statement_1.csv", "bank", 2),
        ("statement_3.csv", "bare", 2),
    ]


def test_a_file_that_fits_two_sources_is_told(warehouse, run, declare, statement):
    declare(FIELDS, FIELDS | {"name": "twin"})
    path = statement("Date,Text,Amount\n" + LINES)
    outcome = run("load", path)
    assert outcome.code == 2
    assert "fits 2 sources (bank, twin): choose one with --table NAME" in outcome.err[0]
    assert run("load", path, "--table", "twin").code == 0
    assert len(rows(warehouse, table="twin")) == 2


def test_a_file_of_another_name_is_recognised_by_its_header(warehouse, run, declare, statement):
    declare(FIELDS, {"name": "other", "schema": {"fields": ["Datum", "Betrag"]}})
    assert run("load", statement("Datum,Betrag\n1,2\n", name="january.csv")).code == 0
    assert rows(warehouse, table="other") == [("1", "2")]


def test_a_missing_file_is_named_although_no_source_is_known(warehouse, run, declare):
    declare(FIELDS, {"name": "other", "schema": {"fields": ["Datum", "Betrag"]}})
    assert run("load", "none.csv").err == [
        "error: none.csv: no such file: check the name and the folder"
    ]


def test_the_example_of_the_documentation(warehouse, run, declare, tmp_path, monkeypatch):
    """The file and the declaration in docs/sources.md give what the text says."""
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    blocks = re.findall(r"```\w*\n(.*?)```", page, re.DOTALL)
    (tmp_path / "Umsaetze_2024-10.csv").write_bytes(blocks[0].encode("cp1252"))
    sources = tmp_path / "declared"
    sources.mkdir()
    (sources / "umsaetze.yml").write_text(blocks[1])
    monkeypatch.setenv("SOURCES_DIR", str(sources))
    outcome = run("load", "--data-dir", tmp_path)
    assert "read 3 = loaded 1 + duplicates 0 + rejected 0 + skipped 2" in outcome.out[0]
    columns = "booked_on, wert, text, status, betrag, wahrung, account_number"
    assert rows(warehouse, columns, "umsaetze") == [
        ("16.09.2024", "16.09.2024", "Café Übersee", "gebucht", "-35,65", "EUR",
         "DE00120300000041771233"),
    ]  # fmt: skip


def test_text_files_with_another_ending_need_it_in_the_pattern(
    warehouse, run, declare, statement, tmp_path
):
    declare(FIELDS | {"path": "statement*.txt"}, FIELDS | {"name": "other", "path": "other*"})
    for name in ("Statement-1.TXT", "statement-2.csv", "other-1.txt"):
        statement("Date,Text,Amount\n" + LINES, name)
    outcome = run("load", "--data-dir", tmp_path)
    assert outcome.code == 0
    assert warehouse.query("select table_name, source_file from raw._loads") == [
        ("bank", "Statement-1.TXT")
    ]
    assert "not loaded, because the name ends in none of" in outcome.out[0]
    assert outcome.out[0].endswith(": other-1.txt")


def test_a_run_over_several_sources_creates_the_tables_of_all(
    warehouse, run, declare, statement, tmp_path
):
    declare(FIELDS, FIELDS | {"name": "other", "path": "other*"})
    statement("Date,Text,Amount\n" + LINES)
    assert run("load", "--data-dir", tmp_path).code == 0
    assert warehouse.query("select count(*) from raw.other") == [(0,)]


def test_tables_are_loaded_side_by_side_and_a_bad_file_stops_no_other(
    warehouse, run, declare, statement, tmp_path
):
    """While another session holds the lock of one table, the files of the other one are loaded."""
    declare(FIELDS, FIELDS | {"name": "other", "path": "other*"})
    statement("Date,Text,Amount\n" + LINES, "other-1.csv")
    statement("Date,Text\n", "other-2.csv")
    statement("Date,Text,Amount\n" + LINES, "statement-1.csv")
    loaded = "select table_name, source_file, status from raw._loads order by 1, 2"
    assert run("init").code == 0
    lock = "hashtextextended('raw.bank', 0)"
    warehouse.query(f"select pg_advisory_lock({lock})")
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(run, "load", "--data-dir", tmp_path)
        expected = [("other", "other-1.csv", "loaded"), ("other", "other-2.csv", "failed")]
        deadline = time.monotonic() + 30
        while warehouse.query(loaded) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        found = warehouse.query(loaded)
        warehouse.query(f"select pg_advisory_unlock({lock})")
        assert found == expected
        assert loading.result().code == 2
    assert warehouse.query(loaded) == [("bank", "statement-1.csv", "loaded"), *expected]


def test_the_declared_sheet_of_a_workbook_is_read(warehouse, run, declare, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Date", "Text", "Amount"])
    book.active.append(["2024-09-01", "Wrong", "1"])
    sheet = book.create_sheet("Buchungen")
    sheet.append(["Date", "Text", "Amount"])
    sheet.append(["2024-09-01", "Right", "1"])
    book.save(tmp_path / "statement.xlsx")
    declare(FIELDS | {"dialect": {"sheetName": "buchungen"}})
    assert run("load", tmp_path / "statement.xlsx").code == 0
    assert rows(warehouse, "text") == [("Right",)]
    declare(FIELDS | {"dialect": {"sheetName": "Booked"}})
    error = run("load", "--force", tmp_path / "statement.xlsx").err[0]
    assert "has no sheet 'Booked', which its source declares; it has Sheet, Buchungen" in error


@pytest.mark.parametrize("chunk", [16, 1 << 20])
def test_a_page_is_loaded_as_its_tables(warehouse, run, declare, statement, monkeypatch, chunk):
    monkeypatch.setattr("data_ingestion.formats.sources.CHUNK", chunk)
    declare(FIELDS | {"preamble": True, "path": "statement*.xls", "encoding": "cp1252"})
    page = (
        "<html><body><div>Welcome</div><table><tr><td colspan=2>Kunde</td></tr></table>"
        "<table><tr><th>Date</th><th>Text<th>Amount</tr>"
        "<tr><td>2024-09-01<td>Café &amp;<br>Söhne &#8364;<td align=right> -1,00</tr>\n"
        '<TR><TD>2024-09-02</TD><TD>a "quoted",\n text</TD></TR>'
        "<tr><td></td></tr></table></body></html>"
    )
    assert run("load", statement(page, "statement.xls", "cp1252")).code == 0
    assert rows(warehouse) == [
        ("2024-09-01", "Café & Söhne €", "-1,00"),
        ("2024-09-02", 'a "quoted", text', ""),
    ]


def test_the_last_row_of_a_page_may_lack_its_end_tags(warehouse, run, declare, statement):
    declare(FIELDS)
    page = (
        "<table><tr><th>Date<th>Text<th>Amount<tr><td>2024-09-01<td>One<td>1<tr><td>2<td>Two<td>3"
    )
    assert run("load", statement(page)).code == 0
    assert rows(warehouse) == [("2024-09-01", "One", "1"), ("2", "Two", "3")]


def with_account(account: dict) -> dict:
    """Return the part of a declaration with an account that stands in no column."""
    return {
        "schema": {
            "fields": [
                {"title": "Date", "type": "date", "format": "%Y-%m-%d"},
                "Text",
                {"title": "Amount", "type": "number"},
            ]
        },
        "preamble": True,
        "transaction": {
            "account_number": account,
            "transaction_date": "Date",
            "amount": "Amount",
        },
    }


def test_an_account_above_the_header_tells_equal_rows_apart(warehouse, run, declare, statement):
    declare(with_account({"preamble": r'Account: *"*([\w ]+)'}))
    for number, account in enumerate(("DE12 34", "DE56 78")):
        text = f'"Account: ""{account}"""\n\nDate,Text,Amount\n{LINES}'
        assert run("load", statement(text, f"statement_{number}.csv")).code == 0
    assert rows(warehouse, "text, account_number") == [
        ("One", "DE12 34"), ("One", "DE56 78"), ("Two", "DE12 34"), ("Two", "DE56 78"),
    ]  # fmt: skip
    # The same rows of the same account are known.
    again = f"Account: DE12 34\nDate,Text,Amount\n{LINES}"
    assert "loaded 0 + duplicates 2" in run("load", statement(again, "statement_9.csv")).out[0]


def test_an_account_in_the_name_of_the_file(warehouse, run, declare, statement):
    declare(with_account({"path": r"statement-(\d+)"}))
    assert run("load", statement("Date,Text,Amount\n" + LINES, "Statement-0042.csv")).code == 2
    assert run("load", statement("Date,Text,Amount\n" + LINES, "statement-0042.csv")).code == 0
    assert rows(warehouse, "text, account_number") == [("One", "0042"), ("Two", "0042")]
    assert warehouse.query("select error from raw._loads where status = 'failed'") == [
        (
            r"names no account: nothing in its name matches statement-(\d+), which is "
            "transaction.account_number.path of the source bank",
        )
    ]


def test_options_replace_what_is_declared(warehouse, run, declare, statement):
    declare(FIELDS | {"dialect": {"delimiter": ";"}})
    assert run("load", statement("Date|Text|Amount\n1|One|2\n"), "--delimiter", "|").code == 0
    assert rows(warehouse) == [("1", "One", "2")]


def test_init_creates_the_tables_of_all_sources(warehouse, run, declare):
    declare(FIELDS, HEADERLESS | {"name": "bare"})
    assert run("init").out == ["raw.bank: created", "raw.bare: created"]
    assert run("init").out == ["all tables exist"]


def test_an_older_load_log_gets_the_count_of_skipped_rows(warehouse, run, write):
    run("load", write("1\n", name="a.csv", header="x\n"), "--table", "t")
    warehouse.query(
        "alter table raw._loads drop column rows_skipped cascade;"
        " alter table raw._loads add constraint every_row_accounted_for check"
        " (rows_read = rows_loaded + rows_duplicate + rows_rejected)"
    )
    run("load", write("2\n", name="b.csv", header="x\n"), "--table", "t")
    assert warehouse.query(COUNTS) == [("loaded", 1, 1, 0, 0, 0)] * 2
    with pytest.raises(psycopg2.errors.CheckViolation):
        warehouse.query("update raw._loads set rows_skipped = 1")


def test_a_header_that_lacks_a_column_without_a_name_is_refused(warehouse, run, declare, statement):
    declare({"schema": {"fields": ["", "Text", "Amount"]}})
    outcome = run("load", statement("Text,Amount,\n1,2,3\n"))
    assert (
        outcome.code == 2
        and "has the columns of bank in another order: columns Text, Amount, without a name"
        in outcome.err[0]
    )


def test_texts_to_skip_match_quoted_lines_and_no_text_inside_a_field(
    warehouse, run, declare, statement
):
    declare(FIELDS | {"skip": {"lines": ['The "end", a note'], "footer": ["Total, net"]}})
    text = (
        'Date,Text,Amount\n1,"One\nTotal, net\nline",1.00\n"The ""end"", a note",,\n2,Two,2.00\n'
        '"Total, net",,3.00\n3,Three,3.00\n'
    )
    run("load", statement(text))
    assert [text for _, text, _ in rows(warehouse)] == ["One\nTotal, net\nline", "Two"]
    assert warehouse.query(COUNTS) == [("loaded", 5, 2, 0, 0, 3)]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "utf-8-sig"])
def test_a_byte_order_mark_is_no_text(warehouse, run, declare, statement, encoding):
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    declare(HEADERLESS | {"encoding": name, "skip": {"lines": ["x"]}})
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    run("load", statement(f"{mark}x,0\n1,2\n", encoding=encoding))
    assert rows(warehouse) == [("1", "2")]


def test_a_workbook_has_no_trailing_delimiter(warehouse, run, declare, tmp_path):
    book = openpyxl.Workbook()
    for row in [["Date", "Text", "Amount"], ["1", "One", "2"]]:
        book.active.append(row)
    book.save(tmp_path / "statement.xlsx")
    declare(FIELDS | {"dialect": {"trailingDelimiter": True}})
    assert run("load", tmp_path / "statement.xlsx").err == []
    assert rows(warehouse) == [("1", "One", "2")]


def test_names_in_other_scripts_are_told_apart(warehouse, run, declare, statement):
    declare({"schema": {"fields": ["Дата (UTC)", "Сумма (UTC)"]}})
    assert run("load", statement("ДАТА (utc),Сумма (UTC)\n1,2\n")).code == 0
    assert rows(warehouse, "data_utc, summa_utc") == [("1", "2")]
    refused = run("load", statement("Сумма (UTC),Дата (UTC)\n1,2\n", name="statement_2.csv"))
    assert "in another order: columns Сумма (UTC), Дата (UTC)" in refused.err[0]


def test_a_source_without_a_header_gets_no_file_of_another_name(warehouse, run, declare, statement):
    bare = HEADERLESS | {"name": "bare", "path": "bare*"}
    declare({"schema": {"fields": ["Datum", "Betrag"]}}, bare)
    assert run("load", statement("Datum,Betrag\n1,2\n", name="january.csv")).code == 0
    assert rows(warehouse) == [("1", "2")]
    assert "lacks columns Datum" in run("load", statement("1,2\n3,4\n", name="february.csv")).err[0]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("bank*", "BANK_1.CSV"),
        ("bank 2024*", "bank 2024.09.csv"),
        ("Umsätze*", "Umsa\u0308tze.csv.gz"),
        ("umsaetze [EUR]*", "Umsaetze [EUR] 1.csv"),
        ("*", "x.txt"),
    ],
)
def test_the_pattern_of_a_source_matches_names(declare, pattern, name):
    declare(FIELDS | {"path": pattern}, FIELDS | {"name": "other", "path": "other"})
    sources = list(declared().values())
    assert source_of(ChosenFile(Path(name)), sources, lambda source: source.dialect).table == "bank"


def test_a_preamble_costs_one_chunk(declare):
    declare(FIELDS | {"preamble": True})
    chunks = iter([b"no header\n" * 150 + b"Date,Text,Amount\n", b"never read"])
    reader = RecordReader(chunks, Dialect())
    assert reader.header(lambda line: line[0] == "Date") == ["Date", "Text", "Amount"]
    assert next(chunks) == b"never read"
