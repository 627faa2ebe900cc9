"""No row is lost when SIGKILL ends the loader, its Postgres backend or the server at any moment."""

import os
import signal
import time

import pytest
from proxy import Moment, Proxy
from workload import TransactionFile, compare

from harness import wait_until
from warehouse import LOCK, SESSIONS, tries

# Statements of a load before or after which a fault is injected.
STATEMENTS = (b'copy "raw"', b"create unique index", b"insert into raw._loads", b"COMMIT")


@pytest.fixture
def undisturbed(warehouse, workload):
    """Measure a load without faults: its seconds, bytes sent and bytes received."""
    with Proxy(warehouse.server.port) as proxy:
        start = time.monotonic()
        process = warehouse.load(workload.next_file().path, port=proxy.port)
        process.communicate(timeout=120)
        seconds = time.monotonic() - start
    assert process.returncode == 0
    warehouse.reset()
    return seconds, proxy.sent, proxy.received


def draw_moment(rng, undisturbed) -> float | Moment:
    """Draw seconds after the start of a load, or a point in its communication with the server.

    Half of the moments are such points, because times alone would rarely hit a short phase.
    """
    seconds, sent, received = undisturbed
    if rng.random() < 0.5:
        return rng.uniform(0, seconds)
    kind = rng.choice(["sent", "received", "statement", "statement"])
    if kind == "statement":
        text, answered = rng.choice(STATEMENTS), rng.random() < 0.5
        after = STATEMENTS[2] if text == b"COMMIT" else b""  # skips earlier commits
        return Moment(statement=text, answered=answered, after=after)
    return Moment(sent=rng.randrange(sent)) if kind == "sent" else Moment(
        received=rng.randrange(received)
    )  # fmt: skip


def load_with_fault(warehouse, file, moment, inject):
    """Run a load and call `inject(process)` at a moment; return exit code, stdout and stderr."""
    with Proxy(warehouse.server.port) as proxy:
        if isinstance(moment, Moment):
            proxy.arm(moment, lambda _: inject(process))
        process = warehouse.load(file.path, port=proxy.port)
        if not isinstance(moment, Moment):
            time.sleep(moment)
            inject(process)
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_killed_loader_loses_nothing(warehouse, workload, undisturbed, loader_results):
    for _ in range(tries(100, 7)):
        file, moment = workload.next_file(), draw_moment(workload.rng, undisturbed)
        print(f"{file.path.name}: {moment}")
        code, _, err = load_with_fault(warehouse, file, moment, lambda process: process.kill())
        assert code in (-signal.SIGKILL, 0) and err == ""
        loaded = file.path.name in workload.verify(file).loaded
        assert loaded or code != 0
        outcome = "committed before the kill" if loaded else "rolled back, next run loads the file"
        loader_results.add("loader killed (SIGKILL)", workload.load(file), outcome)


def kill_backend(warehouse):
    """Kill the loader's backend, so that the server ends all sessions; return if there was one."""
    pids = warehouse.query(SESSIONS)
    for (pid,) in pids:
        os.kill(pid, signal.SIGKILL)
    return bool(pids)


def kill_server(warehouse):
    """Kill the server and restart it a second later; return whether a loader was connected."""
    had_session = bool(warehouse.query(SESSIONS))
    warehouse.kill()
    time.sleep(1)
    warehouse.start()
    return had_session


@pytest.mark.parametrize(
    ("fault", "kill"),
    [
        ("Postgres backend of the load killed (SIGKILL)", kill_backend),
        ("whole Postgres server killed (SIGKILL)", kill_server),
    ],
    ids=["backend", "server"],
)
def test_a_load_survives_a_killed_server(
    warehouse, workload, undisturbed, loader_results, fault, kill
):
    for _ in range(tries(30, 4)):
        file, moment = workload.next_file(), draw_moment(workload.rng, undisturbed)
        print(f"{file.path.name}: {moment}")
        connected = []
        code, out, err = load_with_fault(
            warehouse, file, moment, lambda _, found=connected: found.append(kill(warehouse))
        )
        warehouse.server.wait()
        assert code == 0, (code, out, err)
        # libpq may print the server's reason if the connection ends while libpq sets it up.
        assert all(line.startswith("FATAL:  terminating") for line in err.splitlines()), err
        if isinstance(moment, Moment) and moment.statement and not moment.answered:
            assert connected == [True]
            assert "the warehouse is not available" in out and "trying again in 0.5 s" in out
        assert file.path.name in workload.verify(file).loaded
        outcome = "retried by the loader" if "trying again" in out else "load not affected"
        loader_results.add(fault, workload.load(file), outcome)


def test_a_loader_gives_up_on_a_server_that_stays_down(warehouse, workload, loader_results):
    """The loader retries with growing pauses, then ends with one line and exit code 3."""
    for _ in range(tries(5, 1)):
        file = workload.next_file()
        with Proxy(warehouse.server.port) as proxy:
            proxy.arm(Moment(statement=b"copy "), lambda _: warehouse.kill())
            process = warehouse.load(file.path, "--wait", 4, port=proxy.port)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 3
        assert err.count("\n") == 1 and "is not available" in err and "PGHOST" in err
        pauses = [line.split("; trying again in ")[1] for line in out.splitlines()]
        assert pauses == ["0.5 s", "1.0 s", "2.0 s", "0.5 s"]
        warehouse.start()
        assert file.path.name not in workload.verify(file).loaded
        outcome = "exit code 3 with a clear message, next run loads the file"
        loader_results.add("server down for longer than --wait", workload.load(file), outcome)


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "with rows"])
def test_eight_concurrent_loads_of_overlapping_files_lose_nothing(
    warehouse, workload, loader_results, fresh
):
    """Two or three of the eight loaders are killed while they run."""
    folder, rng = workload.folder, workload.rng
    for turn in range(tries(5, 1)):
        warehouse.reset()
        files = [
            TransactionFile.write(
                folder / f"transactions-{turn}-{n}.csv", range(n * 2_000, n * 2_000 + 8_000)
            )
            for n in range(9)
        ]
        if not fresh:
            assert warehouse.load(files[8].path).wait(60) == 0
        processes = [warehouse.load(file.path) for file in files[:8]]
        doomed = rng.sample(processes, rng.choice([2, 3]))
        for process in doomed:
            time.sleep(rng.uniform(0.1, 1))
            process.kill()
        ended = [(process.communicate(timeout=120), process.returncode) for process in processes]
        assert {code for _, code in ended} <= {0, -signal.SIGKILL}, ended
        warehouse.wait_until_alone()
        found = compare(warehouse, files)
        codes = [code for _, code in ended]
        completed = [file for file, code in zip(files[:8], codes, strict=True) if code == 0]
        assert {file.path.name for file in completed} <= found.loaded
        again = warehouse.load(*[file.path for file in files])
        out, err = again.communicate(timeout=120)
        assert (again.returncode, err) == (0, ""), (out, err)
        found = compare(warehouse, files)
        assert found.loaded == {file.path.name for file in files}
        fault = "8 concurrent loads of overlapping files, some killed"
        outcome = "loads run one after another, next run loads the files of the killed ones"
        loader_results.add(fault, found, outcome)


def test_a_loader_killed_while_it_waits_leaves_no_session(warehouse, workload):
    """The server notices the lost client although its session is still waiting for the lock."""
    with warehouse.session() as cursor:
        cursor.execute(f"select {LOCK}")
        process = warehouse.load(workload.next_file().path)
        line = process.stdout.readline()
        assert "waiting for another load" in line
        process.kill()
        process.communicate()
        wait_until(lambda: not warehouse.query(SESSIONS), 20)
