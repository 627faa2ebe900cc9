"""Shared helpers of the tests that cross components."""

from __future__ import annotations

import http.cookiejar
import http.server
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psutil
import psycopg2

from elt_stack.ports import free_port

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE = PROJECT / "data_ingestion" / "data" / "transactions_data.csv"
DBT_PROJECT = (PROJECT / "dbt" / "dbt_project.yml").read_text()
HEADER = (  # of the bank's export, without a line end
    "Account No,DATE,TRANSACTION DETAILS,CHQ.NO.,VALUE DATE,"
    " WITHDRAWAL AMT , DEPOSIT AMT ,BALANCE AMT,."
)
THRESHOLD = int(re.search(r"^ *large_withdrawal_threshold: (\d+)$", DBT_PROJECT, re.M)[1])


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Yield a folder that other accounts can enter, because as root Postgres runs as nobody."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Truth:
    """Facts about the sample, computed from its file independently of the project's code.

    Attributes:
        rows: Number of rows, with duplicates.
        distinct: The distinct rows.
        backdated: Number of distinct rows whose value date is before the transaction date.
        sums: Withdrawals and deposits by account.
    """

    rows: int
    distinct: set[tuple]
    backdated: int
    sums: dict[str, tuple[Decimal, Decimal]]

    @property
    def duplicates(self) -> int:
        return self.rows - len(self.distinct)


@dataclass
class Stack:
    """A stack in a separate folder, controlled through the Makefile as a user would."""

    folder: Path
    environment: dict[str, str]
    alerts: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)

    def make(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=PROJECT, env=self.environment, timeout=timeout, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def supervisord(self) -> psutil.Process:
        """The supervisor of all processes of a stack without Docker."""
        return psutil.Process(int((self.folder / "state" / "supervisord.pid").read_text()))

    @property
    def passwords(self) -> dict[str, str]:
        """The stack's passwords by the name of their setting, without well-known short ones."""
        return {
            name: value
            for name, value in self.environment.items()
            if name.endswith("_PASSWORD") and len(value) > 12
        }

    def connect(self, role: str = "postgres", database: str = "warehouse"):
        return psycopg2.connect(
            host="127.0.0.1", port=self.environment["WAREHOUSE_PORT"], dbname=database,
            user=role, password=self.environment[f"{role.upper()}_PASSWORD"],
        )  # fmt: skip

    def query(
        self, statement: str, role: str = "postgres", database: str = "warehouse"
    ) -> list[tuple]:
        connection = self.connect(role, database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()


def secrets_of(stack: Stack) -> dict[str, str]:
    """Return the secrets that .env names; the stack's own environment overrides their values."""
    env = dict(
        re.findall(r"^(\w+(?:_PASSWORD|_KEY|_SECRET))=(.*)$", (PROJECT / ".env").read_text(), re.M)
    )
    found = {name: stack.environment.get(name) or value for name, value in env.items()}
    return {name: value for name, value in found.items() if len(value) > 12}


def account_sums(
    stack: Stack, relation: str = "staging.transactions", role: str = "postgres"
) -> dict[str, tuple[Decimal, Decimal]]:
    """Return withdrawals and deposits by account from a relation of the warehouse."""
    rows = stack.query(
        "select account_number, coalesce(sum(withdrawal_amount), 0),"
        f" coalesce(sum(deposit_amount), 0) from {relation} group by 1",
        role=role,
    )
    return {account: (withdrawn, deposited) for account, withdrawn, deposited in rows}


class Api:
    """A client of a JSON REST API that keeps the cookies and headers of its login."""

    def __init__(self, port: str) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.address = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
        self.headers = {"Content-Type": "application/json"}

    def __call__(self, path: str, body: dict | None = None, method: str | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, self.headers, method=method)
        with self.opener.open(request, timeout=30) as answer:
            return json.load(answer)


def airflow_api(environment: dict[str, str]) -> Api:
    """Log in to a stack's Airflow as the administrator."""
    api = Api(environment["AIRFLOW_PORT"])
    login = {"username": "airflow", "password": environment["AIRFLOW_ADMIN_PASSWORD"]}
    api.headers["Authorization"] = f"Bearer {api('/auth/token', login)['access_token']}"
    return api


def superset_api(environment: dict[str, str]) -> Api:
    """Log in to a stack's Superset as the administrator."""
    api = Api(environment["SUPERSET_PORT"])
    login = {"username": "admin", "password": environment["SUPERSET_ADMIN_PASSWORD"]}
    token = api("/api/v1/security/login", login | {"provider": "db"})["access_token"]
    api.headers["Authorization"] = f"Bearer {token}"
    api.headers["X-CSRFToken"] = api("/api/v1/security/csrf_token/")["result"]
    return api


def add_chart(environment: dict[str, str], name: str) -> int:
    """Create a chart through the API, as a user would, and return its id."""
    superset = superset_api(environment)
    dataset = superset("/api/v1/dataset/")["result"][0]
    body = {"datasource_id": dataset["id"], "datasource_type": "table", "viz_type": "table"}
    return superset("/api/v1/chart/", body | {"slice_name": name, "params": "{}"})["id"]


def amount(text: str) -> Decimal:
    """Parse an amount of a bank statement. An empty text is 0."""
    return Decimal(text.replace(",", "").strip() or 0)


def task_states(trigger: subprocess.CompletedProcess) -> list[tuple[str, str]]:
    """Return each task and its final state, in the order in which `make trigger` printed them."""
    return re.findall(r"[✓✗] (\w+) +(success|failed|upstream_failed) ", trigger.stdout)


def listen(received: list[str]) -> http.server.HTTPServer:
    """Start an HTTP server that appends each posted alert or batch of metrics to the list."""

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(body.decode(errors="replace"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def stack_environment(folder: Path) -> dict[str, str]:
    """Return the settings of an isolated stack: separate folder, ports and secrets."""
    names = (
        *("POSTGRES", "LOADER", "TRANSFORMER", "REPORTER"),
        *("AIRFLOW_DB", "AIRFLOW_ADMIN", "SUPERSET_DB", "SUPERSET_ADMIN"),
    )
    return os.environ | {
        "ELT_ENV": "test",
        "STATE_DIR": str(folder / "state"),
        "DATA_DIR": str(folder / "data"),
        "BACKUP_DIR": str(folder / "backups"),
        "WAREHOUSE_PORT": str(free_port()),
        "AIRFLOW_PORT": str(free_port()),
        "SUPERSET_PORT": str(free_port()),
        **{f"{name}_PASSWORD": secrets.token_urlsafe(16) for name in names},
    }


def docker(*arguments: str) -> str:
    """Run docker and return its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
