"""Ctrl-C and SIGTERM end a load at once, whatever it is doing, and leave nothing behind."""

import random
import signal
import socket
import threading
import time

import pytest
from proxy import Link, Moment, Proxy
from scene import SESSIONS, tries

from support import free_port

SIGNALS = {signal.SIGINT: (130, "interrupted: "), signal.SIGTERM: (143, "terminated: ")}
LOCK = "pg_advisory_lock(hashtextextended('raw.transactions', 0))"
PHASES = {
    "COPY": Moment(statement=b'copy "raw"'),
    "index building": Moment(statement=b"create unique index"),
    "commit": Moment(statement=b"COMMIT", after=b"insert into raw._loads"),
}


@pytest.fixture(params=list(SIGNALS)[tries(0, 1) :], ids=lambda number: number.name)
def number(request) -> signal.Signals:
    """Both signals in a full run, SIGTERM else."""
    return request.param


def stop(process, number):
    """Send the signal; it ends soon, with one line and the exit code of shells."""
    process.send_signal(number)
    out, err = process.communicate(timeout=8)  # Docker kills after 10
    code, begin = SIGNALS[number]
    assert process.returncode == code, (out, err)
    assert err.startswith(begin) and err.count("\n") == 1


@pytest.mark.parametrize("phase", PHASES)
def test_in_the_middle_of(warehouse, story, tally, number, phase):
    sheet, held = story.sheet(), threading.Event()

    def hold(link: Link) -> None:
        held.set()
        link.hold()

    with Proxy(warehouse.server.port) as proxy:
        proxy.arm(PHASES[phase], hold)
        process = warehouse.load(sheet.path, port=proxy.port)
        assert held.wait(60)
        stop(process, number)
    assert not story.verify(sheet).loaded
    tally.add("Ctrl-C or SIGTERM", story.tell(sheet), "stopped; loaded by the next run")


def test_while_it_waits_for_another_load(warehouse, story, tally, number):
    """Its session is gone soon, too, though the lock that its statement waits for is still held."""
    sheet = story.sheet()
    with warehouse.session() as cursor:
        cursor.execute(f"select {LOCK}")
        process = warehouse.load(sheet.path)
        assert "waiting for another load" in process.stdout.readline()
        stop(process, number)
        deadline = time.monotonic() + 20
        while warehouse.query(SESSIONS):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    tally.add("Ctrl-C or SIGTERM", story.tell(sheet), "stopped; loaded by the next run")


def test_while_it_waits_for_the_server(warehouse, story, number):
    process = warehouse.load(story.sheet().path, port=free_port())
    assert "trying again in 0.5 s" in process.stdout.readline()
    stop(process, number)


def test_while_nobody_answers(warehouse, story, number):
    """It connects, and the other side says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = warehouse.load(story.sheet().path, port=silent.getsockname()[1])
        silent.accept()
        stop(process, number)


def test_at_random_moments(warehouse, story, tally, seed):
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(tries(30, 3)):
        sheet = story.sheet()
        process = warehouse.load(sheet.path)
        time.sleep(chance.uniform(0, 1.2))
        number = chance.choice(list(SIGNALS))
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        code, begin = SIGNALS[number]
        if process.returncode == code:
            assert err.startswith(begin) and err.count("\n") == 1
        else:  # it had ended; or Python had just begun, where a signal ends it as any process
            assert process.returncode in (0, -number), err
        there = sheet.path.name in story.verify(sheet).loaded
        outcome = "committed before" if there else "stopped; loaded by the next run"
        tally.add("Ctrl-C or SIGTERM", story.tell(sheet), outcome)
