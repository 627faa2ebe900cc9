"""A refusal names the way out, and whoever takes it is not refused a second time."""

import re
from typing import NamedTuple

import pytest
from conftest import HEADER

NAMES = HEADER.rstrip("\n")
VALUES = "4',2017-06-29,CASH,,2017-06-29,,1.00,1.00,."
GOOD = f"{NAMES}\n{VALUES}\n"
REORDERED = ",".join(NAMES.split(",")[::-1]) + "\n" + ",".join(VALUES.split(",")[::-1]) + "\n"
OTHER = f"{NAMES.replace('AMT', 'SUM')}\n{VALUES}\n"
CUSTOMERS = "id;name;city\n1;Asha;Pune\n"
OWN = ("--table", "own")


class Refusal(NamedTuple):
    """A file that is refused, and the way out that the message names.

    Attributes:
        content: The content of the file.
        options: The options with which it is loaded.
        message: A part of the message.
        change: The text that the message says to change, and the text that replaces it.
        advised: The options that the message says to use instead; None: the same as before.
    """

    content: str
    options: tuple[str, ...]
    message: str
    change: tuple[str, str] = ("", "")
    advised: tuple[str, ...] | None = None


def columns(more: str) -> str:
    """Return a file with more columns than a statement."""
    return f"{NAMES},{more}\n{VALUES},{more.lower()}\n"


REFUSALS = {
    "a delimiter": Refusal(
        GOOD.replace(",", ";"),
        (),
        "is separated by ';': load it with --delimiter ';'",
        advised=("--delimiter", ";"),
    ),
    "a delimiter between quotes": Refusal(
        '"' + GOOD.replace(",", '";"').replace("\n", '"\n"').removesuffix('"'),
        (),
        "is separated by ';': load it with --delimiter ';'",
        advised=("--delimiter", ";"),
    ),
    "a delimiter beside a comma": Refusal(
        GOOD.replace(",", ";").replace("BALANCE AMT", "BALANCE, AMT"),
        (),
        "is separated by ';': load it with --delimiter ';'",
        advised=("--delimiter", ";"),
    ),
    "a tab": Refusal(
        GOOD.replace(",", "\t"),
        (),
        r"is separated by '\t': load it with --delimiter '\t'",
        advised=("--delimiter", "\\t"),
    ),
    "a wrong --delimiter": Refusal(
        GOOD,
        ("--delimiter", ";"),
        "is separated by ',': load it with --delimiter ','",
        advised=("--delimiter", ","),
    ),
    "another kind of file": Refusal(
        CUSTOMERS.replace(";", ","),
        (),
        "city (another kind of file? load it with --table NAME)",
        advised=("--table", "name"),
    ),
    "another kind of file with another delimiter": Refusal(
        CUSTOMERS,
        (),
        "(another kind of file? load it with --table NAME --delimiter ';')",
        advised=("--table", "name", "--delimiter", ";"),
    ),
    "another kind of file with equal names": Refusal(
        "id,name,Name\n1,Asha,Rao\n",
        (),
        "(another kind of file? columns 2 and 3 would both be named 'name': rename one of them in "
        "the header, and load it with --table NAME)",
        ("Name", "surname"),
        ("--table", "name"),
    ),
    "another kind of file with a long name": Refusal(
        f"id,{'n' * 64}\n1,2\n",
        (),
        "shorten it to at most 63, and load it with --table NAME)",
        ("n" * 64, "n" * 63),
        ("--table", "name"),
    ),
    "an unexpected column": Refusal(
        columns("Branch"),
        (),
        "has column branch, which transactions does not know: remove it, or load it with --table",
        advised=("--table", "name"),
    ),
    "unexpected columns to remove": Refusal(
        columns("Branch,City"),
        (),
        "has columns branch, city, which transactions does not know: remove them, or",
        (columns("Branch,City"), GOOD),
    ),
    "an unexpected column and equal names": Refusal(
        columns("Branch,DATE"),
        (),
        "remove it, or columns 2 and 11 would both be named 'date': rename one of them in the "
        "header, and load it with --table NAME",
        ("Branch,DATE", "Branch,DAY"),
        ("--table", "name"),
    ),
    "equal names": Refusal(
        columns("DATE"),
        (),
        "columns 2 and 10 would both be named 'date': remove one of them in the header",
        (columns("DATE"), GOOD),
    ),
    "equal names in a table of its own": Refusal(
        "a,A\n1,2\n",
        OWN,
        "columns 1 and 2 would both be named 'a': rename one of them in the header",
        ("a,A", "a,b"),
    ),
    "a blank header": Refusal(
        ",,\n\n1,2,3\n",
        OWN,
        "begins with a line that names no column: write the names of the columns there, or",
        (",,", "a,b,c"),
    ),
    "blank lines before the header": Refusal(
        '\n,,\n"",,\na,b,c\n1,2,3\n',
        OWN,
        "or delete all lines before the header",
        ('\n,,\n"",,\n', ""),
    ),
    "a header without letters": Refusal(
        "-,#,.\na,b,c\n1,2,3\n", OWN, "or delete all lines before the header", ("-,#,.\n", "")
    ),
    "a column named sep": Refusal(
        "Sep\nid\n1\n",
        OWN,
        "begins with 'Sep', which is no header: delete that line, or give the column another name",
        ("Sep\n", ""),
    ),
    "a sep line and another --delimiter": Refusal(
        f"sep=;\n{CUSTOMERS}",
        ("--delimiter", ",", *OWN),
        "line 1 is 'sep=;', but --delimiter is ',': load the file without --delimiter",
        advised=OWN,
    ),
    "a sep line and another header": Refusal(
        f"sep=|\n{GOOD}".replace(",", ";"),
        (),
        "line 1 is 'sep=|', but the header is separated by ';': delete line 1, and load the file "
        "with --delimiter ';'",
        ("sep=|\n", ""),
        ("--delimiter", ";"),
    ),
    "a sep line, another header and --delimiter": Refusal(
        f"sep=;\n{GOOD}".replace(",", "|"),
        ("--delimiter", ","),
        "line 1 is 'sep=;', but the header is separated by '|': delete line 1, and load the file "
        "with --delimiter '|'",
        ("sep=;\n", ""),
        ("--delimiter", "|"),
    ),
    "a sep line that names nothing": Refusal(
        f"sep=\n{GOOD}".replace(",", ";"),
        (),
        "line 1 is 'sep=', but the header is separated by ';': delete line 1, and load the file "
        "with --delimiter ';'",
        ("sep=\n", ""),
        ("--delimiter", ";"),
    ),
    "a sep line that names two characters": Refusal(
        "sep=ab\nid\n1\n",
        OWN,
        "line 1 is 'sep=ab', which names no delimiter: delete line 1",
        ("sep=ab\n", ""),
    ),
    "UTF-16": Refusal(
        f"\ufeff{GOOD}".encode("utf-16-le").decode("latin-1"),
        ("--encoding", "utf-8"),
        "is UTF-16, not UTF-8: load it with --encoding utf-16",
        advised=("--encoding", "utf-16"),
    ),
    "a letter of another encoding": Refusal(
        GOOD.replace("CASH", "Café"),
        (),
        "line 2 is not valid UTF-8 (byte 0xe9): name the file's encoding, for example --encoding "
        "cp1252",
        advised=("--encoding", "cp1252"),
    ),
    "a second header in another order": Refusal(
        GOOD + REORDERED,
        (),
        "line 3 is another header, with the columns in another order",
        (GOOD, ""),
    ),
    "a second header with other columns": Refusal(
        GOOD + OTHER,
        (),
        "split the file there, and load the second part with --table NAME",
        (GOOD, ""),
        ("--table", "name"),
    ),
    "a totals row": Refusal(
        GOOD + ",,TOTAL,,,,1.00,1.00,.\n",
        (),
        "1 of 2 lines rejected (more than --max-rejects 0); the first is line 3: no value in acc",
        advised=("--max-rejects", "1"),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_names_the_way_out(warehouse, run, tmp_path, case):
    content, options, message, (old, new), advised = REFUSALS[case]
    path = tmp_path / "transactions.csv"
    path.write_bytes(content.encode("latin-1"))
    refused = run("load", path, *options)
    assert refused.code == 2 and len(refused.err) == 1
    assert message in refused.err[0]
    path.write_bytes(content.replace(old, new, 1).encode("latin-1"))
    outcome = run("load", path, *(options if advised is None else advised))
    assert (outcome.code, outcome.err) == (0, [])
    assert re.search(r"read \d+ = loaded [1-9]", outcome.out[0])


def test_a_file_with_other_columns_fits_another_table(warehouse, run, write):
    assert run("load", write("1,2\n", header="a,b\n"), *OWN).code == 0
    path = write("1,2\n", name="other.csv", header="a,c\n")
    refused = run("load", path, *OWN)
    assert "(differing: b, c): load it into another table with --table NAME" in refused.err[0]
    assert run("load", path, "--table", "name").code == 0


def test_no_encoding_is_named_twice(warehouse, run, tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(b"a,b\n\x81,2\n")
    assert "for example --encoding cp1252" in run("load", path, *OWN).err[0]
    again = run("load", path, *OWN, "--encoding", "cp1252").err[0]
    assert "is not valid cp1252" in again and "example" not in again
