"""`make backup`: dump the databases of the running stack into a new folder.

A backup is complete when each dump has been read to its end and all files are on the disk. Until
then the folder is called `….partial`. A failure removes the partial folder.
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
from elt_stack.runtime_base import OWNERS, PSQL_OPTIONS, Runtime, error_line
from elt_stack.runtimes import running_runtime
from elt_stack.settings import Settings

BLOCK = 1 << 20  # bytes
# A first load into an empty table uses COPY FREEZE: older snapshots see its rows, but not the rest
# of its transaction. The locks wait until such a load has ended. The snapshot follows the locks.
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
SUMMARIES = {
    "superset": "select format('%s charts on %s dashboards',"
    " (select count(*) from slices), (select count(*) from dashboards))",
    "airflow": "select format('%s runs of DAGs', (select count(*) from dag_run))",
    "warehouse": "select format('%s rows in raw.transactions, %s in staging.transactions',"
    " (select count(*) from raw.transactions), (select count(*) from staging.transactions))",
}


def summary(runtime: Runtime, database: str) -> str:
    """Return a one-line summary of a database; empty if a table is missing."""
    with contextlib.suppress(StackError):
        return runtime.sql(database, SUMMARIES[database], connect_to=database)
    return ""


def create_backup(settings: Settings) -> Path:
    """Dump all databases, and return the folder of the backup.

    Raises:
        StackError: no stack is running, a dump failed, or a file could not be written. No folder
            remains.
    """
    runtime = running_runtime(settings)
    if runtime is None:
        raise StackError("nothing is running: start it with `make demo-up` or `make up`")
    now = datetime.now(UTC)
    folder = settings.backup_dir / f"{now:%Y%m%dT%H%M%SZ}"
    partial = folder.with_suffix(".partial")
    try:
        settings.backup_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        try:
            _write_files(partial, runtime, f"{now:%Y-%m-%dT%H:%M:%SZ}")
            partial.rename(folder)
            _sync(settings.backup_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise StackError(f"could not write a backup to {folder}: {error.strerror}") from None
    return folder


def _key_in_use(runtime: Runtime, database: str) -> str:
    """Return the key that encrypts the secrets in a metadata database.

    Raises:
        StackError: .env has another key, with which a restored backup could not be decrypted.
    """
    setting = KEYS[database]
    key = runtime.settings[setting]
    if runtime.setting_in_use(database, setting) != key:
        raise StackError(
            f"{setting} in .env is not the one {database} was started with: restore that .env, or "
            "restart the stack if you changed the key on purpose"
        )
    return key


def _write_files(folder: Path, runtime: Runtime, taken_at: str) -> None:
    """Write all files of a backup into an existing folder.

    Raises:
        StackError: a key is not the one in use, or a dump failed.
        OSError: a file could not be written.
    """
    keys = {key: fingerprint(_key_in_use(runtime, name)) for name, key in KEYS.items()}
    sums, dumps = {}, {}
    for name in OWNERS:
        file = dump_file(folder, name)
        size = int(runtime.sql(name, f"select pg_database_size('{name}')"))
        version = runtime.sql(name, "show server_version").split()[0]
        with file.open("xb") as target:
            sums[file.name] = _dump(runtime, name, target)
        with file.open("rb") as written:  # pg_restore fails if the dump is truncated
            runtime.run(name, "pg_restore", "--file=/dev/null", stdin=written)
        dumps[name] = Dump(size, version, summary(runtime, name))
        print(f"  {name:<10}{file.stat().st_size / 1e6:>10,.1f} MB   {dumps[name].contents}")
    Manifest(
        taken_at=taken_at,
        stack=runtime.name,
        keys=keys,
        versions={name: locked_version(name) for name in PACKAGES},
        databases=dumps,
    ).write(folder, sums)
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o700 if path == folder else 0o600)
        _sync(path)


def _sync(path: Path) -> None:
    """Write the content of a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextlib.contextmanager
def _snapshot(runtime: Runtime, database: str) -> Iterator[str]:
    """Export a consistent snapshot of a database for the duration of the block.

    Yields:
        The snapshot's id, for `pg_dump --snapshot`.

    Raises:
        StackError: there is no snapshot, for example because a table was dropped meanwhile.
    """
    with tempfile.TemporaryFile("w+") as errors:
        session = runtime.popen(
            database, "psql", *PSQL_OPTIONS, f"--dbname={database}",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        with session:
            assert session.stdin and session.stdout  # noqa: S101 - for the type checker
            session.stdin.write(SNAPSHOT)
            session.stdin.flush()
            snapshot = session.stdout.readline().strip()
            if snapshot:
                yield snapshot
        errors.seek(0)
        if not snapshot:
            reason = error_line(errors.read())
            raise StackError(f"{database} changed during the backup, try again: {reason}")


def _dump(runtime: Runtime, database: str, target: BinaryIO) -> str:
    """Write a dump to a file, and return its SHA-256 checksum in hexadecimal.

    Raises:
        StackError: pg_dump failed.
        OSError: the file could not be written.
    """
    digest = hashlib.sha256()
    with _snapshot(runtime, database) as snapshot, tempfile.TemporaryFile("w+") as errors:
        process = runtime.popen(
            database, "pg_dump", "--format=custom", f"--snapshot={snapshot}",
            f"--dbname={database}",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        assert process.stdout  # noqa: S101 - for the type checker
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
        errors.seek(0)
        if process.returncode != 0:
            raise StackError(f"pg_dump failed at {database}: {error_line(errors.read())}")
    return digest.hexdigest()
