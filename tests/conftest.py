"""Shared fixtures: one real stack with its own folder, ports and secrets, and a browser."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from harness import SEED, DagResults, ExpectedRows
from lineage import Receiver, receive
from support import (
    SAMPLE,
    Stack,
    Truth,
    amount,
    listen,
    stack_environment,
    temporary_folder,
)  # fmt: skip

NO_BROWSER = "no Chromium or Chrome on this machine: install one, or set CHROMIUM to its program"
# Turn off the browser's own requests: test_browser.py checks that pages contact no foreign host.
QUIET_OPTIONS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def pytest_addoption(parser):
    parser.addoption("--pictures", type=Path, help="folder for the screenshots")


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    return found or (str(mac) if mac.exists() else None)


@pytest.fixture(scope="session")
def launch():
    """Yield a function that starts a headless browser with additional options.

    Without a browser on this machine, tests fail in CI and are skipped elsewhere.
    """
    program = find_browser()
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_BROWSER)
    # Chromium refuses to run its sandbox as root. The tests open only pages of the stack.
    quiet = [*QUIET_OPTIONS, *["--no-sandbox"] * (os.geteuid() == 0)]
    with sync_playwright() as playwright, contextlib.ExitStack() as running:

        def launch(*options):
            browser = playwright.chromium.launch(executable_path=program, args=[*quiet, *options])
            running.callback(browser.close)
            return browser

        yield launch


@pytest.fixture(scope="session")
def browser(launch):
    """Return a headless browser."""
    return launch()


@pytest.fixture(scope="session")
def pictures(request, tmp_path_factory):
    """Return the folder for the screenshots."""
    folder = request.config.getoption("pictures") or tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    if any(NO_BROWSER in str(report.longrepr) for report in skipped):
        terminalreporter.section("THE TESTS IN A BROWSER WERE SKIPPED", red=True, bold=True)
        terminalreporter.line(NO_BROWSER)


@pytest.fixture(scope="session")
def truth() -> Truth:
    def day(text):
        return datetime.strptime(text, "%b %d, %y")

    with SAMPLE.open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    distinct = set(rows)
    sums = defaultdict(lambda: (Decimal(0), Decimal(0)))
    for row in distinct:
        account = row[0].rstrip("'")
        withdrawn, deposited = sums[account]
        sums[account] = withdrawn + amount(row[5]), deposited + amount(row[6])
    backdated = sum(day(row[4]) < day(row[1]) for row in distinct)
    return Truth(len(rows), distinct, backdated, dict(sums))


@pytest.fixture(scope="session")
def stack():
    """Yield a stack without Docker that is not started; remove it after the last test."""
    with temporary_folder("elt-stack-") as folder:
        (folder / "data").mkdir()
        for file in (SAMPLE, SAMPLE.with_suffix(".truth.json")):
            shutil.copy(file, folder / "data")
        alerts: list[str] = []
        metrics: list[str] = []
        listeners = [listen(alerts), listen(metrics)]
        environment = stack_environment(folder) | {
            "ALERT_URL": f"json://127.0.0.1:{listeners[0].server_port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{listeners[1].server_port}",
            "AIRFLOW_METRICS_PASSWORD": secrets.token_urlsafe(16),
        }
        isolated = Stack(folder, environment, alerts, metrics)
        try:
            yield isolated
        finally:
            isolated.make("demo-reset", "FORCE=1")
            for listener in listeners:
                listener.shutdown()


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Yield a receiver of lineage."""
    with receive() as running:
        yield running


@pytest.fixture(scope="session")
def rng() -> random.Random:
    """Return the random generator from which the fault tests draw their moments."""
    print(f"seed {SEED}")
    return random.Random(SEED)  # noqa: S311 - repeatable


@pytest.fixture(scope="session")
def expected(stack) -> ExpectedRows:
    """Return the rows that the stack already holds; start the stack if it does not run."""
    up = stack.make("demo-up", timeout=900)
    assert up.returncode == 0, up.stdout
    return ExpectedRows.of(stack)


@pytest.fixture(scope="session")
def dag_results() -> Iterator[DagResults]:
    """Yield the table of DAG faults and write it after the last test."""
    results = DagResults()
    yield results
    results.write()
