"""Setting the clock back by a day between two loads loses and duplicates no row."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from workload import TransactionFile, compare

from harness import DBT
from support import PROJECT
from warehouse import Warehouse


@pytest.fixture
def clock(home):
    """Return a file that sets the fake time, and the environment that makes processes use it."""
    # The variant for programs with threads. The other one crashed a loader (signal 11).
    libraries = sorted(Path("/usr/lib").rglob("libfaketimeMT.so.1"))
    if not libraries:
        reason = "libfaketime is not installed, so the clock cannot be set back"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    file = home / "clock"
    file.write_text("+0")
    return file, {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",  # running processes notice a change immediately
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a real clock change does not affect it either
    }


@pytest.fixture
def warehouse(home, clock):
    """Yield a separate server that uses the fake clock."""
    server = Warehouse(home)
    server.start(**clock[1])
    try:
        server.initialise()
        yield server
    finally:
        server.stop()


def dbt_run(warehouse: Warehouse, folder: Path) -> None:
    done = subprocess.run(
        [DBT, "run"], cwd=PROJECT / "dbt", text=True, timeout=300,
        env=warehouse.environment(
            "transformer", DBT_TARGET_PATH=str(folder / "target"), DBT_LOG_PATH=str(folder / "logs")
        ),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_a_clock_set_back_changes_no_row(warehouse, clock, tmp_path, loader_results):
    files: list[TransactionFile] = []

    def load(begin: int) -> None:
        path = tmp_path / f"transactions-{begin}.csv"
        file = TransactionFile.write(path, range(begin, begin + 3_000))
        files.append(file)
        for _ in range(3):
            process = warehouse.load(file.path, **clock[1])
            errors = process.communicate(timeout=120)[1]
            # libfaketime sometimes crashes a process with threads. Such a load leaves nothing.
            if process.returncode != -signal.SIGSEGV:
                break
        assert errors == "" and process.returncode == 0

    def transform() -> None:
        dbt_run(warehouse, tmp_path)
        differing = warehouse.query(
            "select _row_hash, _load_id, _source_line from raw.transactions"
            " except select transaction_id, _load_id, _source_line from staging.transactions"
        )
        counts = "select (select count(*) from raw.transactions), count(*) from {}"
        raw, staged = warehouse.query(counts.format("staging.transactions"))[0]
        counted = "select sum(transaction_count)::bigint from marts.daily_account_flows"
        assert not differing and raw == staged == warehouse.query(counted)[0][0]

    load(0)
    transform()
    before = warehouse.server.now()
    clock[0].write_text("-1d")
    assert (before - warehouse.server.now()).total_seconds() > 80_000
    load(1_500)  # overlaps with the rows of the first load
    load(10_000)
    transform()
    load(12_000)
    transform()
    found = compare(warehouse, files)
    assert found.loaded == {file.path.name for file in files}
    # The times in the load log follow the clock. The load ids keep the true order.
    times = [
        row[0] for row in warehouse.query("select started_at from raw._loads order by load_id")
    ]
    assert times[0] > times[1] and times[1:] == sorted(times[1:])
    outcome = "load ids still ascend, and dbt orders loads by them"
    loader_results.add("clock set back by a day", found, outcome)
