"""Configure a temporary Airflow home before any test imports Airflow."""

import atexit
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

AIRFLOW = Path(__file__).resolve().parents[1]
HOME = tempfile.mkdtemp(prefix="elt-airflow-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

for name in list(os.environ):
    if name.startswith(("AIRFLOW", "ELT_")):
        del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW_CONFIG": str(AIRFLOW / "config" / "airflow.cfg"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(AIRFLOW / "dags"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__API_AUTH__JWT_SECRET": "only a test's " + "x" * 64,
    "AIRFLOW_CONN_WAREHOUSE_LOADER": json.dumps(
        {
            "conn_type": "postgres",
            "host": "warehouse.example",
            "port": 5433,
            "schema": "warehouse",
            "login": "loader",
            "password": "the loader's password",
        }
    ),
    "LOADER_DUPLICATES": "drop",
    "LOADER_MAX_REJECTS": "0",
    "DAG_SCHEDULE": "0 0 * * *",
    "TASK_RETRIES": "3",
    "BACKDATED_TRANSACTIONS": "error",
    "UNRECONCILED_BALANCES": "error",
}
os.environ["AIRFLOW_CONN_WAREHOUSE_TRANSFORMER"] = os.environ["AIRFLOW_CONN_WAREHOUSE_LOADER"]
# A fake component's program. It records its call in a file. If its last argument is a number, the
# number is its exit code.
PROGRAM = """#!{python}
import json, os, sys
json.dump({{"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}},
          open("call.json", "w"))
print("the first line\\nthe last line")
sys.exit(int(sys.argv[-1]) if sys.argv[-1].isdecimal() else 0)
"""


def add_program(folder: Path, name: str) -> Path:
    """Make a component with a fake program in its environment; return its folder."""
    component = folder / name
    program = component / ".venv" / "bin" / name.replace("_", "-")
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return component


@pytest.fixture
def component(tmp_path, monkeypatch):
    """Make a component named some_component with a fake program; return its folder."""
    monkeypatch.setenv("ELT_HOME", str(tmp_path))
    return add_program(tmp_path, "some_component")
