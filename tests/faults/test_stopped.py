"""Ctrl-C and SIGTERM end a load promptly at any moment and leave nothing behind."""

import random
import signal
import socket
import threading
import time

import pytest
from proxy import Link, Moment, Proxy

from elt_stack.ports import free_port
from harness import wait_until
from warehouse import LOCK, SESSIONS, tries

SIGNALS = {signal.SIGINT: (130, "interrupted: "), signal.SIGTERM: (143, "terminated: ")}
STOPPED = "stopped, next run loads the file"
PHASES = {
    "COPY": Moment(statement=b'copy "raw"'),
    "the index build": Moment(statement=b"create unique index"),
    "commit": Moment(statement=b"COMMIT", after=b"insert into raw._loads"),
}


@pytest.fixture(params=list(SIGNALS)[tries(0, 1) :], ids=lambda signum: signum.name)
def signum(request) -> signal.Signals:
    """Return each signal in turn in a full run, else only SIGTERM."""
    return request.param


def stop(process, signum):
    """Send a signal; the loader must end soon, with one line and the conventional exit code."""
    process.send_signal(signum)
    out, err = process.communicate(timeout=8)  # `docker stop` sends SIGKILL after 10 s
    code, begin = SIGNALS[signum]
    assert process.returncode == code, (out, err)
    assert err.startswith(begin) and err.count("\n") == 1


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_stops_a_load_in_any_phase(warehouse, workload, loader_results, signum, phase):
    file, held = workload.next_file(), threading.Event()

    def hold(link: Link) -> None:
        held.set()
        link.hold()

    with Proxy(warehouse.server.port) as proxy:
        proxy.arm(PHASES[phase], hold)
        process = warehouse.load(file.path, port=proxy.port)
        assert held.wait(60)
        stop(process, signum)
    assert not workload.verify(file).loaded
    loader_results.add("Ctrl-C or SIGTERM", workload.load(file), STOPPED)


def test_a_signal_stops_a_load_that_waits_for_another(warehouse, workload, loader_results, signum):
    """The load's session on the server ends too, although another session still holds the lock."""
    file = workload.next_file()
    with warehouse.session() as cursor:
        cursor.execute(f"select {LOCK}")
        process = warehouse.load(file.path)
        assert "waiting for another load" in process.stdout.readline()
        stop(process, signum)
        wait_until(lambda: not warehouse.query(SESSIONS), 20)
    loader_results.add("Ctrl-C or SIGTERM", workload.load(file), STOPPED)


def test_a_signal_stops_a_load_that_waits_for_the_server(warehouse, workload, signum):
    process = warehouse.load(workload.next_file().path, port=free_port())
    assert "trying again in 0.5 s" in process.stdout.readline()
    stop(process, signum)


def test_a_signal_stops_a_load_whose_server_does_not_answer(warehouse, workload, signum):
    """The server accepts the connection and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = warehouse.load(workload.next_file().path, port=silent.getsockname()[1])
        silent.accept()
        stop(process, signum)


def test_a_signal_stops_a_load_at_random_moments(warehouse, workload, loader_results, seed):
    rng = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(tries(30, 3)):
        file = workload.next_file()
        process = warehouse.load(file.path)
        time.sleep(rng.uniform(0, 1.2))
        signum = rng.choice(list(SIGNALS))
        process.send_signal(signum)
        _, err = process.communicate(timeout=30)
        code, begin = SIGNALS[signum]
        if process.returncode == code:
            assert err.startswith(begin) and err.count("\n") == 1
        else:  # the load had ended, or Python was still starting and had no signal handler yet
            assert process.returncode in (0, -signum), err
        loaded = file.path.name in workload.verify(file).loaded
        outcome = "committed before the signal" if loaded else STOPPED
        loader_results.add("Ctrl-C or SIGTERM", workload.load(file), outcome)
