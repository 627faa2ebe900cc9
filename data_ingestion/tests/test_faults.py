"""Concurrent, killed and disconnected loads store no row twice and no file in part."""

import socket
import threading
import time

import psycopg2
import pytest
from conftest import LOADS, line


def big_file(write, rows: int = 150_000):
    return write(*(line(number, f"row {number}") for number in range(rows)))


def wait_for_copy(warehouse) -> int:
    """Wait until a loader is in its COPY; return the process id of its Postgres backend."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = warehouse.query(
            "select pid from pg_stat_activity where datname = current_database()"
            " and application_name = 'data-ingestion' and query like 'copy %'"
        )
        if found:
            return found[0][0]
        time.sleep(0.005)
    pytest.fail("no load started its COPY")


def test_concurrent_loads_of_one_file_load_it_once(warehouse, write):
    path = big_file(write, 40_000)
    processes = [warehouse.start("load", path) for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    output = "".join(out for out, _ in ends)
    assert output.count("read 40,000 = loaded 40,000") == 1
    assert output.count("already loaded as load 1") == 1
    assert warehouse.query(LOADS) == [("loaded", 40_000, 40_000, 0, 0)]


def test_concurrent_loads_of_overlapping_files_load_each_row_once(warehouse, write):
    first = write(*map(line, range(0, 6_000)), name="first.csv")
    second = write(*map(line, range(3_000, 9_000)), name="second.csv")
    processes = [warehouse.start("load", path) for path in (first, second)]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert warehouse.query(LOADS + " order by load_id") == [
        ("loaded", 6_000, 6_000, 0, 0),
        ("loaded", 6_000, 3_000, 3_000, 0),
    ]


def test_a_load_reports_that_it_waits_for_another(warehouse, write):
    path = write(line(1))
    other = psycopg2.connect("")
    with other.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('raw.transactions', 0))")
    process = warehouse.start("load", path)
    waiting = process.stdout.readline()
    other.close()
    out, err = process.communicate(timeout=30)
    assert waiting == "transactions.csv: waiting for another load of raw.transactions\n"
    assert "loaded 1" in out and err == ""


def test_a_killed_load_leaves_nothing_and_the_next_run_succeeds(warehouse, write, run):
    path = big_file(write)
    process = warehouse.start("load", path)
    wait_for_copy(warehouse)
    process.kill()
    process.communicate()
    assert warehouse.query("select to_regclass('raw.transactions')") == [(None,)]
    assert warehouse.query("select count(*) from raw._loads") == [(0,)]
    assert run("load", path).code == 0
    assert warehouse.query(LOADS) == [("loaded", 150_000, 150_000, 0, 0)]


def test_a_load_whose_connection_breaks_is_retried_from_the_start(warehouse, write):
    path = big_file(write)
    process = warehouse.start("load", path)
    pid = wait_for_copy(warehouse)
    warehouse.query(f"select pg_terminate_backend({pid})")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "the warehouse is not available" in out and "trying again in 0.5 s" in out
    assert warehouse.query(LOADS) == [("loaded", 150_000, 150_000, 0, 0)]
    assert warehouse.query("select count(*) from raw.transactions") == [(150_000,)]


def test_a_file_that_grows_while_it_is_read_is_refused(warehouse, write, run, monkeypatch):
    path = write(line(1))

    def grow(*_):
        with path.open("a") as file:
            file.write(line(2))

    monkeypatch.setattr("data_ingestion.postgres.load_log.next_load_id", lambda *_: grow() or 1)
    outcome = run("load", path)
    assert outcome.code == 2 and "changed while it was read" in outcome.err[0]
    assert warehouse.query("select to_regclass('raw.transactions')") == [(None,)]


# The replies of a server that is starting, stopping or full. libpq does not report their SQLSTATE,
# so the loader recognises their text.
@pytest.mark.parametrize(
    "answer",
    [
        "the database system is starting up",
        "the database system is shutting down",
        "the database system is in recovery mode",
        "terminating connection due to unexpected postmaster exit",
        "terminating connection because of crash of another server process",
        "sorry, too many clients already",
    ],
)
def test_the_loader_waits_for_a_server_that_is_starting_or_stopping(
    run, write, monkeypatch, answer
):
    fields = f"SFATAL\0VFATAL\0C57P01\0M{answer}\0\0".encode()

    def refuse_twice(listener: socket.socket) -> None:
        for _ in range(2):
            client = listener.accept()[0]
            with client:
                client.recv(1024)
                client.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=refuse_twice, args=(listener,))
        server.start()
        for name, value in {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(listener.getsockname()[1]),
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
        }.items():
            monkeypatch.setenv(name, value)
        outcome = run("load", write(line(1)), "--wait", "0.1")
        server.join()
    assert outcome.code == 3 and "is not available" in outcome.err[0] and answer in outcome.err[0]
    assert len(outcome.out) == 1 and answer in outcome.out[0]
    assert outcome.out[0].endswith("trying again in 0.1 s")
