"""A load fails if the disk is full during COPY, index build or commit; the next run succeeds."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from workload import Workload

from elt_stack.postgres import server_user
from warehouse import Warehouse, tries

MB = 1 << 20
SEGMENT = 16 * MB  # size of a file of the write-ahead log
# The free bytes in the current segment, and the number of prepared segments after it.
FREE_LOG = f"""
    select {SEGMENT} - (pg_current_wal_insert_lsn() - '0/0')::bigint % {SEGMENT}, (
        select count(*) from pg_ls_waldir() where name ~ '^[0-9A-F]{{24}}$'
        and name > pg_walfile_name(pg_current_wal_insert_lsn())
    )
"""


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of `size` bytes, owned by the server's account, for the block."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        reason = "only root can mount the small file system that this test fills"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    try:
        shutil.chown(folder, server_user())
        folder.chmod(0o700)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def run_failing_load(warehouse: Warehouse, file, *options: object) -> str:
    """Run a load that must end with exit code 3 and one error line; return the line."""
    process = warehouse.load(file.path, *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3 and err.count("\n") == 1, (out, err)
    return err


@pytest.fixture
def workload_on(tmp_path, seed):
    """Return a function that makes a workload for a warehouse."""
    return lambda warehouse: Workload(warehouse, tmp_path, random.Random(seed))  # noqa: S311


@pytest.fixture
def tablespace(warehouse, home):
    """Yield a small disk on which the loader's tables are created."""
    with small_disk(home / "disk", 64 * MB) as disk:
        warehouse.query(f"create tablespace small location '{disk}'")
        warehouse.query("grant create on tablespace small to loader")
        warehouse.query("alter role loader set default_tablespace = small")
        yield disk
        warehouse.query("alter role loader reset default_tablespace")
        warehouse.reset()
        warehouse.query("drop tablespace small")


@pytest.mark.parametrize("phase", ["COPY", "the index build"])
def test_a_load_fails_while_the_tables_disk_is_full(
    warehouse, tablespace, workload_on, loader_results, phase
):
    workload = workload_on(warehouse)
    workload.load(workload.next_file())
    table, index = warehouse.query(
        "select pg_table_size('raw.transactions'),"
        " pg_relation_size('raw.transactions__row_hash_key')"
    )[0]
    for _ in range(tries(5, 1)):
        size = table // 2 if phase == "COPY" else table + index // 2
        file = workload.next_file(fresh=True)
        resize(tablespace, shutil.disk_usage(tablespace).used + size)
        assert "disk is full: make room" in run_failing_load(warehouse, file)
        log_after_error = warehouse.log.read_text().rpartition("No space left on device")[2]
        statement = "copy" if phase == "COPY" else "create unique index"
        assert f"STATEMENT:  {statement}" in log_after_error
        assert not workload.verify(file).loaded
        resize(tablespace, 64 * MB)
        outcome = "exit code 3 with a clear message, next run loads the file"
        loader_results.add(f"disk full during {phase}", workload.load(file), outcome)


@pytest.fixture
def small_log(home):
    """Yield a server whose write-ahead log is on a small disk, and the disk."""
    warehouse = Warehouse(home)
    with small_disk(home / "disk", 112 * MB) as disk:
        wal = warehouse.server.data / "pg_wal"
        shutil.move(wal, disk / "wal")
        wal.symlink_to(disk / "wal")
        subprocess.run(["chown", "-R", server_user(), disk], check=True)
        warehouse.start()
        warehouse.initialise()
        # With larger buffers the server would write the log only during the commit.
        warehouse.query("alter system set wal_buffers = '64kB'")
        warehouse.stop()
        warehouse.start()
        yield warehouse, disk
        warehouse.stop()


def fill(warehouse: Warehouse, disk: Path, left: int) -> Path:
    """Fill the disk until the log has only `left` free bytes; return the file that fills it."""
    warehouse.query("checkpoint")
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
    with warehouse.session() as cursor:
        while True:
            cursor.execute(FREE_LOG)
            free, segments = cursor.fetchone()
            if not segments and free < left:
                return ballast
            size = min(1_000_000, max(free - left, 0) + 50_000) if not segments else 1_000_000
            cursor.execute("select pg_logical_emit_message(false, 'fill', repeat('x', %s))", [size])


# COPY into a table with rows writes the log immediately. COPY into a fresh table smaller than
# wal_skip_threshold writes it only in the commit, because wal_level is minimal.
@pytest.mark.parametrize(
    ("phase", "rows"),
    [pytest.param("COPY", 16_000, marks=pytest.mark.long), ("the commit", 8_000)],
)
def test_a_load_fails_while_the_logs_disk_is_full(
    small_log, workload_on, loader_results, phase, rows
):
    """The server stops and cannot start again before its disk has space."""
    warehouse, disk = small_log
    workload = workload_on(warehouse)
    for _ in range(tries(3, 1)):
        warehouse.reset()
        workload.loaded_files, workload.rows = [], rows
        if phase == "COPY":
            workload.load(workload.next_file(fresh=False))
        ballast = fill(warehouse, disk, 800_000)
        file = workload.next_file(fresh=False)
        err = run_failing_load(warehouse, file, "--wait", 5)
        assert "is not available" in err
        assert warehouse.process.wait(30) != 0
        statement = "copy" if phase == "COPY" else "COMMIT"
        log_after_panic = warehouse.log.read_text().rpartition("PANIC:  could not write")[2]
        assert "No space left on device" in log_after_panic
        assert f"STATEMENT:  {statement}" in log_after_panic
        ballast.unlink()
        warehouse.start()
        assert file.path.name not in workload.verify(file).loaded
        outcome = "server stops, exit code 3; recovers with free space, next run loads the file"
        fault = f"disk of the write-ahead log full during {phase}"
        loader_results.add(fault, workload.load(file), outcome)
