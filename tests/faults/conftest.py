"""One Postgres server for the fault tests of the loader, and the table of their results."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from workload import Comparison, Workload

from harness import COLUMNS, FULL, publish
from support import temporary_folder
from warehouse import Warehouse


class LoaderResults:
    """Tries, lost rows, duplicated rows and outcomes, by kind of fault."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter] = {}
        self._outcomes: dict[str, Counter] = {}

    def add(self, fault: str, found: Comparison, outcome: str) -> None:
        """Add one try. Fail if its warehouse has lost or duplicated a row."""
        counts = self._counts.setdefault(fault, Counter())
        counts.update(tries=1, lost=found.lost, duplicated=found.duplicated)
        self._outcomes.setdefault(fault, Counter())[outcome] += 1
        assert not found.lost and not found.duplicated, f"{fault}: {found}"

    def rows(self) -> list[list]:
        """Return the rows of the table; COLUMNS are its columns."""
        return [
            [fault, counts["tries"], counts["lost"], counts["duplicated"], self._outcome(fault)]
            for fault, counts in self._counts.items()
        ]

    def _outcome(self, fault: str) -> str:
        counts = self._outcomes[fault].most_common()
        if len(counts) == 1:
            return counts[0][0]
        return "; ".join(f"{count} × {outcome}" for outcome, count in counts)


RESULTS = LoaderResults()


@pytest.fixture(scope="session")
def loader_results() -> LoaderResults:
    return RESULTS


def pytest_terminal_summary(terminalreporter):
    if rows := RESULTS.rows():
        terminalreporter.section("faults of loader and Postgres")
        for row in [COLUMNS, *rows]:
            terminalreporter.line(" | ".join(map(str, row)))


def pytest_sessionfinish(session):
    """Publish the results, unless a test failed."""
    if session.exitstatus == 0:
        publish("loader_faults", RESULTS.rows())


@pytest.fixture
def home():
    """Yield a folder that the server's account can enter."""
    with temporary_folder("elt-faults-") as folder:
        yield folder


@pytest.fixture(scope="session")
def shared_warehouse():
    """Yield the server that most tests share."""
    with temporary_folder("elt-faults-") as folder:
        warehouse = Warehouse(folder)
        warehouse.start()
        try:
            warehouse.initialise()
            yield warehouse
        finally:
            warehouse.stop()


@pytest.fixture
def warehouse(shared_warehouse):
    """Return a running server with an empty warehouse."""
    if shared_warehouse.process.poll() is not None:
        shared_warehouse.start()
    shared_warehouse.reset()
    return shared_warehouse


@pytest.fixture
def seed(request) -> int:
    """Print and return a seed. It comes from the test's name, so every run repeats it."""
    value = sum(map(ord, request.node.name))
    print(f"seed {value}, {'all tries' if FULL else 'a few tries'}")
    return value


@pytest.fixture
def workload(warehouse, tmp_path, seed) -> Workload:
    return Workload(warehouse, tmp_path, random.Random(seed))  # noqa: S311 - repeatable
