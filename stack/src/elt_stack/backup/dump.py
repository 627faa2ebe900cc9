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
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from elt_stack.backup.manifest import (
    KEYS,
    PACKAGES,
    Dump,
    Manifest,
    dump_file,
    fingerprint,
    locked_version,
)
from elt_stack.errors import StackError
from elt_stack.runtimes import OWNERS, QUIETLY, Databases, reason, running
from elt_stack.settings import Settings

BLOCK = 1 << 20  # bytes
# Locks first, and then what this transaction sees: rows that were loaded into an empty table are
# there for older transactions too (COPY's FREEZE), but what was written beside them is not.
SNAPSHOT = r"""
select coalesce('lock table ' || string_agg(c.oid::regclass::text, ', ' order by c.oid)
                || ' in access share mode', 'select') as lock
from pg_class as c
where relkind in ('r', 'p') and relnamespace::regnamespace::text
      not in ('pg_catalog', 'information_schema', 'pg_toast') \gset
begin isolation level repeatable read read only;
:lock;
select pg_export_snapshot();
"""
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
            _sync(settings.backup_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise StackError(f"could not write a backup to {folder}: {error.strerror}") from None
    return folder


def _key_in_use(databases: Databases, name: str) -> str:
    """What those who use the database `name` encrypt with.

    Raises:
        StackError: it is not what `.env` says, and a backup would be of no use with that.
    """
    key = KEYS[name]
    if databases.key(name, key) != databases.settings[key]:
        raise StackError(
            f"{key} in .env is not the one {name} was started with: put that .env back, or "
            "start the stack anew if the key was changed on purpose"
        )
    return databases.settings[key]


def _fill(folder: Path, databases: Databases, taken_at: str) -> None:
    """Write all files of a backup into a folder that is there.

    Raises:
        StackError: the keys are not those in use, or a dump failed.
        OSError: a file could not be written.
    """
    keys = {key: fingerprint(_key_in_use(databases, name)) for name, key in KEYS.items()}
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
        keys=keys,
        versions={name: locked_version(name) for name in PACKAGES},
        databases=dumps,
    ).write(folder, sums)
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o700 if path == folder else 0o600)
        _sync(path)


def _sync(path: Path) -> None:
    """See that what was written to a file or a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


@contextlib.contextmanager
def _snapshot(databases: Databases, name: str) -> Iterator[str]:
    """A moment at which a database was whole, by its name, for as long as the block runs.

    Raises:
        StackError: there is none; a table went away meanwhile, for example.
    """
    with tempfile.TemporaryFile("w+") as said:
        session = databases.start(
            name, "psql", *QUIETLY, f"--dbname={name}",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
        )  # fmt: skip
        with session:
            session.stdin.write(SNAPSHOT)
            session.stdin.flush()
            snapshot = session.stdout.readline().strip()
            if snapshot:
                yield snapshot
        said.seek(0)
        if not snapshot:
            raise StackError(f"{name} changed meanwhile, try again: {reason(said.read())}")


def _dump(databases: Databases, name: str, target: BinaryIO) -> str:
    """Write what pg_dump sends to a file; returns its sha256."""
    digest = hashlib.sha256()
    with _snapshot(databases, name) as snapshot, tempfile.TemporaryFile("w+") as said:
        process = databases.start(
            name, "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--dbname={name}",
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
