"""One real stack for all tests that need one: its own folder, ports and secrets."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from support import SAMPLE, Stack, Truth, listen, stack_environment


@pytest.fixture(scope="session")
def truth() -> Truth:
    def day(text):
        return datetime.strptime(text, "%b %d, %y")

    def amount(text):
        return Decimal(text.replace(",", "").strip() or 0)

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
    folder = Path(tempfile.mkdtemp(prefix="elt-stack-"))
    folder.chmod(0o755)  # Postgres, which runs as nobody when we are root, must get to its data
    (folder / "data").mkdir()
    for file in (SAMPLE, SAMPLE.with_suffix(".truth.json")):
        shutil.copy(file, folder / "data")
    alerts: list[str] = []
    listener = listen(alerts)
    environment = stack_environment(folder) | {
        "ALERT_URL": f"json://127.0.0.1:{listener.server_port}"
    }
    running = Stack(folder, environment, alerts)
    try:
        yield running
    finally:
        running.make("demo-reset")
        listener.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
