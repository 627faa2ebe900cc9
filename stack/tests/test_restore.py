"""`make restore` of a stack in Docker restores everything or changes nothing."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from elt_stack.backup import restore
from elt_stack.errors import StackError
from elt_stack.runtimes import ContainerRuntime
from elt_stack.settings import Settings
from support import all_contents, elt, execute, refused


def test_restore_brings_back_each_row_and_right(stack, saved, folder):
    for name in ("warehouse", "airflow", "superset"):
        execute(f"drop database {name} with (force)", "postgres")
    for name in ("airflow", "superset"):  # as the service metadata-init does
        execute(f"create database {name}", "postgres")
    done = elt("restore", "--force", folder.name)
    assert done.returncode == 0, done.output
    assert all_contents() == saved[1]
    assert "3 rows in raw.transactions" in done.output.split("the databases now contain:")[1]


def test_restore_removes_later_changes_and_ends_open_sessions(stack, saved, folder):
    execute("delete from raw.transactions; create table staging.later ()")
    execute("drop table slices", "superset")
    (stack / "calls").unlink()
    with contextlib.closing(psycopg2.connect()) as session:
        session.cursor().execute("select * from raw.transactions")
        done = elt("restore", str(folder), typed="yes\n")
    assert done.returncode == 0, done.output
    assert all_contents() == saved[1]
    calls = [line.split() for line in (stack / "calls").read_text().splitlines()]
    stopped = calls.index(["compose", "stop", *ContainerRuntime.CLIENTS])
    started = calls.index(["compose", "up", "--detach", "--wait", "--no-recreate"])
    restored = [index for index, call in enumerate(calls) if "pg_restore" in call]
    assert len(restored) == 3
    assert max(restored) < stopped < started


def test_the_warehouse_alone_can_be_restored_with_other_keys(stack, saved, folder, monkeypatch):
    execute("delete from raw.transactions")
    execute("create table later ()", "superset")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "another key")
    monkeypatch.setenv("SUPERSET_SECRET_KEY", "another key")
    done = elt("restore", "--force", "--only", "warehouse", folder.name)
    assert done.returncode == 0, done.output
    after = all_contents()
    assert after.pop(("superset", "public.later"))
    assert after == saved[1]
    execute("drop table later", "superset")


@pytest.mark.parametrize("key", ["AIRFLOW__CORE__FERNET_KEY", "SUPERSET_SECRET_KEY"])
def test_another_key_is_refused(folder, monkeypatch, key):
    monkeypatch.setenv(key, "another key")
    message = refused("restore", "--force", folder.name)
    assert f"{key} in .env is not the one this backup was made with" in message


def test_without_a_yes_nothing_is_replaced(folder):
    for answer in ("", "y\n"):
        assert refused("restore", folder.name, typed=answer).endswith("nothing was changed")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "airflow.dump").unlink(), "airflow.dump: No such file"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "is not a complete backup"),
        (lambda folder: (folder / "SHA256SUMS").write_text("\xff  x\n"), "does not list its files"),
        (
            lambda folder: os.truncate(folder / "warehouse.dump", 1000),
            "the checksum of warehouse.dump differs",
        ),
        (lambda folder: flip(folder / "warehouse.dump"), "the checksum of warehouse.dump differs"),
        (lambda folder: flip(folder / "manifest.json"), "the checksum of manifest.json differs"),
        (lambda folder: shutil.rmtree(folder), "is not a complete backup"),
    ],
    ids=["no dump", "no sums", "other sums", "truncated", "a bit", "a bit of the manifest", "gone"],
)
def test_a_damaged_backup_is_refused(folder, damage, message):
    damage(folder)
    assert message in refused("restore", "--force", str(folder))


def flip(file: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(format=3), "was made by another version of this project"),
        (lambda manifest: manifest.pop("keys"), "manifest.json is not the manifest of a backup"),
        (
            lambda manifest: manifest["versions"].update(airflow="99.0"),
            "this backup is of airflow 99.0",
        ),
        (
            lambda manifest: manifest["databases"]["warehouse"].update(postgres="99.1"),
            "is of Postgres 99, but",
        ),
        (
            lambda manifest: manifest["databases"]["warehouse"].update(database_size=10**18),
            "make room",
        ),
    ],
    ids=["format", "keys", "Airflow", "Postgres", "room"],
)
def test_a_backup_that_cannot_be_used_here_is_refused(folder, change, message):
    change_manifest(folder, change)
    assert message in refused("restore", "--force", folder.name)


def change_manifest(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest of a backup, and its checksum."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"
    ]  # fmt: skip
    (folder / "SHA256SUMS").write_text("".join(sums))


def to_format_1(manifest: dict) -> None:
    """Turn a manifest into one as earlier versions of this project wrote it."""
    manifest["format"] = 1
    for name in manifest["keys"]:
        salt = secrets.token_hex(16)
        digest = hashlib.scrypt(os.environ[name].encode(), salt=salt.encode(), n=2**14, r=8, p=1)
        manifest["keys"][name] = f"{salt}${digest.hex()}"
    for dump in manifest["databases"].values():
        dump["holds"] = dump.pop("contents")


def test_a_backup_of_format_1_can_be_restored_with_its_keys_only(saved, folder, monkeypatch):
    change_manifest(folder, to_format_1)
    with monkeypatch.context() as changed:
        changed.setenv("SUPERSET_SECRET_KEY", "another key")
        assert "SUPERSET_SECRET_KEY in .env" in refused("restore", "--force", folder.name)
    execute("delete from raw.transactions")
    done = elt("restore", "--force", folder.name)
    assert done.returncode == 0, done.output
    assert "1 charts on" in done.output
    assert all_contents() == saved[1]


class OneServerFails(ContainerRuntime):
    """Docker with a warehouse server that fails to rename databases."""

    def sql(self, database: str, statements: str, connect_to: str = "postgres") -> str:
        if database == "warehouse" and "rename" in statements:
            raise StackError("renaming failed")
        return super().sql(database, statements, connect_to)


def test_if_one_server_fails_both_remain_unchanged(folder):
    execute("create table later ()", "superset")
    before = all_contents()
    runtime = OneServerFails(Settings.load())
    with pytest.raises(StackError, match="renaming failed"):
        restore._replace(runtime, folder, ["superset", "airflow", "warehouse"])
    assert all_contents() == before
    execute("drop table later", "superset")


def test_the_previous_databases_remain_until_the_stack_has_started(
    stack, saved, folder, monkeypatch
):
    execute("delete from raw.transactions")
    monkeypatch.setenv("UP_ENDS_WITH", "1")
    done = elt("restore", "--force", folder.name)
    assert done.returncode == 1
    assert done.output.endswith("remain as superset_old, airflow_old, warehouse_old\n")
    with contextlib.closing(psycopg2.connect(dbname="warehouse_old")) as before:
        cursor = before.cursor()
        cursor.execute("select from raw.transactions")
        assert cursor.rowcount == 0
    execute("create database airflow_new", "postgres")  # left by a restore that was killed
    monkeypatch.delenv("UP_ENDS_WITH")
    again = elt("restore", "--force", folder.name)
    assert again.returncode == 0, again.output
    assert all_contents() == saved[1]


def test_without_a_name_the_message_names_the_newest_backup(stack, folder):
    assert refused("restore", "--force", "").endswith(f"FROM={folder}` restores the newest")
    shutil.rmtree(folder)
    assert "there is no backup in" in refused("restore", "--force", "")
