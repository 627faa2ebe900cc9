"""A first line such as `sep=;` tells the delimiter, in any form of file."""

import pytest
from conftest import HEADER, line
from forms import FORMS, pack, save

SEP_LINES = {
    "csv": "sep=;\r\n",
    "CRLF": '"sep=;"\r\n',
    "gzip": "SEP=;\n",
    "zip": "sep=;;;;;;;;;\n",
    "utf-16": '"sep=;",,,\n',
}
STATEMENT = HEADER.replace(",", ";") + (
    "500'; 2024-10-01;CASH;;2024-10-01;;100.00;100.00;.\n"
    '500\';2024-10-02;"CARD; TEA";;2024-10-02;10.00;;90.00;.\n'
)
CUSTOMERS = "id{0}name{0}city\n1{0}Asha{0}Pune\n2{0}Ben{0}Leeds\n"
DETAILS = "select _source_line, transaction_details from raw.transactions order by 1"


@pytest.mark.parametrize("options", [(), ("--delimiter", ";")])
@pytest.mark.parametrize("form", SEP_LINES)
def test_a_statement_names_its_delimiter(warehouse, run, tmp_path, form, options):
    path = pack(form, tmp_path, SEP_LINES[form] + STATEMENT)
    outcome = run("load", path, *options, *FORMS[form])
    assert (outcome.code, outcome.err) == (0, [])
    assert warehouse.query(DETAILS) == [(3, "CASH"), (4, "CARD; TEA")]


@pytest.mark.parametrize("delimiter", [";", ",", "|", "\t", "^", "~", " "])
def test_a_table_of_its_own_names_its_delimiter(warehouse, run, tmp_path, delimiter):
    path = pack("csv", tmp_path, f"sep={delimiter}\n{CUSTOMERS.format(delimiter)}")
    assert run("load", path, "--table", "customers").err == []
    rows = warehouse.query("select id, name, city from raw.customers order by 1")
    assert rows == [("1", "Asha", "Pune"), ("2", "Ben", "Leeds")]
    named = run("load", path, "--table", "customers", "--delimiter", delimiter, "--force")
    assert "read 2 = loaded 0 + duplicates 2" in named.out[0]


def test_a_tab_may_be_written_as_backslash_t(warehouse, run, tmp_path):
    path = pack("csv", tmp_path, "sep=\\t\n" + CUSTOMERS.format("\t"))
    assert run("load", path, "--table", "customers").code == 0
    assert warehouse.query("select name from raw.customers order by 1") == [("Asha",), ("Ben",)]


def test_a_sep_line_does_not_change_the_rows(warehouse, run, tmp_path, write):
    run("load", write(line(1), line(2), name="plain.csv"))
    path = pack("gzip", tmp_path, "sep=,\n" + HEADER + line(1) + line(2))
    assert "read 2 = loaded 0 + duplicates 2" in run("load", path).out[0]


def test_files_of_one_run_may_name_different_delimiters(warehouse, run, write):
    paths = [
        write(CUSTOMERS.format(mark), name=f"{number}.csv", header=f"sep={mark}\n" * bool(number))
        for number, mark in enumerate([",", ";", "|"])
    ]
    outcome = run("load", *paths, "--table", "customers")
    assert [text.split(" + rejected")[0] for text in outcome.out] == [
        "0.csv: read 2 = loaded 2 + duplicates 0",
        "1.csv: read 2 = loaded 0 + duplicates 2",
        "2.csv: read 2 = loaded 0 + duplicates 2",
    ]


@pytest.mark.parametrize("table", [(), ("--table", "customers")])
def test_a_sep_line_in_a_workbook_is_refused(run, warehouse, tmp_path, table):
    names, row = HEADER.rstrip().split(","), ["1", "2", *"345678."]
    refused = run("load", save("workbook", tmp_path, [["sep=;"], names, row]), *table)
    assert refused.code == 2 and "begins with 'sep=;', which is no header" in refused.err[0]
    assert run("load", save("workbook", tmp_path, [names, row]), *table).code == 0


@pytest.mark.parametrize("table", [(), ("--table", "customers")])
def test_a_file_of_only_a_sep_line_is_empty(run, warehouse, tmp_path, table):
    outcome = run("load", pack("csv", tmp_path, "sep=;"), *table)
    assert "the file is empty" in outcome.err[0]
