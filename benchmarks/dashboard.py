"""Time the queries of the Superset dashboard."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2

from steps import PROJECT

SUPERSET = PROJECT / "superset"
ROLE = "reporter"  # Superset's role in the warehouse


def queries() -> dict[str, str]:
    """Return the SQL of each chart, as Superset itself builds it from its assets.

    Raises:
        SystemExit: Superset failed.
    """
    script = Path(__file__).with_name("chart_queries.py")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "queries.json")
        settings = {
            "ALLOW_DEMO_LOGINS": "true",
            "PYTHONPATH": str(SUPERSET),
            "SUPERSET_DATABASE_URI": f"sqlite:///{folder}/superset.db",
            "SUPERSET_HOME": folder,
            "SUPERSET_SECRET_KEY": secrets.token_urlsafe(),
        }
        process = subprocess.run(
            [SUPERSET / ".venv" / "bin" / "python", script, file], env=os.environ | settings,
            capture_output=True, text=True,
        )  # fmt: skip
        if process.returncode != 0:
            sys.exit(f"{script.name} failed:\n{process.stdout}{process.stderr}")
        return json.loads(file.read_text())


def measure(statements: dict[str, str]) -> dict[str, float]:
    """Run each statement twice as Superset's role; return the seconds of its second run by name."""
    seconds = {}
    password = os.environ[f"{ROLE.upper()}_PASSWORD"]
    with contextlib.closing(psycopg2.connect(user=ROLE, password=password)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name, statement in statements.items():
                for _ in range(2):  # the first run warms the cache
                    start = time.monotonic()
                    cursor.execute(statement)
                    cursor.fetchall()
                    seconds[name] = time.monotonic() - start
    return seconds
