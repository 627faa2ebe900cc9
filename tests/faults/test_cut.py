"""No row is lost when a connection breaks (RST, FIN, silence), even during the commit."""

from contextlib import ExitStack
from dataclasses import dataclass
from subprocess import Popen

import pytest
from proxy import Link, Moment, Proxy
from workload import TransactionFile, compare

from support import temporary_folder
from warehouse import Warehouse, tries

BREAKS = {"reset (RST)": Link.reset, "closed (FIN)": Link.finish}
# The commit of the load itself; the loader commits other transactions before.
COMMIT = {"statement": b"COMMIT", "after": b"insert into raw._loads"}
ENDED = "the load was committed before the connection was lost"


@dataclass
class Silenced:
    """A load whose connection goes silent, in a separate database."""

    moment: Moment
    database: str
    file: TransactionFile
    process: Popen


@pytest.fixture(scope="module", autouse=True)
def silenced(request, tmp_path_factory):
    """Yield a server and loads whose connections go silent, for the last test of this module.

    A load notices the silence after a minute. The loads start before the first test, so that the
    other tests run during this minute.
    """
    last_test = test_a_silent_connection_times_out_after_a_minute.__name__
    if last_test not in {item.name for item in request.session.items}:
        yield None
        return
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
        home = stack.enter_context(temporary_folder("elt-faults-"))
        warehouse = Warehouse(home)
        stack.callback(warehouse.stop)
        warehouse.start()
        warehouse.initialise()
        loads = []
        for number, moment in enumerate(moments[: tries(6, 2)]):
            database = f"silenced_{number}"
            warehouse.query(f"create database {database} template warehouse", "postgres")
            warehouse.query(f"grant connect, temporary on database {database} to loader")
            file = TransactionFile.write(folder / f"transactions-{number}.csv", range(12_000))
            proxy = stack.enter_context(Proxy(warehouse.server.port))
            proxy.arm(moment, Link.silence)
            process = warehouse.load(file.path, port=proxy.port, PGDATABASE=database)
            loads.append(Silenced(moment, database, file, process))
        yield warehouse, loads
        for load in loads:
            load.process.kill()
            load.process.communicate()


def load_with_break(warehouse, file, moment, break_link, *options):
    """Run a load, break its connection at a moment, and return exit code, stdout and stderr."""
    with Proxy(warehouse.server.port) as proxy:
        proxy.arm(moment, break_link)
        process = warehouse.load(file.path, *options, port=proxy.port)
        out, err = process.communicate(timeout=120)
        assert proxy.injected.is_set()
    return process.returncode, out, err


@pytest.mark.parametrize("how", BREAKS)
def test_a_load_whose_connection_breaks_is_retried(warehouse, workload, loader_results, how):
    with Proxy(warehouse.server.port) as proxy:
        assert warehouse.load(workload.next_file().path, port=proxy.port).wait(120) == 0
    warehouse.reset()
    for _ in range(tries(30, 4)):
        up = workload.rng.random() < 0.5
        # Sent bytes are mostly rows. Received bytes are mostly answers outside the COPY.
        at = workload.rng.randrange(proxy.sent // 2 if up else proxy.received * 2 // 3)
        moment = Moment(sent=at) if up else Moment(received=at)
        file = workload.next_file()
        print(f"{file.path.name}: {moment}")
        code, out, err = load_with_break(warehouse, file, moment, BREAKS[how])
        assert (code, err) == (0, ""), (code, out, err)
        assert "the warehouse is not available" in out and "trying again in 0.5 s" in out
        assert file.path.name in workload.verify(file).loaded
        loader_results.add(f"connection {how}", workload.load(file), "retried by the loader")


def test_a_connection_lost_during_commit_is_resolved_by_the_load_log(
    warehouse, workload, loader_results
):
    """The loader cannot know whether the server has committed, so it checks raw._loads."""
    for turn in range(tries(40, 4)):
        break_link = list(BREAKS.values())[turn % 2]
        answered, options = turn % 4 in (1, 2), ["--force"] * (turn % 8 in (2, 3, 4, 5))
        file = workload.next_file()
        moment = Moment(**COMMIT, answered=answered)
        code, out, err = load_with_break(warehouse, file, moment, break_link, *options)
        assert (code, err) == (0, ""), (code, out, err)
        assert "trying again" in out and (ENDED in out) == answered
        assert f"read {len(file.rows):,} = loaded" in out
        assert file.path.name in workload.verify(file).loaded
        outcome = "found in raw._loads" if answered else "not committed, loaded again"
        loader_results.add("connection lost during commit", workload.load(file), outcome)


def test_a_failed_load_is_stored_once_although_its_commit_loses_the_connection(warehouse, tmp_path):
    """The retry must not store the rejects of a failed load twice."""
    file = TransactionFile.write(tmp_path / "transactions.csv", range(10))
    with file.path.open("a") as output:
        output.write("a line that does not fit\r\n")
    code, out, err = load_with_break(warehouse, file, Moment(**COMMIT, answered=True), Link.reset)
    assert code == 2 and err.count("\n") == 1 and "trying again" in out
    assert warehouse.query("select status, load_id from raw._loads") == [("failed", 1)]
    assert warehouse.query("select load_id, line from raw._rejects") == [
        (1, "a line that does not fit")
    ]


@pytest.mark.long
def test_a_silent_connection_times_out_after_a_minute(silenced, loader_results):
    """Loader and server each give up when the other side has disappeared without a FIN."""
    warehouse, loads = silenced
    for load in loads:
        out, err = load.process.communicate(timeout=300)
        assert (load.process.returncode, err) == (0, ""), (str(load.moment), out, err)
        assert "the warehouse is not available" in out and "trying again in 0.5 s" in out
    warehouse.wait_until_alone(120)
    for load in loads:
        found = compare(warehouse, [load.file], load.database)
        assert found.loaded == {load.file.path.name}
        fault = "connection silent (all packets dropped)"
        loader_results.add(fault, found, "timed out after a minute, then retried")
