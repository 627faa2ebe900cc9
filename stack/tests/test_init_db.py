"""init_db.sql, in the real server that `elt with-postgres` starts."""

import os
import subprocess

import psycopg2
import pytest

from elt_stack.setting_files import PROJECT, ROLE_PASSWORDS


def init_db(**environment: str) -> subprocess.CompletedProcess:
    command = [os.environ["PSQL"], "--no-psqlrc", "--file", PROJECT / "init_db.sql"]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def connect(role: str, password: str):
    return psycopg2.connect(
        host=os.environ["PGHOST"], port=os.environ["PGPORT"], dbname="warehouse",
        user=role, password=password,
    )  # fmt: skip


def test_a_second_run_changes_nothing_and_prints_nothing():
    again = init_db()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_another_run_updates_a_password():
    assert init_db(REPORTER_PASSWORD="another").returncode == 0
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect("reporter", os.environ["REPORTER_PASSWORD"])
    connect("reporter", "another").close()
    assert init_db().returncode == 0
    connect("reporter", os.environ["REPORTER_PASSWORD"]).close()


@pytest.mark.parametrize("name", ROLE_PASSWORDS)
def test_a_missing_password_is_named(name):
    environment = {key: value for key, value in os.environ.items() if key != name}
    command = [os.environ["PSQL"], "--no-psqlrc", "--file", PROJECT / "init_db.sql"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"{name} is not set" in done.stderr
