"""One real stack for all tests that need one: its own folder, ports and secrets."""

from __future__ import annotations

import csv
import http.server
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE = PROJECT / "data_ingestion" / "data" / "transactions_data.csv"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Truth:
    """What the sample holds, computed from the file with nothing of the project."""

    rows: int
    distinct: set[tuple]
    backdated: int
    sums: dict[str, tuple[Decimal, Decimal]]

    @property
    def duplicates(self) -> int:
        return self.rows - len(self.distinct)


@pytest.fixture(scope="session")
def truth() -> Truth:
    def day(text):
        return datetime.strptime(text, "%b %d, %y")

    def amount(text):
        return Decimal(text.replace(",", "").strip() or 0)

    with SAMPLE.open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    distinct = set(rows)
    sums = defaultdict(lambda: (Decimal(0), Decimal(0)))
    for row in distinct:
        account = row[0].rstrip("'")
        withdrawn, deposited = sums[account]
        sums[account] = withdrawn + amount(row[5]), deposited + amount(row[6])
    backdated = sum(day(row[4]) < day(row[1]) for row in distinct)
    return Truth(len(rows), distinct, backdated, dict(sums))


@dataclass
class Stack:
    """A stack in a folder of its own, driven by the Makefile as a person drives it."""

    folder: Path
    environment: dict[str, str]
    alerts: list[str] = field(default_factory=list)

    def make(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=PROJECT, env=self.environment, timeout=timeout, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def connect(self, role: str = "postgres"):
        return psycopg2.connect(
            host="127.0.0.1", port=self.environment["WAREHOUSE_PORT"], dbname="warehouse",
            user=role, password=self.environment[f"{role.upper()}_PASSWORD"],
        )  # fmt: skip

    def query(self, statement: str, role: str = "postgres") -> list[tuple]:
        connection = self.connect(role)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()


def listen(alerts: list[str]) -> http.server.HTTPServer:
    """A service that hears of failures: it keeps what is posted to it."""

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            alerts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="session")
def stack():
    folder = Path(tempfile.mkdtemp(prefix="elt-stack-"))
    folder.chmod(0o755)  # Postgres, which runs as nobody when we are root, must get to its data
    (folder / "data").mkdir()
    for file in (SAMPLE, SAMPLE.with_suffix(".truth.json")):
        shutil.copy(file, folder / "data")
    alerts: list[str] = []
    listener = listen(alerts)
    names = ("POSTGRES", "LOADER", "TRANSFORMER", "REPORTER", "AIRFLOW_DB", "AIRFLOW_ADMIN")
    environment = os.environ | {
        "ELT_ENV": "test",
        "STATE_DIR": str(folder / "state"),
        "DATA_DIR": str(folder / "data"),
        "WAREHOUSE_PORT": str(free_port()),
        "AIRFLOW_PORT": str(free_port()),
        "ALERT_URL": f"json://127.0.0.1:{listener.server_port}",
        **{f"{name}_PASSWORD": secrets.token_urlsafe(16) for name in names},
    }
    running = Stack(folder, environment, alerts)
    try:
        yield running
    finally:
        running.make("demo-reset")
        listener.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
