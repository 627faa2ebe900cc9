"""A running Superset with its two databases, and functions that read the files of `assets/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest
import requests
import yaml

from tests.api import LOGIN, Api

COMPONENT = Path(__file__).parents[1]
PROJECT = COMPONENT.parent
ASSETS = COMPONENT / "assets"
DBT_PROJECT = yaml.safe_load((PROJECT / "dbt" / "dbt_project.yml").read_text())
THRESHOLD = DBT_PROJECT["vars"]["large_withdrawal_threshold"]
SAMPLE = PROJECT / "data_ingestion" / "data" / "transactions_data.csv"
# The metadata tables that a start of Superset writes.
TABLES = ("dbs", "tables", "table_columns", "sql_metrics", "slices", "dashboards",
          "dashboard_slices", "ab_user")  # fmt: skip
# Defects of assets/: the file, the original text, its replacement, and the beginning of the error.
BROKEN = {
    "invalid YAML": (
        "charts/alert.yaml", "params:", "params: [: ",
        "superset/assets/charts/alert.yaml: ",
    ),
    "a missing field": (
        "charts/alert.yaml", "viz_type: table\n", "",
        "superset/assets/charts/alert.yaml: viz_type: Missing data for required field.",
    ),
    "two files with the same uuid": (
        "charts/alert.yaml", "uuid: 07640170-70c3-5efe-899e-f9c3f0f8eb35",
        "uuid: e1615ea7-0f81-59e0-9f92-7171d882cb43",
        "superset/assets/charts/last_load.yaml: uuid: charts/alert.yaml has the same uuid",
    ),
    "a missing dataset": (
        "charts/alert.yaml", "dataset_uuid: ", "dataset_uuid: 0",
        "superset/assets/charts/alert.yaml: dataset_uuid: no file has the uuid 0",
    ),
}  # fmt: skip
EXPORT = """
import sys
from pathlib import Path
from elt_stack.superset_export import export
export(sys.stdin.buffer.read(), Path(sys.argv[1]))
"""


def charts() -> list[dict]:
    """Return the chart files of `assets/`."""
    return [yaml.safe_load(path.read_text()) for path in sorted((ASSETS / "charts").iterdir())]


def dashboard() -> dict:
    """Return the dashboard file of `assets/`."""
    return yaml.safe_load((ASSETS / "dashboards" / "monitoring.yaml").read_text())


def texts(folder: Path) -> dict[str, str]:
    """Return the text of each file below `folder`, by its path in that folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Start:
    """A process of init_superset.py and its log file."""

    process: subprocess.Popen
    log: Path

    def wait(self) -> tuple[int, str]:
        """Wait for the end of the process. Return its exit code and its output."""
        return self.process.wait(timeout=120), self.log.read_text()

    def wait_until_healthy(self, address: str) -> None:
        """Wait until Superset answers its health check."""
        deadline = time.monotonic() + 120
        while True:
            try:
                if requests.get(f"{address}/health", timeout=5).text == "OK":
                    return
            except requests.ConnectionError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Superset did not start: {self.log.read_text()}", pytrace=False)
            time.sleep(0.1)


@dataclass
class Stack:
    """A running Superset and the names of its databases."""

    warehouse: str
    metadata: str
    address: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    # Data of each chart before the first load.
    empty: dict[str, dict] = field(default_factory=dict, repr=False)
    # Starts further Superset processes in the background while dbt runs.
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    restarted: Future | None = field(default=None, repr=False)
    broken: dict[str, Future] = field(default_factory=dict, repr=False)

    def admin(self) -> Api:
        """Return the API as the administrator."""
        return Api(self.address, LOGIN)

    def rows(self, statement: str, database: str | None = None) -> list[tuple]:
        """Run a statement as Postgres' superuser and return its rows."""
        connection = psycopg2.connect(dbname=database or self.warehouse)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def run(self, component: str, *command: str, role: str, status: int = 0) -> None:
        """Run a command of another component on the warehouse, logged in as the role."""
        environment = {
            "ELT_ENV": "test",
            "PGDATABASE": self.warehouse,
            "PGUSER": role,
            "PGPASSWORD": os.environ[f"{role.upper()}_PASSWORD"],
            "DBT_TARGET_PATH": str(self.folder / "dbt"),
            "DBT_LOG_PATH": str(self.folder / "dbt"),
        }
        program = PROJECT / component / ".venv" / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=PROJECT / component, env=os.environ | environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == status, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    def start(self, *arguments: str, component: Path = COMPONENT, **environment: str) -> Start:
        """Start init_superset.py as the stack does, without waiting for it."""
        changed = {**os.environ, **self.environment, **environment}
        log = self.folder / f"start-{uuid.uuid4().hex[:8]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "init_superset.py", *arguments], cwd=component,
                env={name: value for name, value in changed.items() if value},
                stdout=output, stderr=output,
            )  # fmt: skip
        return Start(process, log)

    def init(self) -> None:
        """Run init_superset.py again beside the server, as a restart does."""
        status, output = self.start().wait()
        assert status == 0, output

    def restart(self) -> tuple[dict[str, str], dict[str, str]]:
        """Run init_superset.py again. Return the export and the counts before and after it."""
        before = self.export(self.folder / "before") | self.counts()
        self.init()
        return before, self.export(self.folder / "after") | self.counts()

    def start_broken(self, case: str) -> tuple[int, str]:
        """Start with a defective copy of `assets/`. Return the exit code and the output."""
        name, old, new, _ = BROKEN[case]
        copy = self.folder / "broken" / case / "superset"
        shutil.copytree(COMPONENT, copy, ignore=shutil.ignore_patterns(".venv", "tests"))
        text = (copy / "assets" / name).read_text()
        assert old in text
        (copy / "assets" / name).write_text(text.replace(old, new, 1))
        return self.start(component=copy).wait()

    def counts(self) -> dict[str, str]:
        """Return the number of rows of each of TABLES."""
        return {
            table: str(self.rows(f"select count(*) from {table}", self.metadata)[0][0])
            for table in TABLES
        }

    def export(self, folder: Path) -> dict[str, str]:
        """Export into `folder`, as `make dashboard-export` does. Return the folder's files.

        The archive comes from the running server, which is faster than export_assets.py.
        """
        python = PROJECT / "stack" / ".venv" / "bin" / "python"
        archive = self.admin().get("/api/v1/assets/export/").content
        command = [python, "-c", EXPORT, folder]
        done = subprocess.run(command, input=archive, capture_output=True)
        assert done.returncode == 0, done.stderr
        return texts(folder)
