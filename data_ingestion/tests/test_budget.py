"""A load costs no more than budget.json allows.

The tests count work and do not measure time, so they notice a change of a few percent. A count
above its budget is a regression. A count far below its budget means that the budget must be
tightened, or it would hide the next regression. After an intended change, `make budget` writes a
new budget.json to commit.

Postgres counts write-ahead log for the whole server, so `make test` runs these tests alone.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

import psycopg2
import pytest
from wire import counting

from data_ingestion import cli
from data_ingestion.sample import write_sample

SAMPLE = Path(__file__).parents[1] / "data" / "transactions_data.csv"
KNOWN, NEW = 5_000, 5_000
# The number of modules is the last line of output, after the lines of the loader.
COUNT_MODULES = """
import sys
from data_ingestion import cli
code = cli.main(sys.argv[1:])
print(len(sys.modules))
sys.exit(code)
"""
# The first load imports everything, so that the peak is that of the second load.
MEASURE_PEAK = """
import gc, sys, tracemalloc
from data_ingestion import cli
assert cli.main(["load", sys.argv[1], "--table", "few"]) == 0
import pyarrow as pa
gc.collect()
tracemalloc.start()
assert cli.main(["load", sys.argv[2]]) == 0
print(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())
"""
# Bytecode, imports and allocations differ between versions of Python; the server's counts do not.
counts_python = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="budget.json has the counts of Python 3.11"
)
SERVER = """
select blks_hit + blks_read, pg_current_wal_insert_lsn() - '0/0', pg_database_size(datname)
from pg_stat_database
where datname = %s
"""


@pytest.fixture(autouse=True, scope="module")
def without_autovacuum() -> Iterator[None]:
    """Turn autovacuum off, because the counts would include its work at unpredictable times."""
    with closing(psycopg2.connect(dbname="postgres")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("alter system set autovacuum = off")
        cursor.execute("select pg_reload_conf()")
        yield
        cursor.execute("alter system reset autovacuum")
        cursor.execute("select pg_reload_conf()")


@pytest.fixture
def overlapping(tmp_path: Path) -> Path:
    """Return a file that shares half of its rows with the sample."""
    path = tmp_path / "transactions_overlapping.csv"
    write_sample(NEW, 2, path)
    with SAMPLE.open() as known, path.open("a") as file:
        file.writelines(islice(known, 1, 1 + KNOWN))
    return path


def load(*arguments: str | Path) -> None:
    assert cli.main(["load", *map(str, arguments)]) == 0


def read_server(cursor, database: str) -> tuple:
    """Return the server's counts once no loader has a session.

    A session adds its counts to the server's when it ends, which is after the client has closed it.
    """
    deadline = time.monotonic() + 30
    while True:
        cursor.execute("select from pg_stat_activity where application_name = 'data-ingestion'")
        if not cursor.rowcount:
            break
        assert time.monotonic() < deadline, "a loader's session does not end"
        time.sleep(0.01)
    cursor.execute(SERVER, (database,))
    return cursor.fetchone()


@contextmanager
def server_counts(database: str) -> Iterator[dict[str, int]]:
    """Count traffic and server work in the block. The block must not leave a session open."""
    counts: dict[str, int] = {}
    with (
        closing(psycopg2.connect(dbname="postgres")) as connection,
        connection.cursor() as cursor,
        pytest.MonkeyPatch.context() as patch,
    ):
        connection.autocommit = True
        before = read_server(cursor, database)
        with counting(os.environ["PGHOST"], int(os.environ["PGPORT"])) as (port, traffic):
            patch.setenv("PGPORT", str(port))
            patch.setenv("PGSSLMODE", "disable")
            patch.setenv("PGGSSENCMODE", "disable")
            yield counts
        names = ("blocks_touched", "log_bytes", "stored_bytes")
        for name, now, then in zip(names, read_server(cursor, database), before, strict=True):
            counts[name] = int(now - then)
    counts["statements"] = traffic.statements
    counts["bytes_sent"], counts["bytes_received"] = traffic.bytes_sent, traffic.bytes_received


@contextmanager
def instructions() -> Iterator[dict[str, int]]:
    """Count Python bytecode instructions in the block, in this thread and in new threads."""
    counts = {"instructions": 0}

    def trace(frame: FrameType, event: str, _: object):
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        counts["instructions"] += event == "opcode"
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield counts
    finally:
        sys.settrace(None)
        threading.settrace(None)


@pytest.mark.parametrize("scenario", ["first", "again", "overlapping"])
def test_the_servers_work_stays_within_its_budget(scenario, warehouse, overlapping, budget):
    file = overlapping if scenario == "overlapping" else SAMPLE
    if scenario != "first":
        load(SAMPLE)
    with server_counts(warehouse.env["PGDATABASE"]) as counts:
        load(file)
    budget.check(scenario, counts)


@counts_python
@pytest.mark.parametrize("scenario", ["first", "again", "overlapping"])
def test_pythons_work_stays_within_its_budget(scenario, warehouse, overlapping, write, budget):
    # Load a small file first, so that imports are not counted.
    load(write("1\n", name="few.csv", header="x\n"), "--table", "few")
    file = overlapping if scenario == "overlapping" else SAMPLE
    if scenario != "first":
        load(SAMPLE)
    with instructions() as counts:
        load(file)
    budget.check(scenario, counts)


@counts_python
def test_the_peak_memory_of_a_load_stays_within_its_budget(warehouse, write, budget):
    few = write("1\n", name="few.csv", header="x\n")
    # On a busy machine the load's threads run apart, and more blocks are in memory at a time. Only
    # the smallest of several peaks belongs to the code.
    peaks = []
    for _ in range(3):
        tables = "transactions, raw.few, raw._loads, raw._rejects, raw._duplicates"
        warehouse.query(f"drop table if exists raw.{tables}")
        command = [sys.executable, "-c", MEASURE_PEAK, few, SAMPLE]
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.splitlines()[-1]))
    budget.check("first", {"peak_bytes": min(peaks)})


@counts_python
@pytest.mark.parametrize("scenario", ["first", "again"])
def test_imports_stay_within_their_budget(scenario, warehouse, budget):
    if scenario == "again":
        load(SAMPLE)
    command = [sys.executable, "-c", COUNT_MODULES, "load", SAMPLE]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    budget.check(scenario, {"modules": int(done.stdout.splitlines()[-1])})
