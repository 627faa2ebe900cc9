"""One server for all tests of backups, and one backup of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from elt_stack import postgres
from elt_stack.ports import free_port
from elt_stack.settings import PROJECT
from support import DOCKER, WAREHOUSE, elt, everything, statement


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A stack in what stands for Docker, with something in each database."""
    place = tmp_path_factory.mktemp("stack")
    (place / "docker").write_text(DOCKER)
    (place / "docker").chmod(0o755)
    (place / "data").mkdir()
    with (
        postgres.throwaway(PROJECT / "init_db.sql") as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        settings = {
            "PATH": f"{place}:{os.environ['PATH']}",
            "CALLS": str(place / "calls"),
            "PROGRAMS": str(Path(server["PSQL"]).parent),
            "STATE_DIR": str(place / "state"),
            "BACKUP_DIR": str(place / "backups"),
            "DATA_DIR": str(place / "data"),
            "DATA_FOLDER": str(place / "data"),
            "WAREHOUSE_PORT": server["PGPORT"],
            "AIRFLOW_PORT": str(free_port()),
            "SUPERSET_PORT": str(free_port()),
            "AIRFLOW_DB_PASSWORD": "the-password-of-airflow",
            "SUPERSET_DB_PASSWORD": "the-password-of-superset",
            "AIRFLOW__CORE__FERNET_KEY": "the key of Airflow",
            "SUPERSET_SECRET_KEY": "the key of Superset",
        }
        for name, value in (server | settings).items():
            environment.setenv(name, value)
        psql = [server["PSQL"], "--quiet", "--no-psqlrc", "--dbname=postgres"]
        subprocess.run([*psql, f"--file={PROJECT / 'metadata_init.sql'}"], check=True)
        statement(WAREHOUSE)
        statement("create table slices as select 1 as id; create table dashboards ()", "superset")
        statement("set role airflow; create table public.dag_run (id int)", "airflow")
        yield place


@pytest.fixture(scope="module")
def saved(stack) -> tuple[Path, dict]:
    """A backup, put aside, and what the databases held then."""
    held = everything()
    assert len(held) > 10
    done = elt("backup")
    assert done.returncode == 0, done.stdout
    (folder,) = (stack / "backups").iterdir()
    (stack / "backups").rename(stack / "aside")
    return stack / "aside" / folder.name, held


@pytest.fixture
def folder(stack, saved) -> Path:
    """A copy of it in BACKUP_DIR, for one test."""
    shutil.rmtree(stack / "backups", ignore_errors=True)
    return shutil.copytree(saved[0], stack / "backups" / saved[0].name)
