"""Fixtures for the tests of backups: one server, and one backup of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from elt_stack.ports import free_port
from elt_stack.setting_files import PROJECT
from elt_stack.throwaway import throwaway_server
from support import DOCKER, WAREHOUSE, all_contents, elt, execute


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Simulate a stack in Docker, with some content in each database."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    (folder / "data").mkdir()
    with throwaway_server() as server, pytest.MonkeyPatch.context() as environment:
        settings = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "CALLS": str(folder / "calls"),
            "PROGRAMS": str(Path(server["PSQL"]).parent),
            "STATE_DIR": str(folder / "state"),
            "BACKUP_DIR": str(folder / "backups"),
            "DATA_DIR": str(folder / "data"),
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
        execute(WAREHOUSE)
        execute("create table slices as select 1 as id; create table dashboards ()", "superset")
        execute("set role airflow; create table public.dag_run (id int)", "airflow")
        yield folder


@pytest.fixture(scope="module")
def saved(stack) -> tuple[Path, dict]:
    """Make a backup outside BACKUP_DIR. Return its folder and the content of the databases."""
    contents = all_contents()
    assert len(contents) > 10
    done = elt("backup")
    assert done.returncode == 0, done.output
    (folder,) = (stack / "backups").iterdir()
    (stack / "backups").rename(stack / "saved")
    return stack / "saved" / folder.name, contents


@pytest.fixture
def folder(stack, saved) -> Path:
    """Copy the backup into BACKUP_DIR, for one test."""
    shutil.rmtree(stack / "backups", ignore_errors=True)
    return shutil.copytree(saved[0], stack / "backups" / saved[0].name)
