"""One server for all tests that hurt it, and the table of what came of that."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from scene import Warehouse
from story import Found, Story

from harness import COLUMNS, FULL, publish


class Tally:
    """Counts tries, rows lost and rows doubled, and what happened, for each kind of fault."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter] = {}
        self._outcomes: dict[str, Counter] = {}

    def add(self, fault: str, found: Found, outcome: str) -> None:
        """One try, and what the warehouse held in the end."""
        counts = self._counts.setdefault(fault, Counter())
        counts.update(tries=1, lost=found.lost, doubled=found.doubled)
        self._outcomes.setdefault(fault, Counter())[outcome] += 1
        assert not found.lost and not found.doubled, f"{fault}: {found}"

    def rows(self) -> list[list]:
        """The table; see COLUMNS."""
        return [
            [fault, counts["tries"], counts["lost"], counts["doubled"], self._told(fault)]
            for fault, counts in self._counts.items()
        ]

    def _told(self, fault: str) -> str:
        told = self._outcomes[fault].most_common()
        return told[0][0] if len(told) == 1 else "; ".join(f"{n} × {what}" for what, n in told)


TALLY = Tally()


@pytest.fixture(scope="session")
def tally() -> Tally:
    return TALLY


def pytest_terminal_summary(terminalreporter):
    if rows := TALLY.rows():
        terminalreporter.section("faults of loader and Postgres")
        for row in [COLUMNS, *rows]:
            terminalreporter.line(" | ".join(map(str, row)))


def pytest_sessionfinish(session):
    """Keep the figures, where somebody wants them and all that they stand for was tried."""
    if session.exitstatus == 0:
        publish("loader_faults", TALLY.rows())


@pytest.fixture
def home():
    """A folder whose content the server's account can get to."""
    folder = Path(tempfile.mkdtemp(prefix="elt-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_warehouse(tmp_path_factory):
    folder = Path(tempfile.mkdtemp(prefix="elt-faults-"))
    folder.chmod(0o755)
    warehouse = Warehouse(folder)
    warehouse.start()
    try:
        warehouse.initialise()
        yield warehouse
    finally:
        warehouse.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def warehouse(shared_warehouse):
    """A server that runs, with a warehouse in which nothing was ever loaded."""
    if shared_warehouse.process.poll() is not None:
        shared_warehouse.start()
    shared_warehouse.forget()
    return shared_warehouse


@pytest.fixture
def seed(request) -> int:
    """The same in each run; printed, as pytest shows it with a failure."""
    value = sum(map(ord, request.node.name))
    print(f"seed {value}, {'all tries' if FULL else 'a few tries'}")
    return value


@pytest.fixture
def story(warehouse, tmp_path, seed) -> Story:
    return Story(warehouse, tmp_path, random.Random(seed))  # noqa: S311 - repeatable
