"""Killed with -9, at any moment: the loader, its Postgres backend, the whole server."""

import os
import signal
import time

import pytest
from proxy import Moment, Proxy
from scene import SESSIONS, tries
from story import Sheet, compare

# Of a kill's moments half are points in time, from the loader's first breath to its last; the
# others are points in the talk of loader and server, so that the short phases are met, too.
STATEMENTS = (b'copy "raw"', b"create unique index", b"insert into raw._loads", b"COMMIT")


@pytest.fixture
def usual(warehouse, story):
    """What a load takes when nothing happens to it: seconds, bytes sent, bytes received."""
    with Proxy(warehouse.server.port) as proxy:
        began = time.monotonic()
        process = warehouse.load(story.sheet().path, port=proxy.port)
        process.communicate(timeout=120)
        took = time.monotonic() - began
    assert process.returncode == 0
    warehouse.forget()
    return took, proxy.sent, proxy.received


def draw(chance, usual) -> float | Moment:
    """A moment of a load: seconds after its start, or a point in its talk with the server."""
    seconds, sent, received = usual
    if chance.random() < 0.5:
        return chance.uniform(0, seconds)
    kind = chance.choice(["sent", "received", "statement", "statement"])
    if kind == "statement":
        text, answered = chance.choice(STATEMENTS), chance.random() < 0.5
        after = STATEMENTS[2] if text == b"COMMIT" else b""  # the load's, no earlier one
        return Moment(statement=text, answered=answered, after=after)
    return Moment(sent=chance.randrange(sent)) if kind == "sent" else Moment(
        received=chance.randrange(received)
    )  # fmt: skip


def load_and_strike(warehouse, sheet, moment, strike):
    """A load to which `strike(process)` happens; returns its exit code, stdout and stderr."""
    with Proxy(warehouse.server.port) as proxy:
        if isinstance(moment, Moment):
            proxy.arm(moment, lambda _: strike(process))
        process = warehouse.load(sheet.path, port=proxy.port)
        if not isinstance(moment, Moment):
            time.sleep(moment)
            strike(process)
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_the_loader_is_killed(warehouse, story, usual, tally):
    for _ in range(tries(100, 7)):
        sheet, moment = story.sheet(), draw(story.chance, usual)
        print(f"{sheet.path.name}: {moment}")
        code, _, err = load_and_strike(warehouse, sheet, moment, lambda process: process.kill())
        assert code in (-signal.SIGKILL, 0) and err == ""
        there = sheet.path.name in story.verify(sheet).loaded
        assert there or code != 0
        outcome = "committed before it died" if there else "rolled back, loaded by the next run"
        tally.add("loader killed (-9)", story.tell(sheet), outcome)


def hurt_backend(warehouse):
    """Kill the loader's backend: the server restarts all sessions. True if there was one."""
    pids = warehouse.query(SESSIONS)
    for (pid,) in pids:
        os.kill(pid, signal.SIGKILL)
    return bool(pids)


def hurt_server(warehouse):
    """Kill the whole server, and start it again a second later."""
    had_session = bool(warehouse.query(SESSIONS))
    warehouse.kill()
    time.sleep(1)
    warehouse.start()
    return had_session


@pytest.mark.parametrize(
    ("fault", "hurt"),
    [
        ("Postgres backend of the load killed (-9)", hurt_backend),
        ("whole Postgres server killed (-9)", hurt_server),
    ],
    ids=["backend", "server"],
)
def test_the_server_is_killed(warehouse, story, usual, tally, fault, hurt):
    for _ in range(tries(30, 4)):
        sheet, moment = story.sheet(), draw(story.chance, usual)
        print(f"{sheet.path.name}: {moment}")
        connected = []
        code, out, err = load_and_strike(
            warehouse, sheet, moment, lambda _, hit=connected: hit.append(hurt(warehouse))
        )
        warehouse.server.wait()
        assert code == 0, (code, out, err)
        # While a connection is being set up libpq itself may print why it ended.
        assert all(line.startswith("FATAL:  terminating") for line in err.splitlines()), err
        if isinstance(moment, Moment) and moment.statement and not moment.answered:
            assert connected == [True]
            assert "the warehouse is away" in out and "trying again in 0.5 s" in out
        assert sheet.path.name in story.verify(sheet).loaded
        retried = "retried by the loader" if "trying again" in out else "the load was not affected"
        tally.add(fault, story.tell(sheet), retried)


def test_a_server_that_stays_away(warehouse, story, tally):
    """It is waited for with backoff, which the log says; then one line and exit code 3."""
    for _ in range(tries(5, 1)):
        sheet = story.sheet()
        with Proxy(warehouse.server.port) as proxy:
            proxy.arm(Moment(statement=b"copy "), lambda _: warehouse.kill())
            process = warehouse.load(sheet.path, "--wait", 4, port=proxy.port)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 3
        assert err.count("\n") == 1 and "is away" in err and "PGHOST" in err
        waited = [line.split("; trying again in ")[1] for line in out.splitlines()]
        assert waited == ["0.5 s", "1.0 s", "2.0 s", "0.5 s"]
        warehouse.start()
        assert sheet.path.name not in story.verify(sheet).loaded
        tally.add("server killed and away for longer than --wait", story.tell(sheet),
                  "exit code 3 and one line; loaded by the next run")  # fmt: skip


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "with rows"])
def test_eight_loaders_of_overlapping_files(warehouse, story, tally, fresh):
    """All at once, and two or three of them are killed in the middle."""
    folder, chance = story.folder, story.chance
    for turn in range(tries(5, 1)):
        warehouse.forget()
        sheets = [
            Sheet.write(
                folder / f"transactions-{turn}-{n}.csv", range(n * 2_000, n * 2_000 + 8_000)
            )
            for n in range(9)
        ]
        if not fresh:
            assert warehouse.load(sheets[8].path).wait(60) == 0
        processes = [warehouse.load(sheet.path) for sheet in sheets[:8]]
        doomed = chance.sample(processes, chance.choice([2, 3]))
        for process in doomed:
            time.sleep(chance.uniform(0.1, 1))
            process.kill()
        ended = [(process.communicate(timeout=120), process.returncode) for process in processes]
        assert {code for _, code in ended} <= {0, -signal.SIGKILL}, ended
        warehouse.wait_until_alone()
        found = compare(warehouse, sheets)
        assert {s.path.name for s, end in zip(sheets, ended, strict=False) if end[1] == 0} <= (
            found.loaded
        )
        again = warehouse.load(*[sheet.path for sheet in sheets])
        out, err = again.communicate(timeout=120)
        assert (again.returncode, err) == (0, ""), (out, err)
        found = compare(warehouse, sheets)
        assert found.loaded == {sheet.path.name for sheet in sheets}
        tally.add("8 loaders of overlapping files at once, some killed", found,
                  "they take turns; the next run loads what the killed ones did not")  # fmt: skip


def test_a_loader_killed_while_it_waits_leaves_no_session(warehouse, story):
    """The server sees that it is gone, though its statement still waits for the lock."""
    with warehouse.session() as cursor:
        cursor.execute("select pg_advisory_lock(hashtextextended('raw.transactions', 0))")
        process = warehouse.load(story.sheet().path)
        line = process.stdout.readline()
        assert "waiting for another load" in line
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 20
        while warehouse.query(SESSIONS):
            assert time.monotonic() < deadline
            time.sleep(0.1)
