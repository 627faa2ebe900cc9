"""The connection is cut: with an RST, with a FIN, or without a word; anywhere, and in a commit."""

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest
from proxy import Link, Moment, Proxy
from scene import Warehouse, tries
from story import Sheet, compare

CUTS = {"reset (RST)": Link.reset, "closed (FIN)": Link.finish}
COMMIT = {"statement": b"COMMIT", "after": b"insert into raw._loads"}  # the load's, no earlier one
ENDED = "the load had ended when the connection was lost"


@dataclass
class Silenced:
    """A load whose connection goes silent, in a database of its own."""

    moment: Moment
    database: str
    sheet: Sheet
    process: Popen


@pytest.fixture(scope="module", autouse=True)
def silenced(tmp_path_factory):
    """Loads that are silenced while the other tests run: to find that out takes them a minute."""
    home = Path(tempfile.mkdtemp(prefix="elt-faults-"))
    home.chmod(0o755)
    warehouse = Warehouse(home)
    folder = tmp_path_factory.mktemp("silenced")
    moments = [
        Moment(statement=b"create unique index"),
        Moment(**COMMIT, answered=True),
        Moment(sent=700_000),
        Moment(statement=b'copy "raw"', answered=True),
        Moment(**COMMIT),
        Moment(received=900),
    ]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        stack.callback(warehouse.stop)
        warehouse.start()
        warehouse.initialise()
        loads = []
        for number, moment in enumerate(moments[: tries(6, 2)]):
            database = f"silenced_{number}"
            warehouse.query(f"create database {database} template warehouse", "postgres")
            warehouse.query(f"grant connect, temporary on database {database} to loader")
            sheet = Sheet.write(folder / f"transactions-{number}.csv", range(12_000))
            proxy = stack.enter_context(Proxy(warehouse.server.port))
            proxy.arm(moment, Link.silence)
            process = warehouse.load(sheet.path, port=proxy.port, PGDATABASE=database)
            loads.append(Silenced(moment, database, sheet, process))
        yield warehouse, loads
        for load in loads:
            load.process.kill()
            load.process.communicate()


def cut(warehouse, sheet, moment, how, *options):
    """A load whose connection is cut; returns exit code, stdout and stderr."""
    with Proxy(warehouse.server.port) as proxy:
        proxy.arm(moment, how)
        process = warehouse.load(sheet.path, *options, port=proxy.port)
        out, err = process.communicate(timeout=120)
        assert proxy.struck.is_set()
    return process.returncode, out, err


@pytest.mark.parametrize("how", CUTS)
def test_cut_anywhere(warehouse, story, tally, how):
    with Proxy(warehouse.server.port) as proxy:
        assert warehouse.load(story.sheet().path, port=proxy.port).wait(120) == 0
    warehouse.forget()
    for _ in range(tries(30, 4)):
        up = story.chance.random() < 0.5
        # Most of what is sent is rows, most of what is received are answers before and after.
        at = story.chance.randrange(proxy.sent // 2 if up else proxy.received * 2 // 3)
        moment = Moment(sent=at) if up else Moment(received=at)
        sheet = story.sheet()
        print(f"{sheet.path.name}: {moment}")
        code, out, err = cut(warehouse, sheet, moment, CUTS[how])
        assert (code, err) == (0, ""), (code, out, err)
        assert "the warehouse is away" in out and "trying again in 0.5 s" in out
        assert sheet.path.name in story.verify(sheet).loaded
        tally.add(f"connection {how}", story.tell(sheet), "retried by the loader")


def test_cut_in_the_commit(warehouse, story, tally):
    """Nobody tells the loader whether its commit arrived: it looks, and says what it found."""
    for turn in range(tries(40, 4)):
        how = list(CUTS.values())[turn % 2]
        answered, options = turn % 4 in (1, 2), ["--force"] * (turn % 8 in (2, 3, 4, 5))
        sheet = story.sheet()
        moment = Moment(**COMMIT, answered=answered)
        code, out, err = cut(warehouse, sheet, moment, how, *options)
        assert (code, err) == (0, ""), (code, out, err)
        assert "trying again" in out and (ENDED in out) == answered
        assert f"read {len(sheet.rows):,} = loaded" in out
        assert sheet.path.name in story.verify(sheet).loaded
        what = "arrived: found in raw._loads" if answered else "was lost: loaded again"
        tally.add("connection cut in the commit", story.tell(sheet), f"the commit {what}")


def test_cut_in_the_commit_of_a_failure(warehouse, tmp_path):
    """The rejects of a load that failed are told once, too."""
    sheet = Sheet.write(tmp_path / "transactions.csv", range(10))
    with sheet.path.open("a") as file:
        file.write("a line that does not fit\r\n")
    code, out, err = cut(warehouse, sheet, Moment(**COMMIT, answered=True), Link.reset)
    assert code == 2 and err.count("\n") == 1 and "trying again" in out
    assert warehouse.query("select status, load_id from raw._loads") == [("failed", 1)]
    assert warehouse.query("select load_id, line from raw._rejects") == [
        (1, "a line that does not fit")
    ]


def test_silence(silenced, tally):
    """A peer that is gone without a word is given up after a minute, by either side."""
    warehouse, loads = silenced
    for load in loads:
        out, err = load.process.communicate(timeout=300)
        assert (load.process.returncode, err) == (0, ""), (str(load.moment), out, err)
        assert "the warehouse is away" in out and "trying again in 0.5 s" in out
    warehouse.wait_until_alone(120)
    for load in loads:
        found = compare(warehouse, [load.sheet], load.database)
        assert found.loaded == {load.sheet.path.name}
        tally.add("connection silent (no packet passes)", found, "given up after a minute, retried")
