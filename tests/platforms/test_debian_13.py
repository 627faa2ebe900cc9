"""`make demo` works for an ordinary user of Debian 13, whose only Python is 3.13."""

from __future__ import annotations

import contextlib
import subprocess

import psutil
import pytest

PROJECTS = ("stack", "data_ingestion", "dbt", "airflow", "superset")
COUNT_ROWS = "CMD=select count(*) from raw.transactions"


@pytest.fixture(scope="module")
def demo(debian_13) -> subprocess.CompletedProcess:
    """Run `make demo` in a fresh clone. The stack keeps running."""
    return debian_13.make("demo")


def test_demo_finds_the_numbers_of_the_sample(demo):
    assert demo.returncode == 0, demo.stdout
    assert "equal to the sample's truth" in demo.stdout


@pytest.mark.parametrize("project", PROJECTS)
def test_components_run_on_the_python_of_the_system(demo, debian_13, project):
    found = debian_13.run("readlink", "--canonicalize", f"{project}/.venv/bin/python")
    assert found.stdout == "/usr/bin/python3.13\n"


def test_nothing_listens_beyond_loopback(demo, debian_13):
    listening = set()
    for process in debian_13.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # short-lived processes of Airflow
            connections = process.net_connections("inet")
            listening |= {each.laddr for each in connections if each.status == psutil.CONN_LISTEN}
    ports = {int(value) for name, value in debian_13.environment.items() if name.endswith("_PORT")}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == ports


def test_home_holds_the_clone_and_caches_only(demo, debian_13):
    assert {path.name for path in debian_13.home.iterdir()} <= {debian_13.clone.name, ".cache"}


def test_second_demo_adds_no_row(demo, debian_13, truth):
    before = debian_13.make("psql", COUNT_ROWS)
    assert str(len(truth.distinct)) in before.stdout.split()
    again = debian_13.make("demo")
    assert again.returncode == 0, again.stdout
    assert debian_13.make("psql", COUNT_ROWS).stdout == before.stdout
