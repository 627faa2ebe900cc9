"""`inspect` proposes the declaration of a statement, and asks about what the file does not show."""

import datetime
import gzip
import re
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest
import yaml
from inspected import Reader, loaded, statement_in, truth_in, wrong_columns

from data_ingestion import cli

STATEMENTS = Path(__file__).parents[2] / "tests" / "statements"
MONEY = {"transaction_date", "withdrawal", "deposit", "balance"}
# What a person must say about a statement, beside the account number.
ANSWERS = {"amex-us": ["sign=inverted"]}
MAX_LINES = 25


@pytest.fixture
def inspect(capsys):
    """Return a function that inspects a file: exit code, standard output, errors."""

    def run(path, *answers):
        options = [text for answer in answers for text in ("--answer", answer)]
        code = cli.main(["inspect", str(path), *options])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def statement(tmp_path):
    """Return a function that writes a statement."""

    def write(text, name="statement.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def proposed(out):
    return yaml.safe_load(out)


def questions(out):
    return [line for line in out.splitlines() if line.startswith("#   --answer")]


def test_statements_of_banks_need_no_edit(inspect, tmp_path):
    """Each statement is read by the printed declaration alone, and compared with its truth."""
    folders = sorted(folder for folder in STATEMENTS.glob("*") if folder.is_dir())
    assert folders
    table, counts = [], {"money": 0, "details": 0, "answers": 0}
    for folder in folders:
        path, truth = statement_in(folder), truth_in(folder)
        code, out, err = inspect(path)
        assert code in (0, 4), err
        account = truth[0]["account_number"] or "unknown"
        needed = [f"account_number={account}"] if "account_number=NUMBER" in out else []
        needed += ANSWERS.get(folder.name, [])
        if needed:
            assert code == 4
            code, out, err = inspect(path, *needed)
        assert code == 0, out + err
        lines = [line for line in out.splitlines() if not line.startswith("#")]
        assert len(lines) <= MAX_LINES, out
        assert loaded(path, out, tmp_path / folder.name) == (len(truth), []), out
        found = Reader(path, out).transactions()
        if truth[0]["account_number"] is None:
            found = [row | {"account_number": None} for row in found]
        wrong = wrong_columns(found, truth)
        table.append(
            f"{folder.name:24}{len(found):3} rows  {', '.join(wrong) or 'right':12}{needed}"
        )
        counts["money"] += not MONEY.intersection(wrong)
        counts["details"] += "details" not in wrong
        counts["answers"] += folder.name in ANSWERS
        assert not MONEY.intersection(wrong), f"{folder.name}: {wrong} told as certain\n{out}"
    print("\n".join([*table, str(counts)]))
    alone = counts["money"] - counts["answers"]
    assert alone >= 0.9 * len(folders)
    assert counts["details"] >= 0.7 * len(folders)


ROWS = (
    "25/09/2024,Rent,-1410.00,90.55\n"
    "26/09/2024,Salary,2893.10,2983.65\n"
    "27/09/2024,Coffee,-6.90,2976.75\n"
    "28/09/2024,Books,-15.00,2961.75\n"
)
HEADER = "Date,Description,Amount,Balance\n"


def without_balance(text):
    return "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())


def test_a_complete_declaration(inspect, statement):
    path = statement(HEADER + ROWS, "Export_2024-09-30.csv")
    code, out, _ = inspect(path, "account_number=41771233")
    assert code == 0
    assert "# Dates: day first, 25 stands in first place on line 2." in out
    assert "# Balances add up over 4 rows, oldest first." in out
    assert proposed(out) == {
        "name": "export",
        "path": "Export_*",
        "schema": {
            "fields": [
                {
                    "title": "Date",
                    "type": "date",
                    "format": "%d/%m/%Y",
                    "constraints": {"required": True},
                },
                "Description",
                {"title": "Amount", "type": "number", "constraints": {"required": True}},
                {"title": "Balance", "type": "number"},
            ]
        },
        "transaction": {
            "account_number": {"constant": "41771233"},
            "transaction_date": "Date",
            "details": "Description",
            "amount": "Amount",
            "balance": "Balance",
        },
    }


def test_the_order_of_dates_stays_a_question(inspect, statement):
    text = without_balance(HEADER + ROWS).replace("25/", "02/").replace("26/", "03/")
    text = text.replace("27/", "04/").replace("28/", "05/")
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 4
    assert questions(out) == ["#   --answer date_order=dmy", "#   --answer date_order=mdy"]
    assert "transaction_date" not in proposed(out)["transaction"]
    code, out, _ = inspect(path, "account_number=1", "date_order=mdy")
    assert code == 0
    assert proposed(out)["schema"]["fields"][0]["format"] == "%m/%d/%Y"
    code, _, err = inspect(path, "date_order=ymd")
    assert (code, err) == (2, "error: --answer date_order=ymd: the dates can only be dmy, mdy\n")


def test_balances_tell_the_order_of_dates(inspect, statement):
    text = (
        "Date,Description,Debit,Credit,Balance\n"
        "11/08/2024,Rent,100.00,,900.00\n12/08/2024,Food,50.00,,850.00\n"
        "01/09/2024,Pay,,500.00,1350.00\n02/09/2024,Food,20.00,,1330.00\n"
    )
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    assert "# Dates: day first, the only order that agrees with the balances." in out


def test_a_date_above_the_header_tells_the_order(inspect, statement):
    text = "Period,01/09/2024 - 30/09/2024,,\n\n" + HEADER
    text += "01/09/2024,Rent,-9.00,1.00\n02/09/2024,Food,-0.50,0.50\n03/09/2024,Tea,-0.25,0.25\n"
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    assert "# Dates: day first, as in 30/09/2024 on line 1." in out


CARD = (
    "Date,Description,Card Member,Amount\n"
    "09/14/2024,RETURN,R HALE,-53.40\n09/10/2024,HARDWARE,R HALE,80.80\n"
    "09/06/2024,GAS,R HALE,108.48\n09/03/2024,DENTAL,R HALE,672.68\n"
)


def test_the_sign_of_a_card_stays_a_question(inspect, statement):
    path = statement(CARD)
    code, out, _ = inspect(path, "account_number=4177")
    assert code == 4
    assert questions(out) == ["#   --answer sign=usual", "#   --answer sign=inverted"]
    assert "amount" not in proposed(out)["transaction"]
    code, out, _ = inspect(path, "account_number=4177", "sign=inverted")
    assert (code, proposed(out)["transaction"]["inverted"]) == (0, True)
    code, out, _ = inspect(path, "account_number=4177", "sign=usual")
    assert code == 0
    assert "inverted" not in proposed(out)["transaction"]


def test_a_balance_that_is_owed_does_not_prove_the_sign(inspect, statement):
    text = HEADER + (
        "09/14/2024,HARDWARE,80.80,180.80\n09/15/2024,GAS,108.48,289.28\n"
        "09/16/2024,DENTAL,10.72,300.00\n09/17/2024,PAYMENT,-200.00,100.00\n"
    )
    path = statement(text)
    code, out, _ = inspect(path, "account_number=4177")
    assert code == 4
    assert questions(out) == ["#   --answer sign=usual", "#   --answer sign=inverted"]
    code, out, _ = inspect(path, "account_number=4177", "sign=inverted")
    assert code == 0
    assert "an amount owed" in out
    assert "balance" not in proposed(out)["transaction"]
    code, out, _ = inspect(path, "account_number=4177", "sign=usual")
    assert (code, proposed(out)["transaction"]["balance"]) == (0, "Balance")


def test_titles_of_a_card_outweigh_a_balance_that_is_owed(inspect, statement):
    text = (
        "Date,Description,Debit,Credit,Balance\n"
        "09/14/2024,HARDWARE,80.80,,180.80\n09/15/2024,GAS,108.48,,289.28\n"
        "09/16/2024,DENTAL,10.72,,300.00\n09/17/2024,PAYMENT,,200.00,100.00\n"
    )
    code, out, _ = inspect(statement(text), "account_number=4177")
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert (meaning["withdrawal"], meaning["deposit"]) == ("Debit", "Credit")
    assert "balance" not in meaning


BEFORE = HEADER + (
    "25/09/2024,Rent,-1410.00,1500.55\n26/09/2024,Salary,2893.10,90.55\n"
    "27/09/2024,Coffee,-6.90,2983.65\n28/09/2024,Books,-15.00,2976.75\n"
)


def test_days_tell_a_balance_before_from_newest_first(inspect, statement):
    code, out, _ = inspect(statement(BEFORE), "account_number=1")
    assert code == 0
    assert proposed(out)["transaction"]["balance_is"] == "before"
    assert "inverted" not in proposed(out)["transaction"]
    newest = HEADER + "".join(reversed(ROWS.splitlines(keepends=True)))
    code, out, _ = inspect(statement(newest), "account_number=1")
    assert code == 0
    assert "balance_is" not in proposed(out)["transaction"]
    assert "# Balances add up over 4 rows, newest first." in out


def test_without_days_the_sign_stays_a_question(inspect, statement):
    text = BEFORE
    for day in ("26", "27", "28"):
        text = text.replace(f"{day}/", "25/")
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 4
    assert questions(out) == ["#   --answer sign=usual", "#   --answer sign=inverted"]
    code, out, _ = inspect(path, "account_number=1", "sign=usual")
    assert (code, proposed(out)["transaction"]["balance_is"]) == (0, "before")


def test_words_beside_the_amounts_tell_the_sign(inspect, statement):
    text = (
        "Date,Type,Description,Amount\n25/09/2024,Debit,Tea,5.00\n26/09/2024,Debit,Tea,6.00\n"
        "27/09/2024,Credit,Tea,-7.00\n"
    )
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    assert proposed(out)["transaction"]["inverted"] is True
    assert "# Sign: Type says that withdrawals have no minus." in out


def test_texts_that_look_like_a_direction_prove_nothing(inspect, statement):
    text = HEADER + "25/09/2024,A,-1.00,5.00\n26/09/2024,B,2.00,7.00\n27/09/2024,C,-3.00,4.00\n"
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    assert "inverted" not in proposed(out)["transaction"]


def test_a_direction_that_is_not_seen_is_asked_for(inspect, statement):
    text = "Date,Text,D/C,Amount\n25/09/2024,Tea,D,5.00\n26/09/2024,Tea,D,6.00\n"
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert (code, questions(out)) == (4, ["#   --answer indicator=D/VALUE"])
    assert "amount" not in proposed(out)["transaction"]
    code, out, _ = inspect(path, "account_number=1", "indicator=D/C")
    assert code == 0
    indicator = proposed(out)["transaction"]["indicator"]
    assert indicator == {"field": "D/C", "withdrawal": ["D"], "deposit": ["C"]}


def test_a_decimal_mark_stays_a_question(inspect, statement):
    text = "Date,Text,Amount\n25/09/2024,Tea,-1.000\n26/09/2024,Tea,-2.000\n27/09/2024,Tea,-3.500\n"
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert questions(out) == ["#   --answer decimal_mark=.", "#   --answer decimal_mark=,"]
    assert "amount" not in proposed(out)["transaction"]
    code, out, _ = inspect(path, "account_number=1", "decimal_mark=,")
    assert code == 0
    assert Reader(path, out).transactions()[2]["withdrawal"] == "3500.00"


def test_what_is_no_transaction_is_skipped(inspect, statement):
    text = (
        "Account;DE00120300000041771233\nPrinted;01.10.2024\n\n"
        "Buchung;Text;Status;Betrag;Saldo\n"
        "30.09.2024;Anfangssaldo;;;1.500,00\n"
        "25.09.2024;Miete;gebucht;-1.410,00;90,00\n"
        "Seite 2 von 3;;;;\nBuchung;Text;Status;Betrag;Saldo\n"
        "26.09.2024;Tee;vorgemerkt;-3,00;\n"
        "26.09.2024;Gehalt;gebucht;2.893,10;2.983,10\n"
        "27.09.2024;Kaffee;gebucht;-6,90;2.976,20\n"
        "Angaben ohne Gewähr\n"
    )
    path = statement(text, encoding="cp1252")
    code, out, _ = inspect(path)
    assert code == 0, out
    found = Reader(path, out).transactions()
    assert [row["withdrawal"] or row["deposit"] for row in found] == ["1410.00", "2893.10", "6.90"]
    assert found[0]["account_number"] == "DE00120300000041771233"
    skip = proposed(out)["skip"]
    assert skip["footer"] == ["Angaben ohne Gewähr"]
    assert skip["rows"]["Status"] == ["vorgemerkt"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters(inspect, statement, encoding, delimiter):
    text = (HEADER + ROWS).replace("Coffee", "Café Übersee").replace(",", delimiter)
    path = statement(text, encoding=encoding)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert proposed(out).get("dialect", {}).get("delimiter", ",") == delimiter
    assert Reader(path, out).transactions()[2]["details"] == "Café Übersee"


def test_a_compressed_statement(inspect, statement):
    path = statement(gzip.compress((HEADER + ROWS).encode()), "statement.csv.gz")
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert proposed(out)["name"] == "statement"


def test_titles_in_an_unknown_language(inspect, statement):
    path = statement((HEADER + ROWS).replace(HEADER, "Aaa,Bbb,Ccc,Ddd\n"))
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert (meaning["amount"], meaning["balance"], meaning["details"]) == ("Ccc", "Ddd", "Bbb")


def test_unknown_columns_without_a_proof_are_asked_for(inspect, statement):
    text = "Aaa,Bbb,Ccc,Ddd\n" + ROWS.replace("90.55", "1.00").replace("2976.75", "3.00")
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 4
    assert questions(out) == ["#   --answer amount=Ccc", "#   --answer amount=Ddd"]


def test_columns_without_a_name(inspect, statement):
    text = "Date,,Description,Debit,,Balance\n" + (
        "25/09/2024,a,Rent,5.00,DR,95.00\n26/09/2024,b,Tea,1.00,DR,94.00\n"
        "27/09/2024,c,Pay,6.00,CR,100.00\n"
    )
    path = statement(text.replace("Debit", "Amount"))
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert meaning["indicator"] == {"field": "column_5", "withdrawal": ["DR"], "deposit": ["CR"]}
    assert Reader(path, out).transactions()[2]["deposit"] == "6.00"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "statement.csv: is empty"),
        (b"\n \n", "statement.csv: is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4, "statement.csv: is no text"),
        (b"<html><body><table><tr><td>1</td></tr></table>", "statement.csv: has no rows with a"),
        (b"<html><body><p>Session expired</p>", "statement.csv: is empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "statement.csv: is an old Excel workbook (.xls)"),
        (b"%PDF-1.7", "statement.csv: is a PDF"),
        (b"name,town\nHale,York\n", "statement.csv: has no rows with a date and an amount"),
        (b"a\r25/09/2024,1.00\r", "statement.csv: has lines that end with CR only"),
        (b"OFXHEADER:100", "statement.csv: is OFX"),
    ],
)
def test_what_is_no_statement(inspect, statement, content, message):
    code, out, err = inspect(statement(content))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("colour=red", "--answer colour: unknown key: use name, path, encoding, account_number"),
        ("sign", "--answer sign: has no value: write --answer sign=VALUE"),
        ("sign=maybe", "--answer sign=maybe: use usual or inverted"),
        ("date_order=ydm", "--answer date_order=ydm: use dmy or mdy or ymd"),
        ("date_order=mdy", "--answer date_order=mdy: the dates can only be dmy"),
        ("encoding=utf8000", "--answer encoding=utf8000: is not a known encoding"),
        ("currency=DM", "--answer currency=DM: use a code such as EUR or USD"),
        ("name=Über", "--answer name=Über: use up to 48 of a-z, 0-9, _"),
        (
            "details=Memo",
            "--answer details=Memo: is no column; the columns are Date, Description, Amount, "
            "Balance, or none",
        ),
        (
            "amount=Description",
            "--answer amount=Description: has no numbers; these columns have: Amount, Balance",
        ),
        (
            "value_date=Amount",
            "--answer value_date=Amount: has no dates; these columns have: none",
        ),
    ],
)
def test_impossible_answers(inspect, statement, answer, message):
    code, out, err = inspect(statement(HEADER + ROWS), answer)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_an_answer_given_twice(inspect, statement):
    code, _, err = inspect(statement(HEADER + ROWS), "sign=usual", "sign=usual")
    assert (code, err) == (2, "error: --answer sign: is given twice\n")


def test_answers_name_columns(inspect, statement):
    text = HEADER.replace("\n", ",Note\n") + ROWS.replace("\n", ",x\n")
    answers = ("account_number=1", "details=Description,Note", "balance=none", "currency=eur")
    code, out, _ = inspect(statement(text), *answers, "name=bank", "path=bank*")
    assert code == 0
    found = proposed(out)
    assert (found["name"], found["path"], found["duplicates"]) == ("bank", "bank*", "keep")
    assert found["transaction"]["details"] == ["Description", "Note"]
    assert found["transaction"]["currency"] == {"constant": "EUR"}
    assert "balance" not in found["transaction"]


def test_a_load_does_not_import_the_inspection():
    code = "import sys, data_ingestion.cli, data_ingestion.load; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "charset_normalizer" not in loaded
    assert not [name for name in loaded if name.startswith("data_ingestion.inspection")]


def test_balances_teach_the_words_of_a_direction(inspect, statement):
    text = "Date,Text,Kind,Amount,Balance\n" + (
        "25/09/2024,Rent,xa,10.00,90.00\n26/09/2024,Tea,xa,1.00,89.00\n"
        "27/09/2024,Pay,yo,6.00,95.00\n28/09/2024,Tea,xa,2.00,93.00\n"
    )
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    indicator = proposed(out)["transaction"]["indicator"]
    assert indicator == {"field": "Kind", "withdrawal": ["xa"], "deposit": ["yo"]}


def test_each_account_of_a_file_has_its_chain(inspect, statement):
    text = "Date,Account,Text,Amount,Balance\n" + (
        "25/09/2024,10001,Rent,-10.00,90.00\n26/09/2024,20002,Tea,-1.00,5.00\n"
        "27/09/2024,10001,Pay,6.00,96.00\n28/09/2024,20002,Tea,-2.00,3.00\n"
        "29/09/2024,10001,Tea,-1.00,95.00\n29/09/2024,20002,Tea,-3.00,0.00\n"
    )
    code, out, _ = inspect(statement(text))
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert (meaning["account_number"], meaning["balance"]) == ("Account", "Balance")


def test_a_workbook(inspect, tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([None, "Account number", "041 771 233"])
    sheet.append([])
    sheet.append([None, "Date", "Description", "Amount", "Balance"])
    for number, (amount, balance) in enumerate([(-9.5, 90.5), (-0.5, 90), (10, 100), (-1, 99)]):
        sheet.append([None, datetime.date(2024, 9, 25 + number), "Tea", amount, balance])
    sheet.append([None, "Legend: all amounts in euro"])
    path = tmp_path / "statement.xlsx"
    book.save(path)
    code, out, _ = inspect(path)
    assert code == 0, out
    assert proposed(out)["skip"] == {"footer": [",Legend: all amounts in euro"]}
    found = Reader(path, out).transactions()
    assert [row["balance"] for row in found] == ["90.50", "90.00", "100.00", "99.00"]
    assert found[0]["account_number"] == "041 771 233"


def test_rows_without_a_date_are_not_left_out_silently(inspect, statement):
    text = "Date,Text,Amount\n25/09/2024,Tea,-1.00\n,Cake,-2.00\n,Rent,-3.00\n,Bus,-4.00\n"
    code, out, _ = inspect(statement(text + "26/09/2024,Tea,-1.00\n"), "account_number=1")
    assert code == 4
    assert "3 rows have an amount and no date, the first on line 3." in out


def test_the_account_of_the_other_party_is_not_taken(inspect, statement):
    text = "Date,Name,IBAN,Text,Amount\n" + "".join(
        f"{day}/09/2024,Shop,DE00100100100000118118,Tea,-1.00\n" for day in range(20, 29)
    )
    code, out, _ = inspect(statement(text))
    assert (code, questions(out)) == (4, ["#   --answer account_number=NUMBER"])


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("26/09/2024", "09/26/2024", 2, "statement.csv: has dates that have no order of day"),
        (
            "26/09/2024",
            "26/09/24",
            4,
            "26/09/24 on line 3 is written in another way than 25/09/2024",
        ),
    ],
)
def test_dates_that_are_written_in_two_ways(inspect, statement, old, new, code, message):
    found, out, err = inspect(statement(HEADER + ROWS.replace(old, new)), "account_number=1")
    assert found == code
    assert message in out + err


PAGE = (
    '<!DOCTYPE html>\n<html><head><meta charset="{}"><style>td {{ color: red }}</style></head>'
    "<table><tr><td colspan=4><b>Konto: DE12&nbsp;3456&nbsp;7890&nbsp;1234&nbsp;56</b></table>"
    "<TABLE border=1><tr><th>Datum<th>Text<th>Betrag (&euro;)<th>Saldo</tr>"
    "<tr><td>25.09.2024</td><td>Café\n  &amp; Söhne</td><td>-1.410,00</td><td>90,55</td></tr>"
    "<tr><td>26.09.2024</td><td>Gehalt</td><td>2.893,10</td><td>2.983,65</td></tr>"
    "<tr><td>27.09.2024</td><td>&lt;Tee&gt;</td><td>-6,90</td><td>2.976,75</td></tr>"
    "</table></body></html>"
)


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_a_page_with_a_table_is_read_as_one(inspect, tmp_path, charset):
    path = tmp_path / "Umsaetze.xls"
    path.write_bytes(PAGE.format(charset).encode(charset))
    code, out, _ = inspect(path)
    assert code == 0, out
    declared = proposed(out)
    assert "# The file is an HTML page." in out
    assert "# Balances add up over 3 rows, oldest first." in out
    assert declared.get("encoding", "utf-8") == charset
    assert declared["path"] == "Umsaetze.xls"
    assert declared["transaction"]["currency"] == {"constant": "EUR"}
    assert loaded(path, out, tmp_path / "sources") == (3, [])


def test_the_account_of_another_file_is_never_a_word(inspect, statement):
    code, out, _ = inspect(
        statement("Konto;DE12 3456 7890 1234 56\n\n" + (HEADER + ROWS).replace(",", ";"))
    )
    assert code == 0
    pattern = proposed(out)["transaction"]["account_number"]["preamble"]
    other = "Kontoinhaber;Max\nKonto;DE99 3456 7890 1234 56\n"
    assert re.search(pattern, other)[1].startswith("DE99")
    assert not re.search(pattern, "Kontoinhaber;Max\nKonto;\n")


def test_deposits_with_a_minus(inspect, statement):
    text = "Date,Text,Debit,Credit\n25/09/2024,Tea,5.00,\n26/09/2024,Pay,,-6.00\n"
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert (code, proposed(out)["transaction"]["inverted"]) == (0, "deposit")
    assert [row["deposit"] for row in Reader(path, out).transactions()] == [None, "6.00"]


def test_a_minus_in_both_columns_is_not_proposed(inspect, statement):
    text = "Date,Text,Debit,Credit\n25/09/2024,Tea,-5.00,\n26/09/2024,Pay,,-6.00\n"
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 4
    assert "both Debit and Credit have a minus" in out
    assert "withdrawal" not in proposed(out)["transaction"]


def test_a_shop_with_the_name_of_a_total_is_a_transaction(inspect, statement):
    path = statement(HEADER + ROWS.replace("Coffee", "TOTAL"))
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert len(Reader(path, out).transactions()) == 4


def test_an_answer_refuses_a_column(inspect, statement):
    text = "Date,Text,Amount,Out,In\n25/09/2024,Tea,-5.00,5.00,\n26/09/2024,Pay,6.00,,6.00\n"
    code, out, _ = inspect(statement(text), "account_number=1", "amount=none")
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert (meaning["withdrawal"], meaning["deposit"]) == ("Out", "In")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Café Rivière"),
        ("cp1252", "Café Peña"),
        ("cp1252", "Bäckerei Groß"),
        ("cp1250", "Žižkov Růže"),
        ("cp1250", "Gyűjtő Kávézó"),
        ("cp1257", "Šilutės kavinė"),
        ("cp1254", "Kahve Dünyası Şişli"),
        ("cp1251", "Кофейня"),
        ("gbk", "咖啡店"),
        ("shift_jis", "コーヒー"),
    ],
)
def test_the_letters_of_a_language_tell_the_encoding(inspect, statement, encoding, text):
    path = statement(HEADER + ROWS.replace("Coffee", text), encoding=encoding)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert text in [row["details"] for row in Reader(path, out).transactions()]


def test_titles_in_camel_case_and_with_directions_in_brackets(inspect, statement):
    text = "BookingDate,MerchantName,Sum (credit),Sum (debit),Rest\n25/09/2024,Tea,,5.00,15.00\n"
    text += "26/09/2024,Pay,6.00,,21.00\n27/09/2024,Milk,,1.00,20.00\n"
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert (meaning["withdrawal"], meaning["deposit"]) == ("Sum (debit)", "Sum (credit)")
    assert (meaning["details"], meaning["balance"]) == ("MerchantName", "Rest")


NO_HEADER = (
    "27/08/2024;-5,00;Card;Tea;\n28/08/2024;-6,00;Card;Books;\n29/08/2024;90,00;Pay;Salary;\n"
    "30/08/2024;-7,00;Card;Milk;\n31/08/2024;-8,00;Card;Bread;\n"
)


def test_a_closing_balance_without_text_is_no_transaction(inspect, statement):
    path = statement(NO_HEADER + "01/09/2024;164,00;;;4177 1233A\n")
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert len(Reader(path, out).transactions()) == 5


def test_a_summary_among_the_data_does_not_fit_the_balances(inspect, statement):
    text = "30/09/2024,00 1090 4177,Hale,100.00,164.00\n" + "".join(
        f"{day}/09/2024,{text},Shop,{amount}\n"
        for day, text, amount in [
            (29, "Bread", "-8.00,164.00"),
            (28, "Milk", "-7.00,172.00"),
            (27, "Salary", "90.00,179.00"),
            (26, "Books", "-6.00,89.00"),
            (25, "Tea", "-5.00,95.00"),
            (25, "Milk", "-1.00,100.00"),
        ]
    )
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert "# Line 1 is a summary: all other balances add up." in out
    assert len(Reader(path, out).transactions()) == 6


def test_a_date_with_another_one_is_not_left_out_in_silence(inspect, statement):
    path = statement(HEADER + ROWS.replace("27/09/2024", "27/09/2024 as of 26/09/2024"))
    code, out, _ = inspect(path, "account_number=1")
    assert code == 4
    assert "replace the text with one date, such as 27/09/2024." in out


def test_a_second_date_is_the_value_date(inspect, statement):
    text = "Date,Whatever,Text,Amount\n25/09/2024,26/09/2024,Tea,-5.00\n"
    text += "26/09/2024,26/09/2024,Milk,-6.00\n"
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    assert proposed(out)["transaction"]["value_date"] == "Whatever"
    assert "# Value date: Whatever is the last column of dates; no title says so." in out


def test_labels_above_the_header_form_a_table(inspect, statement):
    text = "Product,Branch,IBAN\nSavings,100 0417712,DE00100100100041771233\n\n"
    code, out, _ = inspect(statement(text + HEADER + ROWS))
    assert code == 0
    assert "# Account: DE00100100100041771233 stands above the header." in out


ABROAD = (
    "Date,Shop,Kwota operacji,Waluta operacji,Kwota w walucie rachunku,Waluta rachunku\n"
    "25/09/2024,Tea,-5.00,USD,-20.00,PLN\n26/09/2024,Milk,-6.00,PLN,-6.00,PLN\n"
)


def test_the_amount_in_the_currency_of_the_account_counts(inspect, statement):
    code, out, _ = inspect(statement(ABROAD), "account_number=1")
    assert code == 0
    meaning = proposed(out)["transaction"]
    assert meaning["amount"] == "Kwota w walucie rachunku"
    assert meaning["currency"] == "Waluta rachunku"


def test_a_column_that_fits_all_balances_outweighs_one_that_fits_most(inspect, statement):
    rows = [f"{day:02}/09/2024,Tea,-5.00,-5.00,{100 - 5 * day}.00\n" for day in range(13, 20)]
    rows[3] = "16/09/2024,Tea,-1.00,-5.00,20.00\n"
    path = statement("Date,Text,Amount,Betrag,Balance\n" + "".join(rows))
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert proposed(out)["transaction"]["amount"] == "Betrag"


def test_amounts_that_differ_stay_a_question(inspect, statement):
    text = "Date,Text,Amount,Fee,Net\n25/09/2024,Tea,-5.00,0.00,-5.00\n"
    path = statement(text + "26/09/2024,Milk,-6.00,0.30,-6.30\n")
    code, out, _ = inspect(path, "account_number=1")
    assert code == 4
    assert questions(out) == ["#   --answer amount=Amount", "#   --answer amount=Net"]
    code, out, _ = inspect(path, "account_number=1", "amount=Net")
    assert (code, proposed(out)["transaction"]["amount"]) == (0, "Net")


def test_a_status_without_balances_marks_rows_that_are_not_booked(inspect, statement):
    rows = [f"{row},Klar\n" for row in ROWS.splitlines()]
    text = "Date,Description,Amount,Balance,Status\n" + "".join(rows)
    path = statement(text + "29/09/2024,Kiosk,-3.10,,Unklar\n")
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert proposed(out)["skip"] == {"rows": {"Status": ["Unklar"]}}


def test_a_column_with_one_text_only_has_no_details(inspect, statement):
    text = "Date,Action,Description,Amount,Balance\n"
    text += ROWS.replace(",", ",Card ", 1).replace("2024,", "2024,At the ").replace(",-", ",None,-")
    text = text.replace(",2893.10,", ",None,2893.10,")
    code, out, _ = inspect(statement(text), "account_number=1")
    assert code == 0
    assert proposed(out)["transaction"]["details"] == "Action"


def test_an_opening_balance_of_0_is_no_transaction(inspect, statement):
    path = statement(HEADER + "24/09/2024,Devir,0.00,1500.55\n" + ROWS)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert len(Reader(path, out).transactions()) == 4


def test_a_letter_behind_an_amount_tells_its_direction(inspect, statement):
    text = "Datum;Text;Betrag\n27.08.2024;Miete;1.410,00 S\n28.08.2024;Lohn;2.893,10 H\n"
    path = statement(text + "29.08.2024;Tee;6,90 S\n30.08.2024;Obst;2,10 S\n")
    code, out, _ = inspect(path, "account_number=1", "sign=usual")
    assert code == 0
    found = [row["withdrawal"] for row in Reader(path, out).transactions()]
    assert found == ["1410.00", None, "6.90", "2.10"]


def test_a_debit_in_the_column_of_withdrawals_is_no_minus(inspect, statement):
    text = "Date,Text,Debit,Credit\n25/09/2024,Tea,5.00 Dr,\n26/09/2024,Pay,,6.00 Cr\n"
    path = statement(text)
    code, out, _ = inspect(path, "account_number=1")
    assert code == 0
    assert "inverted" not in proposed(out)["transaction"]
    assert [row["withdrawal"] for row in Reader(path, out).transactions()] == ["5.00", None]


def test_two_values_can_be_the_directions_of_unsigned_amounts(inspect, statement):
    text = "Date,Text,Kind,Amount\n25/09/2024,Tea,Purchase,5.00\n26/09/2024,Pay,Payment,6.00\n"
    path = statement(text + "27/09/2024,Milk,Purchase,7.00\n")
    code, out, _ = inspect(path, "account_number=1")
    assert code == 4
    assert questions(out) == [
        "#   --answer indicator=Purchase/Payment",
        "#   --answer indicator=Payment/Purchase",
        "#   --answer sign=usual",
        "#   --answer sign=inverted",
    ]
    code, out, _ = inspect(path, "account_number=1", "indicator=Purchase/Payment")
    assert code == 0
    found = [row["withdrawal"] for row in Reader(path, out).transactions()]
    assert found == ["5.00", None, "7.00"]
