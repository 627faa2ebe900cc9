"""`make backup` of a stack in Docker: a whole backup, or none."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from support import DOCKER, Done, refused


def test_a_backup_is_its_owners_alone_and_has_no_secret(stack, saved):
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
    written = b"".join(path.read_bytes() for path in files.values())
    secrets = [
        value for name, value in os.environ.items() if name.endswith(("_PASSWORD", "_KEY"))
    ]  # fmt: skip
    assert len(secrets) >= 7
    text = written + (stack / "calls").read_bytes()
    assert [secret for secret in secrets if secret.encode() in text] == []


def test_a_backup_that_cannot_be_written_leaves_nothing(stack, folder, monkeypatch):
    def without_room(*arguments: str) -> Done:
        done = subprocess.run(
            [Path(sys.executable).with_name("elt-local"), *arguments],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    monkeypatch.setenv("CALLS", "/dev/null")
    said = refused("backup", run=without_room)
    assert "could not write a backup to" in said
    assert list((stack / "backups").iterdir()) == [folder]


def test_a_dump_that_ends_too_early_is_no_backup(stack, folder, tmp_path, monkeypatch):
    (tmp_path / "pg_dump").write_text('#!/bin/sh\n"$PROGRAMS/pg_dump" "$@" | head -c 3000\n')
    cut = f'if [ "$1" = pg_dump ]; then exec {tmp_path}/"$@"; fi\n    exec "$PROGRAMS'
    (tmp_path / "docker").write_text(DOCKER.replace('exec "$PROGRAMS', cut))
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "pg_restore failed at warehouse" in refused("backup")
    assert list((stack / "backups").iterdir()) == [folder]


def test_without_a_stack_nothing_can_be_backed_up(stack, folder, tmp_path, monkeypatch):
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "nothing is running" in refused("backup")
