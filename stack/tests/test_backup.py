"""`make backup` of a stack in Docker writes a complete backup or none."""

import contextlib
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from elt_stack.supervisor import Supervisor
from support import DOCKER, Done, elt, refused


def test_only_the_owner_reads_a_backup_and_it_contains_no_secret(stack, saved):
    folder = saved[0]
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o700
    files = {path.name: path for path in folder.iterdir()}
    assert files.keys() == {
        "warehouse.dump", "airflow.dump", "superset.dump", "manifest.json", "SHA256SUMS",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    sums = {
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}"
        for name, path in files.items()
        if name != "SHA256SUMS"
    }
    assert set(files["SHA256SUMS"].read_text().splitlines()) == sums
    manifest = json.loads(files["manifest.json"].read_text())
    assert manifest["databases"].keys() == {"warehouse", "airflow", "superset"}
    files_content = b"".join(path.read_bytes() for path in files.values())
    secrets = [
        value for name, value in os.environ.items() if name.endswith(("_PASSWORD", "_KEY"))
    ]  # fmt: skip
    assert len(secrets) >= 7
    text = files_content + (stack / "calls").read_bytes()
    assert [secret for secret in secrets if secret.encode() in text] == []


def test_a_backup_that_cannot_be_written_leaves_no_files(stack, folder, monkeypatch):
    def on_a_full_disk(*arguments: str) -> Done:
        done = subprocess.run(
            [Path(sys.executable).with_name("elt"), *arguments],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    monkeypatch.setenv("CALLS", "/dev/null")
    message = refused("backup", run=on_a_full_disk)
    assert "could not write a backup to" in message
    assert list((stack / "backups").iterdir()) == [folder]


def test_a_truncated_dump_is_detected(stack, folder, tmp_path, monkeypatch):
    (tmp_path / "pg_dump").write_text('#!/bin/sh\n"$PROGRAMS/pg_dump" "$@" | head -c 3000\n')
    cut = f'if [ "$1" = pg_dump ]; then exec {tmp_path}/"$@"; fi\n    exec "$PROGRAMS'
    (tmp_path / "docker").write_text(DOCKER.replace('exec "$PROGRAMS', cut))
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "pg_restore failed at warehouse" in refused("backup")
    assert list((stack / "backups").iterdir()) == [folder]


def test_a_backup_needs_a_running_stack(stack, folder, tmp_path, monkeypatch):
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "nothing is running" in refused("backup")


@pytest.mark.parametrize("key", ["AIRFLOW__CORE__FERNET_KEY", "SUPERSET_SECRET_KEY"])
def test_a_key_that_differs_from_the_one_in_use_is_refused(stack, folder, monkeypatch, key):
    monkeypatch.setenv(key, "the key of a new .env")
    assert f"{key} in .env is not the one" in refused("backup")
    assert list((stack / "backups").iterdir()) == [folder]


def test_two_running_stacks_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Supervisor, "is_running", lambda _: True)
    for command in (["backup"], ["restore", "--force", folder.name]):
        assert "stop one of them with" in refused(*command)


def dumped_rows(stack: Path, table: str) -> list[str]:
    """Return the rows of a table of the schema raw in the newest backup, as text."""
    newest = max((stack / "backups").iterdir())
    done = subprocess.run(
        [Path(os.environ["PROGRAMS"], "pg_restore"), "--data-only", "--schema=raw",
         f"--table={table}", "--file=-", newest / "warehouse.dump"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.partition("FROM stdin;\n")[2].partition("\\.\n")[0].splitlines()


def test_a_backup_contains_a_concurrent_first_load_completely(stack, folder):
    with contextlib.closing(psycopg2.connect()) as load, ThreadPoolExecutor(1) as pool:
        cursor = load.cursor()
        cursor.execute("truncate raw.transactions")
        copy = "copy raw.transactions from stdin (freeze)"
        cursor.copy_expert(copy, io.StringIO("4\ta first load\n"))
        cursor.execute("insert into raw._loads values (2, 'loaded')")
        backup = pool.submit(elt, "backup")
        deadline = time.monotonic() + 30
        waiting = "select from pg_locks where not granted"
        while not cursor.execute(waiting) and not cursor.rowcount:
            assert time.monotonic() < deadline, "the backup does not wait for the load"
        load.commit()
        assert backup.result().returncode == 0, backup.result().output
    assert dumped_rows(stack, "transactions") == ["4\ta first load"]
    assert dumped_rows(stack, "_loads") == ["1\tloaded", "2\tloaded"]
