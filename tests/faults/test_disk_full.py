"""The server's disk fills up: while rows come, while an index is made, and in the commit."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import Warehouse, tries
from story import Story

from elt_stack.postgres import server_user

MB = 1 << 20
SEGMENT = 16 * MB  # of the write-ahead log
# How much of this segment is left, and how many there are after it.
LEFT = f"""
    select {SEGMENT} - (pg_current_wal_insert_lsn() - '0/0')::bigint % {SEGMENT}, (
        select count(*) from pg_ls_waldir() where name ~ '^[0-9A-F]{{24}}$'
        and name > pg_walfile_name(pg_current_wal_insert_lsn())
    )
"""


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes, which belongs to the server's account."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        why = "to mount a small file system takes root: the disk cannot be filled"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    try:
        shutil.chown(folder, server_user())
        folder.chmod(0o700)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def load_in_vain(warehouse: Warehouse, sheet, *options: object) -> str:
    """A load that ends with exit code 3 and one line, which is returned."""
    process = warehouse.load(sheet.path, *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3 and err.count("\n") == 1, (out, err)
    return err


@pytest.fixture
def story_on(tmp_path, seed):
    """A story in a warehouse, each time."""
    return lambda warehouse: Story(warehouse, tmp_path, random.Random(seed))  # noqa: S311


@pytest.fixture
def tablespace(warehouse, home):
    """A small disk, on which the loader's tables are made."""
    with small_disk(home / "disk", 64 * MB) as disk:
        warehouse.query(f"create tablespace small location '{disk}'")
        warehouse.query("grant create on tablespace small to loader")
        warehouse.query("alter role loader set default_tablespace = small")
        yield disk
        warehouse.query("alter role loader reset default_tablespace")
        warehouse.forget()
        warehouse.query("drop tablespace small")


@pytest.mark.parametrize("phase", ["COPY", "index building"])
def test_the_disk_of_the_tables(warehouse, tablespace, story_on, tally, phase):
    story = story_on(warehouse)
    story.tell(story.sheet())
    table, index = warehouse.query(
        "select pg_table_size('raw.transactions'),"
        " pg_relation_size('raw.transactions__row_hash_key')"
    )[0]
    for _ in range(tries(5, 1)):
        size = table // 2 if phase == "COPY" else table + index // 2
        sheet = story.sheet(fresh=True)
        resize(tablespace, shutil.disk_usage(tablespace).used + size)
        assert "disk is full: make room" in load_in_vain(warehouse, sheet)
        told = warehouse.log.read_text().rpartition("No space left on device")[2]
        statement = "copy" if phase == "COPY" else "create unique index"
        assert f"STATEMENT:  {statement}" in told
        assert not story.verify(sheet).loaded
        resize(tablespace, 64 * MB)
        tally.add(f"disk full while {phase}", story.tell(sheet),
                  "exit code 3, one line that says so; loaded by the next run")  # fmt: skip


@pytest.fixture
def logged(home):
    """A server whose write-ahead log has a small disk of its own."""
    warehouse = Warehouse(home)
    with small_disk(home / "disk", 112 * MB) as disk:
        wal = warehouse.server.data / "pg_wal"
        shutil.move(wal, disk / "wal")
        wal.symlink_to(disk / "wal")
        subprocess.run(["chown", "-R", server_user(), disk], check=True)
        warehouse.start()
        warehouse.initialise()
        warehouse.query("alter system set wal_buffers = '64kB'")  # else it waits for the commit
        warehouse.stop()
        warehouse.start()
        yield warehouse, disk
        warehouse.stop()


def fill(warehouse: Warehouse, disk: Path, left: int) -> Path:
    """Leave the log `left` bytes; returns the file that takes the rest of its disk."""
    warehouse.query("checkpoint")
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
    with warehouse.session() as cursor:
        while True:
            cursor.execute(LEFT)
            here, segments = cursor.fetchone()
            if not segments and here < left:
                return ballast
            size = min(1_000_000, max(here - left, 0) + 50_000) if not segments else 1_000_000
            cursor.execute("select pg_logical_emit_message(false, 'fill', repeat('x', %s))", [size])


# Rows into a table with rows go through the log as they come; those of a small fresh table only
# in the commit (with wal_level = minimal, below wal_skip_threshold).
@pytest.mark.parametrize(("phase", "rows"), [("COPY", 16_000), ("the commit", 8_000)])
def test_the_disk_of_the_log(logged, story_on, tally, phase, rows):
    """The server itself goes down, and cannot come back before there is room."""
    warehouse, disk = logged
    story = story_on(warehouse)
    for _ in range(tries(3, 1)):
        warehouse.forget()
        story.told, story.rows = [], rows
        if phase == "COPY":
            story.tell(story.sheet(fresh=False))
        ballast = fill(warehouse, disk, 800_000)
        sheet = story.sheet(fresh=False)
        err = load_in_vain(warehouse, sheet, "--wait", 5)
        assert "is away" in err
        assert warehouse.process.wait(30) != 0
        statement = "copy" if phase == "COPY" else "COMMIT"
        told = warehouse.log.read_text().rpartition("PANIC:  could not write")[2]
        assert "No space left on device" in told and f"STATEMENT:  {statement}" in told
        ballast.unlink()
        warehouse.start()
        assert sheet.path.name not in story.verify(sheet).loaded
        outcome = "the server goes down: exit code 3; with room it recovers, the next run loads"
        tally.add(f"disk of the write-ahead log full in {phase}", story.tell(sheet), outcome)
