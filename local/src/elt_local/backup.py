"""`make backup`: dump the databases of the stack that runs into a new folder.

The folder has its name from the moment it is whole: each dump read once to its end, all of it on
the disk. Until then it is called `….partial`, and a failure removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from elt_local.databases import OWNERS, Databases, reason, running
from elt_local.errors import StackError
from elt_local.manifest import (
    KEYS,
    PACKAGES,
    Dump,
    Manifest,
    dump_file,
    fingerprint,
    locked_version,
)
from elt_local.settings import Settings

BLOCK = 1 << 20  # bytes
HOLDS = {
    "superset": "select format('%s charts on %s dashboards',"
    " (select count(*) from slices), (select count(*) from dashboards))",
    "airflow": "select format('%s runs of DAGs', (select count(*) from dag_run))",
    "warehouse": "select format('%s rows in raw.transactions, %s in staging.transactions',"
    " (select count(*) from raw.transactions), (select count(*) from staging.transactions))",
}


def holds(databases: Databases, name: str) -> str:
    """One line on what is in a database; empty where it lacks its tables."""
    with contextlib.suppress(StackError):
        return databases.sql(name, HOLDS[name], database=name)
    return ""


def take(settings: Settings) -> Path:
    """Dump all databases; returns the folder.

    Raises:
        StackError: nothing runs, a dump failed, or it could not be written. No folder is left.
    """
    databases = running(settings)
    if databases is None:
        raise StackError("nothing is running: start it with `make demo-up` or `make up`")
    now = datetime.now(UTC)
    folder = settings.backup_dir / f"{now:%Y%m%dT%H%M%SZ}"
    partial = folder.with_suffix(".partial")
    try:
        settings.backup_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        try:
            _fill(partial, databases, f"{now:%Y-%m-%dT%H:%M:%SZ}")
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise StackError(f"could not write a backup to {folder}: {error.strerror}") from None
    return folder


def _fill(folder: Path, databases: Databases, taken_at: str) -> None:
    """Write all files of a backup into a folder that is there.

    Raises:
        StackError: a dump failed.
        OSError: a file could not be written.
    """
    sums, dumps = {}, {}
    for name in OWNERS:
        file = dump_file(folder, name)
        size = int(databases.sql(name, f"select pg_database_size('{name}')"))
        version = databases.sql(name, "show server_version").split()[0]
        with file.open("xb") as target:
            sums[file.name] = _dump(databases, name, target)
        with file.open("rb") as written:  # a dump that ends too early shows when it is read
            databases.run(name, "pg_restore", "--file=/dev/null", stdin=written)
        dumps[name] = Dump(size, version, holds(databases, name))
        print(f"  {name:<10}{file.stat().st_size / 1e6:>10,.1f} MB   {dumps[name].holds}")
    Manifest(
        taken_at=taken_at,
        stack=databases.kind,
        keys={key: fingerprint(databases.settings[key]) for key in KEYS.values()},
        versions={name: locked_version(name) for name in PACKAGES},
        databases=dumps,
    ).write(folder, sums)
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o700 if path == folder else 0o600)
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def _dump(databases: Databases, name: str, target: BinaryIO) -> str:
    """Write what pg_dump sends to a file; returns its sha256."""
    digest = hashlib.sha256()
    with tempfile.TemporaryFile("w+") as said:
        process = databases.start(
            name, "pg_dump", "--format=custom", f"--dbname={name}",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        try:
            while block := process.stdout.read(BLOCK):
                digest.update(block)
                target.write(block)
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
        said.seek(0)
        if process.returncode != 0:
            raise StackError(f"pg_dump failed at {name}: {reason(said.read())}")
    return digest.hexdigest()
