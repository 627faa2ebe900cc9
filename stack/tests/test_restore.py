"""`make restore` of a stack in Docker: all comes back, or nothing was changed."""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

import psycopg2
import pytest

from elt_stack.backup import restore
from elt_stack.errors import StackError
from elt_stack.runtimes import Containers
from elt_stack.settings import Settings
from support import elt, everything, refused, statement


def test_what_was_destroyed_is_back_to_the_last_row_and_right(stack, saved, folder):
    for name in ("warehouse", "airflow", "superset"):
        statement(f"drop database {name} with (force)", "postgres")
    for name in ("airflow", "superset"):  # Compose's own metadata-init does that
        statement(f"create database {name}", "postgres")
    done = elt("restore", "--force", folder.name)
    assert done.returncode == 0, done.stdout
    assert everything() == saved[1]
    assert "3 rows in raw.transactions" in done.stdout.split("now there are:")[1]


def test_what_came_after_the_backup_is_gone(stack, saved, folder):
    statement("delete from raw.transactions; create table staging.later ()")
    statement("drop table slices", "superset")
    (stack / "calls").unlink()
    with contextlib.closing(psycopg2.connect()) as forgotten:  # somebody's open session
        forgotten.cursor().execute("select * from raw.transactions")
        done = elt("restore", str(folder), said="yes\n")
    assert done.returncode == 0, done.stdout
    assert everything() == saved[1]
    calls = [line.split() for line in (stack / "calls").read_text().splitlines()]
    stopped = calls.index(["compose", "stop", *Containers.USERS])
    started = calls.index(["compose", "up", "--detach", "--wait", "--no-recreate"])
    restored = [place for place, call in enumerate(calls) if "pg_restore" in call]
    assert len(restored) == 3
    assert max(restored) < stopped < started


def test_only_the_warehouse_and_without_the_keys(stack, saved, folder, monkeypatch):
    statement("delete from raw.transactions")
    statement("create table later ()", "superset")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "another key")
    monkeypatch.setenv("SUPERSET_SECRET_KEY", "another key")
    done = elt("restore", "--force", "--only", "warehouse", folder.name)
    assert done.returncode == 0, done.stdout
    after = everything()
    assert after.pop(("superset", "public.later"))
    assert after == saved[1]
    statement("drop table later", "superset")


@pytest.mark.parametrize("key", ["AIRFLOW__CORE__FERNET_KEY", "SUPERSET_SECRET_KEY"])
def test_another_key_is_named(folder, monkeypatch, key):
    monkeypatch.setenv(key, "another one")
    said = refused("restore", "--force", folder.name)
    assert f"{key} in .env is not the one this backup was made with" in said


def test_nothing_is_replaced_unless_somebody_says_yes(folder):
    for answer in ("", "y\n"):
        assert refused("restore", folder.name, said=answer).endswith("nothing was changed")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "airflow.dump").unlink(), "airflow.dump: No such file"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "is no backup, or not a whole one"),
        (lambda folder: (folder / "SHA256SUMS").write_text("\xff  x\n"), "does not name its files"),
        (lambda folder: os.truncate(folder / "warehouse.dump", 1000), "warehouse.dump is not what"),
        (lambda folder: flip(folder / "warehouse.dump"), "warehouse.dump is not what was written"),
        (lambda folder: flip(folder / "manifest.json"), "manifest.json is not what was written"),
        (lambda folder: shutil.rmtree(folder), "is no backup, or not a whole one"),
    ],
    ids=["no dump", "no sums", "other sums", "cut off", "a bit", "a bit of the manifest", "gone"],
)
def test_a_damaged_backup_is_refused_before_anything_is_asked(folder, damage, words):
    damage(folder)
    assert words in refused("restore", "--force", str(folder))


def flip(file: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.update(format=2), "was made by another version of this project"),
        (lambda it: it.pop("keys"), "manifest.json is none of a backup"),
        (lambda it: it["versions"].update(airflow="99.0"), "this backup is of airflow 99.0"),
        (lambda it: it["databases"]["warehouse"].update(postgres="99.1"), "is of Postgres 99, and"),
        (lambda it: it["databases"]["warehouse"].update(database_size=10**18), "make room"),
    ],
    ids=["format", "keys", "Airflow", "Postgres", "room"],
)
def test_a_backup_that_cannot_be_used_here_is_refused(folder, change, words):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"
    ]  # fmt: skip
    (folder / "SHA256SUMS").write_text("".join(sums))
    assert words in refused("restore", "--force", folder.name)


class OneServerFails(Containers):
    """The warehouse's server takes no new name, after that of the metadata did."""

    def sql(self, name: str, statements: str, database: str = "postgres") -> str:
        if name == "warehouse" and "rename" in statements:
            raise StackError("it does not")
        return super().sql(name, statements, database)


def test_a_failure_between_two_servers_leaves_both_as_they_were(folder):
    statement("create table later ()", "superset")
    before = everything()
    databases = OneServerFails(Settings.load())
    with pytest.raises(StackError, match="it does not"):
        restore._replace(databases, folder, ["superset", "airflow", "warehouse"])
    assert everything() == before
    statement("drop table later", "superset")


def test_what_was_there_is_kept_until_the_stack_has_started(stack, saved, folder, monkeypatch):
    statement("delete from raw.transactions")
    monkeypatch.setenv("UP_ENDS_WITH", "1")
    done = elt("restore", "--force", folder.name)
    assert done.returncode == 1
    assert done.stdout.endswith("is kept in superset_old, airflow_old, warehouse_old\n")
    with contextlib.closing(psycopg2.connect(dbname="warehouse_old")) as before:
        cursor = before.cursor()
        cursor.execute("select from raw.transactions")
        assert cursor.rowcount == 0
    statement("create database airflow_new", "postgres")  # left by one that was killed
    monkeypatch.delenv("UP_ENDS_WITH")
    again = elt("restore", "--force", folder.name)
    assert again.returncode == 0, again.stdout
    assert everything() == saved[1]


def test_which_backup_is_asked_and_the_newest_is_named(stack, folder):
    assert refused("restore", "--force", "").endswith(f"FROM={folder}` takes the newest")
    shutil.rmtree(folder)
    assert "there is no backup in" in refused("restore", "--force", "")
