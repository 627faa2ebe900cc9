"""Bad input ends with one line on stderr, the right exit code and no partial load."""

import errno
import os
import socket
from pathlib import Path

import pytest
from conftest import HEADER, LOADS, line

from data_ingestion.formats.sources import Source

GOOD = HEADER + line(1)


def check_refused(outcome, warehouse, message: str) -> None:
    """Expect one error line, exit code 2, one failed load in the load log and no rows."""
    assert outcome.code == 2
    assert len(outcome.err) == 1 and outcome.err[0].startswith("error: ")
    assert message in outcome.err[0]
    assert "Traceback" not in outcome.err[0]
    assert [row[0] for row in warehouse.query(LOADS)] == ["failed"]
    exists = warehouse.query("select to_regclass('raw.transactions') is not null")
    assert not exists[0][0] or warehouse.rows() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (HEADER.encode(), "has a header but no rows"),
        (GOOD.replace("BALANCE AMT,", "").encode(), "lacks column balance_amt"),
        (GOOD.replace("BALANCE AMT,.", "BALANCE AMT,.,Branch").encode(), "has column branch"),
        (GOOD.replace(",.", ",DATE").encode(), "would both be named 'date'"),
        (GOOD.encode() + b"\xff\xfe\n", "line 3 is not valid UTF-8"),
        (GOOD.replace(",", ";").encode(), "separated by ';': load it with --delimiter"),
        (GOOD.encode("utf-16"), "is UTF-16"),
        (bytes(range(256)) * 10, "has a NUL byte in its header"),
        (b"\x1f\x8b\x08\x00garbage", "is damaged"),
        (b"PK\x03\x04garbage", "is damaged"),
        (b"\xd0\xcf\x11\xe0old", "is an old Excel workbook"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_refused(warehouse, run, tmp_path, content, message):
    path = tmp_path / "transactions.csv"
    path.write_bytes(content)
    check_refused(run("load", path), warehouse, message)


def test_a_missing_file_is_refused(warehouse, run, tmp_path):
    check_refused(run("load", tmp_path / "none.csv"), warehouse, "none.csv: no such file")


def test_a_directory_is_refused(warehouse, run, tmp_path):
    check_refused(run("load", tmp_path), warehouse, "is a directory")


def test_a_fifo_is_refused(warehouse, run, tmp_path):
    os.mkfifo(tmp_path / "transactions.csv")
    check_refused(run("load", tmp_path / "transactions.csv"), warehouse, "is not a regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(warehouse, run, write):
    path = write(line(1))
    path.chmod(0)
    check_refused(run("load", path), warehouse, "cannot be read (Permission denied)")


def test_rejects_fail_the_load_and_are_stored(warehouse, run, write):
    path = write(line(1), "x,y\n", line(2), line(3).replace(",.", ",.,,"), line(4))
    outcome = run("load", path)
    check_refused(outcome, warehouse, "2 of 5 lines rejected (more than --max-rejects 0)")
    assert warehouse.query(LOADS) == [("failed", 5, 0, 0, 2)]
    statement = outcome.err[0].rsplit("list the rejects with: ", 1)[1]
    assert warehouse.query(statement + " order by 1") == [
        (3, "2 fields instead of 9", "x,y"),
        (5, "11 fields instead of 9", line(3).replace(",.", ",.,,").rstrip("\n")),
    ]


def test_some_rejects_can_be_allowed(warehouse, run, write):
    path = write(line(1), "x,y\n", line(2))
    outcome = run("load", path, "--max-rejects", 1)
    assert (outcome.code, outcome.err) == (0, [])
    assert "read 3 = loaded 2 + duplicates 0 + rejected 1" in outcome.out[0]
    assert warehouse.query("select load_id, source_line, line from raw._rejects") == [(1, 3, "x,y")]
    assert len(warehouse.rows()) == 2


def test_all_rejects_are_counted_and_the_first_10_000_are_stored(warehouse, run, write):
    path = write(*["x\n"] * 10_500)
    check_refused(run("load", path), warehouse, "10,500 of 10,500 lines")
    assert warehouse.query("select count(*) from raw._rejects") == [(10_000,)]


def test_a_bad_file_does_not_stop_the_others(warehouse, run, write, tmp_path):
    good, last = write(line(1), name="a.csv"), write(line(2), name="c.csv")
    outcome = run("load", good, tmp_path / "b.csv", last)
    assert outcome.code == 2 and len(outcome.err) == 1
    assert [row[0] for row in warehouse.query(LOADS + " order by load_id")] == [
        "loaded",
        "failed",
        "loaded",
    ]
    assert warehouse.query("select load_id from raw._loads order by 1") == [(1,), (2,), (3,)]


MOVED = "was moved or removed while it was read"


def test_a_file_moved_while_it_is_read_is_refused(warehouse, run, write, monkeypatch):
    moved, last = write(line(1), name="a.csv"), write(line(2), name="b.csv")
    chunks = Source.chunks

    def move_at_the_end(source):
        yield from chunks(source)
        if source.path == moved:
            moved.rename(moved.with_name("archived.csv"))

    monkeypatch.setattr(Source, "chunks", move_at_the_end)
    outcome = run("load", moved, last)
    assert outcome.code == 2 and len(outcome.err) == 1
    assert outcome.err[0].startswith(f"error: a.csv: {MOVED}")
    assert "b.csv: read 1 = loaded 1" in outcome.out[0], "the next file is loaded"
    assert warehouse.query("select load_id, status, rows_loaded from raw._loads order by 1") == [
        (1, "failed", 0),
        (2, "loaded", 1),
    ]


def test_a_file_moved_right_after_it_was_opened_is_refused(warehouse, run, write, monkeypatch):
    path = write(line(1))
    monkeypatch.setenv("DATA_DIR", str(path.parent))
    resolve = Path.resolve

    def move_before(self):
        if self == path:
            path.rename(path.with_name("archived.csv"))
        return resolve(self)

    monkeypatch.setattr(Path, "resolve", move_before)
    outcome = run("load", "transactions.csv")
    check_refused(outcome, warehouse, MOVED)


@pytest.mark.parametrize("known", [False, True])
def test_a_file_that_cannot_be_hashed_is_refused(warehouse, run, write, monkeypatch, known):
    path = write(line(1))
    if known:
        run("load", path)

    def fail(*_: object) -> int:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("os.preadv", fail)
    outcome = run("load", path)
    assert outcome.code == 2
    assert outcome.err == [
        "error: transactions.csv: cannot be read (Stale file handle): get the file again"
    ]
    assert warehouse.query("select count(*) from raw._loads where status = 'failed'") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "No Name"], "is not a table name"),
        (["--table", "_loads"], "is not a table name"),
        (["--delimiter", ";;"], "is not one ASCII character"),
        (["--delimiter", '"'], "are the same character"),
        (["--encoding", "utf-99"], "is not a known encoding"),
        (["--max-rejects", "-1"], "is not a whole number"),
        (["none*.csv"], "no file matches"),
        (["--data-dir", "none"], "none: no such folder"),
    ],
)
def test_bad_arguments_are_refused(run, arguments, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outcome = run("load", *arguments)
    assert outcome.code == 2
    assert message in outcome.err[-1]


def check_unavailable(outcome, message: str) -> None:
    """Expect exit code 3 and one error line with the message."""
    assert outcome.code == 3
    assert len(outcome.err) == 1 and message in outcome.err[0]


def test_a_wrong_password_is_not_retried(warehouse, run, write, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "wrong")
    outcome = run("load", write(line(1)))
    check_unavailable(outcome, "check PGUSER and PGPASSWORD")
    assert outcome.out == [], "no line about another try"


def test_a_missing_database_is_named(warehouse, run, write, monkeypatch):
    monkeypatch.setenv("PGDATABASE", "nowhere")
    check_unavailable(run("load", write(line(1))), 'database "nowhere" does not exist')


def test_a_missing_right_is_reported_with_its_remedy(warehouse, run, write, monkeypatch):
    run("load", write(line(1)))
    warehouse.query("revoke insert on raw.transactions from loader")
    outcome = run("load", write(line(2), name="b.csv"))
    check_unavailable(outcome, "the role lacks a right: run init_db.sql")


def test_the_loader_waits_for_a_missing_server(run, write, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("PGHOST", "127.0.0.1")
        monkeypatch.setenv("PGPORT", str(port))
        outcome = run("load", write(line(1)), "--wait", "0.7")
    check_unavailable(outcome, f"the warehouse at 127.0.0.1:{port} is not available")
    assert [text.rsplit("; ", 1)[1] for text in outcome.out] == [
        "trying again in 0.5 s",
        "trying again in 0.2 s",
    ]


def test_a_bug_is_reported_on_one_line_with_exit_code_1(run, write, monkeypatch):
    monkeypatch.setattr("data_ingestion.postgres.connection.Warehouse.run", lambda *_: 1 / 0)
    outcome = run("load", write(line(1)))
    assert outcome.code == 1
    assert len(outcome.err) == 1 and "ZeroDivisionError" in outcome.err[0]
    assert "Traceback (most recent call last):" in run("load", write(line(1)), "--verbose").err
