"""SQL, shell commands and paths in values and names are stored as text and never executed."""

import os
from pathlib import Path

import pytest
from conftest import HEADER, LOADS, line

SQL = "x'); drop table raw._loads; drop schema raw cascade; --"
HOSTILE = [
    SQL,
    'x"; drop table raw._loads; --',
    "$$; drop table raw._loads; --",
    "\\'; drop table raw._loads; --",
    "%s %(name)s {0} {name}",
    "$(touch stolen)`touch stolen`;touch stolen",
    "\\copy raw._loads from program 'touch stolen'",
    "\\N",
    "\x1b[2J\x1b]0;title\x07\u202e",
    "=cmd|'/c calc'!A1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_is_stored_as_text(warehouse, run, write, text):
    quoted = '"' + text.replace('"', '""') + '"'
    assert run("load", write(line(1, quoted), line(2))).code == 0
    found = warehouse.query("select transaction_details from raw.transactions order by 1")
    assert sorted(found) == sorted([(text,), ("CASH",)])
    assert warehouse.query(LOADS) == [("loaded", 2, 2, 0, 0)]


@pytest.mark.parametrize("name", [text for text in HOSTILE if "/" not in text])
@pytest.mark.parametrize("bad", [False, True])
def test_a_hostile_file_name_is_stored_as_text(warehouse, run, write, name, bad):
    path = write(*["x,y\n"] * bad, line(1), name=f"{name}.csv")
    outcome = run("load", path)
    assert outcome.code == (2 if bad else 0), outcome.err
    assert warehouse.query("select source_file, status from raw._loads") == [
        (path.name, "failed" if bad else "loaded")
    ]
    messages = [*outcome.out, *outcome.err]
    assert len(messages) == 1 and messages[0].isprintable()
    if bad:  # the message ends with a statement for the user to run
        hint = messages[0].rsplit("list the rejects with: ", 1)[1]
        assert warehouse.query(hint) == [(2, "2 fields instead of 9", "x,y")]
    assert not Path("stolen").exists()


def test_column_names_hold_only_letters_digits_and_underscores(warehouse, run, write):
    texts = [*HOSTILE[:3], *HOSTILE[4:6]]
    header = ",".join('"' + text.replace('"', '""') + '"' for text in texts) + "\n"
    path = write("a,b,c,d,e\n", name="own.csv", header=header)
    assert run("load", path, "--table", "own").err == []
    names = warehouse.query(
        "select column_name from information_schema.columns"
        " where table_name = 'own' and column_name !~ '^_' order by ordinal_position"
    )
    assert [name for (name,) in names] == [
        "x_drop_table_raw_loads_drop_schema_raw_cascade",
        "x_drop_table_raw_loads",
        "drop_table_raw_loads",
        "s_name_s_0_name",
        "touch_stolen_touch_stolen_touch_stolen",
    ]


@pytest.mark.parametrize("text", [*HOSTILE, "pg_class; --", "a.b", "transactions "])
def test_a_hostile_table_name_is_refused(run, text):
    outcome = run("load", "--table", text)
    assert outcome.code == 2 and "is not a table name" in outcome.err[-1]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a data folder that contains links, next to a file that must stay private."""
    (tmp_path / "secret.csv").write_text(HEADER + line(9, "SECRET"))
    data = tmp_path / "data"
    (data / "archive").mkdir(parents=True)
    (data / "archive" / "may.csv").write_text(HEADER + line(1))
    (data / "transactions_within.csv").symlink_to("archive/may.csv")
    (data / "transactions_out.csv").symlink_to("../secret.csv")
    (data / "transactions_absolute.csv").symlink_to(tmp_path / "secret.csv")
    (data / "transactions_dangling.csv").symlink_to("nowhere.csv")
    (data / "transactions_loop.csv").symlink_to("transactions_loop.csv")
    (data / "transactions_folder").symlink_to("..")
    monkeypatch.setenv("DATA_DIR", str(data))
    return data


LEADS_OUT = "is a link that leads out of the data folder"


@pytest.mark.parametrize("through", ["folder", "link"])
def test_links_that_lead_out_of_the_data_folder_are_refused(
    warehouse, run, folder, through, monkeypatch
):
    if through == "link":  # the data folder itself is a link, which is allowed
        (folder.parent / "linked").symlink_to("data")
        monkeypatch.setenv("DATA_DIR", str(folder.parent / "linked"))
    outcome = run("load")
    assert outcome.code == 2
    assert sorted(text.removeprefix("error: ").split(": ")[0:2] for text in outcome.err) == [
        ["transactions_absolute.csv", f"{LEADS_OUT} {os.environ['DATA_DIR']}"],
        ["transactions_dangling.csv", "no such file"],
        ["transactions_loop.csv", "cannot be read (Too many levels of symbolic links)"],
        ["transactions_out.csv", f"{LEADS_OUT} {os.environ['DATA_DIR']}"],
    ]
    assert warehouse.query(
        "select source_file, transaction_details from raw.transactions"
        " join raw._loads on _load_id = load_id and status = 'loaded'"
    ) == [("transactions_within.csv", "CASH")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("transactions_out.csv", LEADS_OUT),
        ("transactions_folder/secret.csv", LEADS_OUT),
        ("transactions_out*.csv", LEADS_OUT),
    ],
)
def test_a_name_or_a_glob_that_leads_out_of_the_data_folder_is_refused(
    warehouse, run, folder, name, message
):
    outcome = run("load", name)
    assert outcome.code == 2 and message in outcome.err[0]
    assert warehouse.query("select to_regclass('raw.transactions')") == [(None,)]


def test_a_full_path_may_lead_out_of_the_data_folder(warehouse, run, folder):
    assert run("load", folder / "transactions_out.csv").err == []
    assert warehouse.rows()[0][2] == "SECRET"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, "is not the name of a file in the data folder") for name in (
            "../secret.csv", "..", ".", "", "archive/may.csv", "/etc/passwd", "./may.csv",
        )),
        ("here.csv", "no such file"),
        ("*.csv", "no such file"),
        ("--force", "no such file"),
        ("a\nb", "a\\nb: no such file"),
        ("x" * 300, "cannot be read (File name too long)"),
        ("transactions_out.csv", LEADS_OUT),
        ("archive", "is a directory"),
    ],
)  # fmt: skip
def test_in_data_dir_looks_only_in_the_data_folder(
    warehouse, run, folder, monkeypatch, name, message
):
    """The DAG passes `--in-data-dir`. A file in the working directory must not be found."""
    monkeypatch.chdir(folder.parent)
    Path("here.csv").write_text(HEADER + line(1))
    outcome = run("load", "--in-data-dir", "--", name)
    assert outcome.code == 2
    assert len(outcome.err) == 1 and message in outcome.err[0]
    assert warehouse.query("select to_regclass('raw.transactions')") == [(None,)]


def test_in_data_dir_finds_a_file_of_the_data_folder(warehouse, run, folder):
    assert run("load", "--in-data-dir", "--", "transactions_within.csv").err == []
    assert warehouse.query(LOADS) == [("loaded", 1, 1, 0, 0)]
