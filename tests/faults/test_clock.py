"""The clock is set back by a day between two loads: nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from scene import Warehouse
from story import Sheet, compare

from support import PROJECT

DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"


@pytest.fixture
def clock(home):
    """What makes a process believe in another time, and the file that says which."""
    libraries = sorted(Path("/usr/lib").rglob("libfaketime.so.1"))
    if not libraries:
        why = "there is no libfaketime: the clock cannot be set back"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    file = home / "clock"
    file.write_text("+0")
    return file, {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",  # a change counts at once, in processes that run
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as the kernel's: it never goes back
    }


@pytest.fixture
def warehouse(home, clock):
    """A server of its own that lives by that clock."""
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


def test_a_day_back(warehouse, clock, tmp_path, tally):
    sheets: list[Sheet] = []

    def load(begin: int) -> None:
        sheet = Sheet.write(tmp_path / f"transactions-{begin}.csv", range(begin, begin + 3_000))
        sheets.append(sheet)
        process = warehouse.load(sheet.path, **clock[1])
        assert process.communicate(timeout=120)[1] == "" and process.returncode == 0

    def transform() -> None:
        dbt_run(warehouse, tmp_path)
        differing = warehouse.query(
            "select _row_hash, _load_id, _loaded_at from raw.transactions"
            " except select transaction_id, _load_id, _loaded_at from staging.transactions"
        )
        counts = "select (select count(*) from raw.transactions), count(*) from {}"
        raw, staged = warehouse.query(counts.format("staging.transactions"))[0]
        counted = "select sum(transaction_count)::bigint from marts.daily_account_flows"
        assert not differing and raw == staged == warehouse.query(counted)[0][0]

    load(0)
    transform()
    then = warehouse.server.now()
    clock[0].write_text("-1d")
    assert (then - warehouse.server.now()).total_seconds() > 80_000
    load(1_500)  # overlaps
    load(10_000)
    transform()
    load(12_000)
    transform()
    found = compare(warehouse, sheets)
    assert found.loaded == {sheet.path.name for sheet in sheets}
    # What the loads say of time is what the clock said; their order is that of the ids.
    times = [
        row[0] for row in warehouse.query("select started_at from raw._loads order by load_id")
    ]
    assert times[0] > times[1] and times[1:] == sorted(times[1:])
    tally.add("clock set back by a day", found, "load ids ascend, and dbt goes by them")
