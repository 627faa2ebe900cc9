"""What a load costs, counted and not timed, beside what it cost when budget.json was written.

A count depends on no clock, so that a change of a few percent is seen at once. More than its
budget is a regression; much less means that the budget has to be tightened, or the next regression
hides in the room. When a change was meant, `make budget` writes budget.json anew: commit it.

The server's log counts for all its sessions: `make test` runs these tests beside no other.
"""

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

import psycopg2
import pyarrow as pa
import pytest
from wire import counting

from data_ingestion import cli
from data_ingestion.sample import write_sample

SAMPLE = Path(__file__).parents[1] / "data" / "transactions_data.csv"
KNOWN, NEW = 5_000, 5_000
# What the loader itself prints stands before the number.
COUNT_MODULES = """
import sys
from data_ingestion import cli
code = cli.main(sys.argv[1:])
print(len(sys.modules))
sys.exit(code)
"""
SERVER = """
select blks_hit + blks_read, pg_current_wal_insert_lsn() - '0/0', pg_database_size(datname)
from pg_stat_database
where datname = %s
"""


@pytest.fixture(autouse=True, scope="module")
def without_autovacuum() -> Iterator[None]:
    """Its work would be counted too, whenever it comes."""
    with closing(psycopg2.connect(dbname="postgres")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("alter system set autovacuum = off")
        cursor.execute("select pg_reload_conf()")
        yield
        cursor.execute("alter system reset autovacuum")
        cursor.execute("select pg_reload_conf()")


@pytest.fixture
def overlapping(tmp_path: Path) -> Path:
    """A file of which half is in the sample."""
    path = tmp_path / "transactions_overlapping.csv"
    write_sample(NEW, 2, path)
    with SAMPLE.open() as known, path.open("a") as file:
        file.writelines(islice(known, 1, 1 + KNOWN))
    return path


def load(*arguments: str | Path) -> None:
    assert cli.main(["load", *map(str, arguments)]) == 0


@contextmanager
def server_counts(database: str) -> Iterator[dict[str, int]]:
    """What the wire and the server count of the block, which must leave no session behind."""
    counts: dict[str, int] = {}
    with (
        closing(psycopg2.connect(dbname="postgres")) as connection,
        connection.cursor() as cursor,
        pytest.MonkeyPatch.context() as patch,
    ):
        connection.autocommit = True
        cursor.execute(SERVER, (database,))
        before = cursor.fetchone()
        with counting(os.environ["PGHOST"], int(os.environ["PGPORT"])) as (port, traffic):
            patch.setenv("PGPORT", str(port))
            patch.setenv("PGSSLMODE", "disable")
            patch.setenv("PGGSSENCMODE", "disable")
            yield counts
        cursor.execute(SERVER, (database,))
        names = ("blocks_touched", "log_bytes", "stored_bytes")
        for name, now, then in zip(names, cursor.fetchone(), before, strict=True):
            counts[name] = int(now - then)
    counts["statements"] = traffic.statements
    counts["bytes_sent"], counts["bytes_received"] = traffic.bytes_sent, traffic.bytes_received


@contextmanager
def instructions() -> Iterator[dict[str, int]]:
    """Bytecode instructions of Python run in the block, in this thread and in new ones."""
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


@pytest.mark.parametrize("work", ["first", "again", "overlapping"])
def test_the_server_does_no_more_than_its_budget(work, warehouse, overlapping, budget):
    file = overlapping if work == "overlapping" else SAMPLE
    if work != "first":
        load(SAMPLE)
    with server_counts(warehouse.env["PGDATABASE"]) as counts:
        load(file)
    budget.check(work, counts)


@pytest.mark.parametrize("work", ["first", "again", "overlapping"])
def test_python_runs_no_more_than_its_budget(work, warehouse, overlapping, write, budget):
    load(write("1\n", name="few.csv", header="x\n"), "--table", "few")  # imports all that is used
    file = overlapping if work == "overlapping" else SAMPLE
    if work != "first":
        load(SAMPLE)
    with instructions() as counts:
        load(file)
    budget.check(work, counts)


def test_a_load_holds_no_more_in_memory_than_its_budget(warehouse, write, budget):
    load(write("1\n", name="few.csv", header="x\n"), "--table", "few")
    gc.collect()
    tracemalloc.start()
    try:
        load(SAMPLE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    budget.check("first", {"peak_bytes": peak + pa.default_memory_pool().max_memory()})


@pytest.mark.parametrize("work", ["first", "again"])
def test_a_process_imports_no_more_than_its_budget(work, warehouse, budget):
    if work == "again":
        load(SAMPLE)
    command = [sys.executable, "-c", COUNT_MODULES, "load", SAMPLE]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    budget.check(work, {"modules": int(done.stdout.splitlines()[-1])})
