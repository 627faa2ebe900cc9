"""Fixtures: a real Superset on a real Postgres, with the sample loaded by the loader and dbt.

The tests create two databases, the warehouse and Superset's metadata, and drop both at the end. The
loader, dbt and the exporter run in their own environments, as in the stack.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import uuid
from collections.abc import Iterator

import pytest

from tests.api import LOGIN, Api
from tests.stack import BROKEN, SAMPLE, Stack, charts
from tests.statements import ACCEPTED_BREAK, SECOND_BANK, STATEMENTS

# The grants of init_db.sql on the database itself. `create database … template` does not copy them.
GRANTS = """
revoke all on database {0} from public;
grant connect on database {0} to loader, transformer, reporter;
grant temporary on database {0} to loader, transformer;
"""
# An older test run with every possible status, so that each metric of the charts has a count.
OLDER_RUN = """
insert into audit.test_results
select gen_random_uuid(), test_name, tested_models, severity,
       (array['pass', 'warn', 'fail', 'error', 'skipped'])[1 + row_number() over () % 5],
       failures, failing_rows, message, duration_seconds, executed_at - interval '1 day'
from audit.test_results
"""


def pytest_configure() -> None:
    """Stop with one line if no Postgres is configured, so that no test fails with a traceback."""
    if "PGHOST" not in os.environ:
        pytest.exit("these tests need a Postgres: run them with `make test`", 2)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start Superset on an empty warehouse, then load the sample."""
    name, password = f"superset_test_{uuid.uuid4().hex[:12]}", secrets.token_urlsafe(16)
    folder, port = tmp_path_factory.mktemp("superset"), free_port()
    server_address = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}"
    stack = Stack(f"{name}_dwh", name, f"http://127.0.0.1:{port}", folder, {
        "ALLOW_DEMO_LOGINS": "true",
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
        types = ("--resource-type", "seed", "--resource-type", "model")  # as the DAG does
        stack.run("dbt", "dbt", "build", *types, role="transformer")
        server.wait_until_healthy(stack.address)
        admin = stack.admin()
        stack.empty |= {chart["slice_name"]: admin.data(chart) for chart in charts()}
        stack.restarted = stack.pool.submit(stack.restart)
        stack.broken |= {case: stack.pool.submit(stack.start_broken, case) for case in BROKEN}
        fill(stack)
        yield stack
    finally:
        stack.pool.shutdown(cancel_futures=True)
        if server:
            server.process.send_signal(signal.SIGINT)  # gunicorn's immediate shutdown
            server.process.wait(timeout=30)
        for database in (stack.warehouse, stack.metadata):
            stack.rows(f"drop database if exists {database} with (force)", "postgres")
        stack.rows(f"drop role if exists {name}", "postgres")


def fill(stack: Stack) -> None:
    """Run a load that fails, load all rows, run dbt, and add an older test run."""
    load = ("data_ingestion", "data-ingestion", "load")
    broken = stack.folder / "broken.csv"
    broken.write_text("no,such,columns\n1,2,3\n")
    stack.run(*load, str(broken), role="loader", status=2)
    header = SAMPLE.read_text().partition("\n")[0]
    files = [stack.folder / name for name in STATEMENTS]
    for file in files:
        file.write_text(f"{header}\n{STATEMENTS[file.name]}")
    stack.run(*load, *map(str, [SAMPLE, *files]), "--table", "transactions", role="loader")
    stack.rows(ACCEPTED_BREAK)
    stack.rows(SECOND_BANK)
    drop = ("--vars", "other_notation: drop")
    stack.run("dbt", "dbt", "run", *drop, role="transformer")
    stack.run("dbt", "dbt", "test", *drop, role="transformer", status=1)  # backdated transactions
    stack.rows(OLDER_RUN)


@pytest.fixture(scope="session")
def admin(stack: Stack) -> Api:
    """Return the API as the administrator."""
    return stack.admin()
