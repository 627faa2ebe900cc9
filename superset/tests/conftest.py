"""One real Superset on a real Postgres, with the sample loaded by the real loader and dbt.

A database for the warehouse and one for Superset's metadata, both gone afterwards. The loader, dbt
and the exporter are run as their users run them, in their own environments.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest
import requests
import yaml

COMPONENT = Path(__file__).parents[1]
PROJECT = COMPONENT.parent
ASSETS = COMPONENT / "assets"
DBT_PROJECT = yaml.safe_load((PROJECT / "dbt" / "dbt_project.yml").read_text())
THRESHOLD = DBT_PROJECT["vars"]["large_withdrawal_threshold"]
SAMPLE = PROJECT / "data_ingestion" / "data" / "transactions_data.csv"
LOGIN = {"username": "admin", "password": "not-a-secret-of-anyone"}
# What init_db.sql grants on the database itself, which a copy does not inherit.
GRANTS = """
revoke all on database {0} from public;
grant connect on database {0} to loader, transformer, reporter;
grant temporary on database {0} to loader, transformer;
"""
# An older run of tests, with every outcome there is, so that each has something to count.
OLDER_RUN = """
insert into audit.test_results
select gen_random_uuid(), test_name, tested_models, severity,
       (array['pass', 'warn', 'fail', 'error', 'skipped'])[1 + row_number() over () % 5],
       failures, failing_rows, message, duration_seconds, executed_at - interval '1 day'
from audit.test_results
"""
TABLES = ("dbs", "tables", "table_columns", "sql_metrics", "slices", "dashboards",
          "dashboard_slices", "ab_user")  # fmt: skip
# A file, what is changed in it, and the last line of the start that comes of it.
BROKEN = {
    "no YAML": (
        "charts/alert.yaml", "params:", "params: [: ",
        "superset/assets/charts/alert.yaml: ",
    ),
    "a field that is missing": (
        "charts/alert.yaml", "viz_type: table\n", "",
        "superset/assets/charts/alert.yaml: viz_type: Missing data for required field.",
    ),
    "two files of one object": (
        "charts/alert.yaml", "uuid: 07640170-70c3-5efe-899e-f9c3f0f8eb35",
        "uuid: e1615ea7-0f81-59e0-9f92-7171d882cb43",
        "superset/assets/charts/last_load.yaml: uuid: charts/alert.yaml has the same one",
    ),
    "a dataset that is not there": (
        "charts/alert.yaml", "dataset_uuid: ", "dataset_uuid: 0",
        "superset/assets/charts/alert.yaml: dataset_uuid: no file has the uuid 0",
    ),
}  # fmt: skip
EXPORT = """
import sys
from pathlib import Path
from elt_stack.superset_export import export
print("\\n".join(export(*sys.argv[1:4], Path(sys.argv[4]))))
"""


def pytest_configure() -> None:
    """A test without its Postgres would be an error of thirty lines for each of them."""
    if "PGHOST" not in os.environ:
        pytest.exit("these tests need a Postgres: run them through `make test-superset`", 2)


def charts() -> list[dict]:
    """The charts that git has."""
    return [yaml.safe_load(path.read_text()) for path in sorted((ASSETS / "charts").iterdir())]


def dashboard() -> dict:
    """The dashboard that git has."""
    return yaml.safe_load((ASSETS / "dashboards" / "monitoring.yaml").read_text())


class Api(requests.Session):
    """Superset's REST API, as one user, or as nobody."""

    def __init__(self, address: str, login: dict[str, str] | None = None) -> None:
        super().__init__()
        self.address, self.trust_env = address, False
        # A connection kept open may be closed by the server just as the next call begins.
        self.headers["Connection"] = "close"
        self.datasets: dict[str, int] = {}
        if login:
            answer = self.post("/api/v1/security/login", json=login | {"provider": "db"})
            self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            token = self.get("/api/v1/security/csrf_token/").json()["result"]
            self.headers["X-CSRFToken"] = token

    def request(self, method: str, path: str, **options) -> requests.Response:
        """One call; redirects are answers, too."""
        options = {"timeout": 60, "allow_redirects": False} | options
        return super().request(method, self.address + path, **options)

    def find(self, kind: str, uuid_: str) -> dict | None:
        """The chart, dataset, … of that uuid, as a list of all shows it."""
        found = self.get(f"/api/v1/{kind}/", params={"q": "(page_size:100)"}).json()["result"]
        for item in found:
            whole = self.get(f"/api/v1/{kind}/{item['id']}").json()["result"]
            if whole["uuid"] == uuid_:
                return whole
        return None

    def data(self, chart: dict, period: str | None = None, accounts: Sequence[str] = ()) -> dict:
        """What a chart of git shows, asked for as its page does, with the dashboard's filters."""
        uuid_ = chart["dataset_uuid"]
        if uuid_ not in self.datasets:
            self.datasets[uuid_] = self.find("dataset", uuid_)["id"]
        body = {
            "datasource": {"id": self.datasets[uuid_], "type": "table"},
            "force": True,  # past the cache
            "queries": [query(chart, period, accounts)],
            "form_data": {"viz_type": chart["viz_type"]},
        }
        answer = self.post("/api/v1/chart/data", json=body)
        assert answer.status_code == 200, f"{chart['slice_name']}: {answer.text}"
        return answer.json()["result"][0]

    def sql(self, statement: str, **options) -> requests.Response:
        """Run a statement in SQL Lab."""
        database = self.get("/api/v1/database/").json()["result"][0]
        body = {"database_id": database["id"], "sql": statement, "client_id": uuid.uuid4().hex[:10]}
        return self.post("/api/v1/sqllab/execute/", json=body | options)


def query(chart: dict, period: str | None = None, accounts: Sequence[str] = ()) -> dict:
    """The query that a chart's page makes of its settings; the server has no function for it."""
    params, filters, having = chart["params"], [], []
    for condition in params.get("adhoc_filters", []):
        if condition["expressionType"] == "SQL":
            having.append(f"({condition['sqlExpression']})")
            continue
        filters.append(
            {
                "col": condition["subject"],
                "op": condition["operator"],
                "val": condition["comparator"],
            }
        )
    if accounts:
        filters.append({"col": "account_number", "op": "IN", "val": list(accounts)})
    metrics = params.get("metrics") or ([params["metric"]] if "metric" in params else [])
    built = {
        "filters": filters,
        "extras": {"where": "", "having": " AND ".join(having)},
        "columns": params.get("all_columns") or params.get("groupby") or [],
        "metrics": metrics,
        "row_limit": params.get("row_limit"),
        "orderby": [json.loads(order) for order in params.get("order_by_cols", [])]
        or [[metric, False] for metric in params.get("metrics", [])[:1]],
    }
    if period:
        built["time_range"] = period
    if params.get("query_mode") == "raw":
        del built["metrics"]
    if axis := params.get("x_axis"):
        if isinstance(axis, str):
            axis = {"expressionType": "SQL", "isColumnReference": True, "label": axis,
                    "sqlExpression": axis}  # fmt: skip
        grain = params.get("time_grain_sqla")
        built["columns"] = [axis | {"columnType": "BASE_AXIS", "timeGrain": grain}]
        built["extras"]["time_grain_sqla"] = grain
    return built


@dataclass
class Start:
    """A process of init_superset.py, and the file that holds what it says."""

    process: subprocess.Popen
    log: Path

    def end(self) -> tuple[int, str]:
        """Wait until it has ended; its status, and what it said."""
        return self.process.wait(timeout=120), self.log.read_text()


@dataclass
class Stack:
    """A running Superset, and the two databases behind it."""

    warehouse: str
    metadata: str
    address: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    # What charts said before there was any data.
    empty: dict[str, dict] = field(default_factory=dict, repr=False)
    # Work for the core that dbt leaves free.
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    restarted: Future | None = field(default=None, repr=False)
    broken: dict[str, Future] = field(default_factory=dict, repr=False)

    def admin(self) -> Api:
        """The API as the administrator."""
        return Api(self.address, LOGIN)

    def rows(self, statement: str, database: str | None = None) -> list[tuple]:
        """What the superuser reads, past all that is tested here."""
        connection = psycopg2.connect(dbname=database or self.warehouse)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def run(self, component: str, *command: str, role: str, status: int = 0) -> None:
        """Run another component's command in the warehouse, as its role."""
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
        """Begin init_superset.py, as the stack does."""
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
        """Run it again beside the server, as a restart does."""
        status, output = self.start().end()
        assert status == 0, output

    def restart(self) -> tuple[dict[str, str], dict[str, str]]:
        """Run it again when nothing has changed; what is exported and counted before and after."""
        before = self.export(self.folder / "before") | self.counts()
        self.init()
        return before, self.export(self.folder / "after") | self.counts()

    def start_with(self, case: str) -> tuple[int, str]:
        """Start with a broken copy of the assets; its status, and what it said."""
        name, old, new, _ = BROKEN[case]
        copy = self.folder / "broken" / case / "superset"
        shutil.copytree(COMPONENT, copy, ignore=shutil.ignore_patterns(".venv", "tests"))
        text = (copy / "assets" / name).read_text()
        assert old in text
        (copy / "assets" / name).write_text(text.replace(old, new, 1))
        return self.start(component=copy).end()

    def counts(self) -> dict[str, str]:
        """How many objects Superset has, of each kind that a start makes."""
        return {
            table: str(self.rows(f"select count(*) from {table}", self.metadata)[0][0])
            for table in TABLES
        }

    def export(self, folder: Path) -> dict[str, str]:
        """`make dashboard-export` into `folder`; returns what the folder holds then."""
        python = PROJECT / "stack" / ".venv" / "bin" / "python"
        login = (LOGIN["username"], LOGIN["password"])
        command = [python, "-c", EXPORT, self.address, *login, folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return texts(folder)


def texts(folder: Path) -> dict[str, str]:
    """All files below `folder`, by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(server: Start, address: str) -> None:
    """Return when Superset serves."""
    deadline = time.monotonic() + 120
    while True:
        try:
            if requests.get(f"{address}/health", timeout=5).text == "OK":
                return
        except requests.ConnectionError:
            pass
        if server.process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"Superset did not start: {server.log.read_text()}", pytrace=False)
        time.sleep(0.1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Superset, first on an empty warehouse, then with the sample in it."""
    name, password = f"superset_test_{uuid.uuid4().hex[:12]}", secrets.token_urlsafe(16)
    folder, port = tmp_path_factory.mktemp("superset"), free_port()
    server_address = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}"
    stack = Stack(f"{name}_dwh", name, f"http://127.0.0.1:{port}", folder, {
        "ELT_ENV": "test",
        "SUPERSET_HOME": str(folder),
        "SUPERSET_DATABASE_URI": f"postgresql+psycopg2://{name}:{password}@{server_address}/{name}",
        "SUPERSET_SECRET_KEY": secrets.token_urlsafe(32),
        "SUPERSET_ADMIN_USER": LOGIN["username"],
        "SUPERSET_ADMIN_PASSWORD": LOGIN["password"],
        "PGDATABASE": f"{name}_dwh",
        "PGUSER": "reporter",
        "PGPASSWORD": os.environ["REPORTER_PASSWORD"],
    })  # fmt: skip
    server = None
    try:
        for statement in (
            f"create database {stack.warehouse} template {os.environ['PGDATABASE']}",
            GRANTS.format(stack.warehouse),
            f"create role {name} login password '{password}'",
            f"create database {name} owner {name}",
            f"revoke all on database {name} from public",
        ):
            stack.rows(statement, "postgres")
        server = stack.start("gunicorn", "--bind", f"127.0.0.1:{port}")
        stack.run("data_ingestion", "data-ingestion", "init", role="loader")
        stack.run("dbt", "dbt", "run", role="transformer")
        wait_for(server, stack.address)
        admin = stack.admin()
        stack.empty |= {chart["slice_name"]: admin.data(chart) for chart in charts()}
        stack.restarted = stack.pool.submit(stack.restart)
        stack.broken |= {case: stack.pool.submit(stack.start_with, case) for case in BROKEN}
        fill(stack)
        yield stack
    finally:
        stack.pool.shutdown(cancel_futures=True)
        if server:
            server.process.send_signal(signal.SIGINT)  # gunicorn's quick end
            server.process.wait(timeout=30)
        for database in (stack.warehouse, stack.metadata):
            stack.rows(f"drop database if exists {database} with (force)", "postgres")
        stack.rows(f"drop role if exists {name}", "postgres")


def fill(stack: Stack) -> None:
    """A load that fails, the sample, what dbt makes of it, and a history of tests."""
    broken = stack.folder / "broken.csv"
    broken.write_text("no,such,columns\n1,2,3\n")
    stack.run("data_ingestion", "data-ingestion", "load", str(broken), role="loader", status=2)
    stack.run("data_ingestion", "data-ingestion", "load", str(SAMPLE), role="loader")
    stack.run("dbt", "dbt", "run", role="transformer")
    stack.run("dbt", "dbt", "test", role="transformer", status=1)  # backdated transactions
    stack.rows(OLDER_RUN)


@pytest.fixture(scope="session")
def admin(stack: Stack) -> Api:
    """The API as the administrator."""
    return stack.admin()
