"""`make demo`: start, load the sample through the DAG, and show what came of it."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg2.extras
import requests

from elt_stack.airflow_api import Airflow
from elt_stack.errors import StackError
from elt_stack.ports import session
from elt_stack.settings import WELL_KNOWN, Settings
from elt_stack.stack import Stack

DAG = "transactions_elt"
DASHBOARD = "/superset/dashboard/monitoring/"
SAMPLE = "transactions_data.csv"
FAILS_BY_DESIGN = "value_date_greater_than_transaction_date"

LOADS = """
    select coalesce(sum(rows_read), 0) as rows_read,
           coalesce(sum(rows_duplicate), 0) as rows_duplicate,
           coalesce(sum(rows_rejected), 0) as rows_rejected,
           coalesce(sum(rows_loaded), 0) as rows_loaded,
           array_agg(distinct source_file) filter (where status = 'loaded') as files
    from raw._loads
    where table_name = 'transactions'
"""
TESTS = """
    select test_name, status, failures, failing_rows
    from audit.test_results
    where executed_at >= %s
    order by test_name
"""
ACCOUNTS = """
    select account_number,
           count(*) as transactions,
           sum(withdrawal_amount) as withdrawals,
           sum(deposit_amount) as deposits
    from staging.transactions
    group by account_number
"""


def airflow(settings: Settings) -> Airflow:
    """The stack's Airflow, with the login of .env."""
    return Airflow(
        f"http://127.0.0.1:{settings['AIRFLOW_PORT']}",
        settings["AIRFLOW_ADMIN_USER"],
        settings["AIRFLOW_ADMIN_PASSWORD"],
    )


def run_dag(settings: Settings, **params) -> dict[str, dict]:
    """Trigger the DAG as a click in the UI does, and print each task's end.

    Args:
        settings: of the stack.
        **params: fields of the trigger form.

    Returns:
        The task instances of the run by their ids.
    """
    api = airflow(settings)
    run_id = api.trigger(DAG, **params)
    print(f"run {run_id}", flush=True)
    tasks = {}
    for task in api.watch(DAG, run_id):
        tasks[task["task_id"]] = task
        mark = "✓" if task["state"] == "success" else "✗"
        took = f"{task['duration'] or 0:6.1f} s"
        print(f"  {mark} {task['task_id']:<26}{task['state']:<10}{took}", flush=True)
    return tasks


@dataclass
class Outcome:
    """What the warehouse holds after a run.

    Attributes:
        loads: sums over all loads of raw.transactions, and the files' names.
        tests: the results of the newest `dbt test`, a row each.
        accounts: transactions and sums of staging per account.
        raw_rows, staging_rows: how many each table holds.
    """

    loads: dict
    tests: list[dict]
    accounts: list[dict]
    raw_rows: int
    staging_rows: int

    @classmethod
    def read(cls, settings: Settings, since) -> Outcome:
        """Read it, tests from `since` (a time) on."""
        with (
            contextlib.closing(settings.server.connect()) as connection,
            connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
        ):

            def rows(statement: str, *values) -> list[dict]:
                cursor.execute(statement, values)
                return cursor.fetchall()

            return cls(
                loads=rows(LOADS)[0],
                tests=rows(TESTS, since),
                accounts=rows(ACCOUNTS),
                raw_rows=rows("select count(*) from raw.transactions")[0]["count"],
                staging_rows=rows("select count(*) from staging.transactions")[0]["count"],
            )

    @property
    def failed_tests(self) -> list[dict]:
        """Those that did not pass."""
        return [test for test in self.tests if test["status"] in ("fail", "error")]

    def table(self) -> str:
        """The few lines that a person reads at the end."""
        passed = sum(test["status"] == "pass" for test in self.tests)
        lines = [
            ("rows read", self.loads["rows_read"]),
            ("  duplicates removed", self.loads["rows_duplicate"]),
            ("  rejected", self.loads["rows_rejected"]),
            ("  loaded into raw.transactions", self.loads["rows_loaded"]),
            ("rows of staging.transactions", self.staging_rows),
            ("tests passed", passed),
            ("tests failed", len(self.failed_tests)),
        ]
        text = [f"  {name:<34}{number:>10,}" for name, number in lines]
        for test in self.failed_tests:
            text.append(f"    ✗ {test['test_name']}: {test['failures']:,} rows")
            text.append(f"      look at them in {test['failing_rows']}")
            if test["test_name"] == FAILS_BY_DESIGN:
                text.append("      (meant to fail: it shows backdated transactions)")
        return "\n".join(text)

    def differences(self, truth: dict) -> list[str]:
        """What differs from the sample's truth, a line each; none where all is as it should be."""
        accounts = {row["account_number"]: row for row in self.accounts}
        expected = [
            ("rows read", truth["rows"], self.loads["rows_read"]),
            ("duplicates", truth["duplicates"], self.loads["rows_duplicate"]),
            ("rejected", 0, self.loads["rows_rejected"]),
            ("raw rows", truth["rows"] - truth["duplicates"], self.raw_rows),
            ("staging rows", truth["rows"] - truth["duplicates"], self.staging_rows),
            ("accounts", sorted(truth["accounts"]), sorted(accounts)),
            (
                "failed tests",
                [(FAILS_BY_DESIGN, truth["backdated"])],
                [(test["test_name"], test["failures"]) for test in self.failed_tests],
            ),
        ]
        for number, account in truth["accounts"].items():
            for column in ("withdrawals", "deposits"):
                found = accounts.get(number, {}).get(column)
                expected.append((f"{column} of {number}", Decimal(account[column]), found))
        return [
            f"{what}: {found} instead of {should}"
            for what, should, found in expected
            if found != should
        ]


def addresses(settings: Settings) -> str:
    """Where to go and how to log in."""
    airflow = f"http://localhost:{settings['AIRFLOW_PORT']}"
    dashboard = f"http://localhost:{settings['SUPERSET_PORT']}{DASHBOARD}"
    return "\n".join(
        [
            f"  Airflow    {airflow}   {_login(settings, 'AIRFLOW')}",
            f"  Warehouse  localhost:{settings['WAREHOUSE_PORT']}/warehouse   make psql",
            f"  Dashboard  {dashboard}   {_login(settings, 'SUPERSET')}",
        ]
    )


def _login(settings: Settings, program: str) -> str:
    """Name and password, which is shown where it is the well-known one of the demo."""
    password = settings[f"{program}_ADMIN_PASSWORD"]
    if settings["ELT_ENV"] != "dev" or password not in WELL_KNOWN:
        password = f"({program}_ADMIN_PASSWORD in .env)"
    return f"{settings[f'{program}_ADMIN_USER']} / {password}"


def superset_answers(settings: Settings) -> bool:
    """Whether Superset serves, which it does once its dashboard is imported."""
    try:
        return session().get(f"http://127.0.0.1:{settings['SUPERSET_PORT']}/health", timeout=10).ok
    except requests.RequestException:
        return False


def start(settings: Settings) -> None:
    """Bring the stack up, saying so where it is not; returns when Airflow can run the DAG."""
    api, stack, began = airflow(settings), Stack(settings), time.monotonic()
    if stack.running() and api.healthy():
        return
    print("starting Postgres, Airflow and Superset …", flush=True)
    stack.up(api.answers)
    stack.wait_for("airflow-scheduler", lambda: api.healthy() and api.has_dag(DAG))
    print(f"Airflow is ready after {time.monotonic() - began:.0f} s", flush=True)


def wait_for_superset(settings: Settings) -> None:
    """Return when the dashboard can be looked at.

    Raises:
        StackError: Superset did not start, and why.
    """
    Stack(settings).wait_for("superset", lambda: superset_answers(settings))


def demo(settings: Settings) -> int:
    """Start, run the DAG, print the result.

    Returns:
        0 when all is as the sample's truth says; 1 with a line for each difference otherwise.

    Raises:
        StackError: the stack did not start.
    """
    start(settings)
    since = settings.server.now()
    tasks = run_dag(settings)
    broken = [
        name for name, task in tasks.items()
        if task["state"] != "success" and name != "test_transformed_data"
    ]  # fmt: skip
    if broken:
        print("the log of the task that failed: `make logs`, or in Airflow's UI")
        print(addresses(settings))
        return 1
    outcome = Outcome.read(settings, since)
    print(f"\n{outcome.table()}\n")
    status = _verdict(outcome, settings.data_dir / SAMPLE.replace(".csv", ".truth.json"))
    wait_for_superset(settings)
    print(addresses(settings))
    return status


def _verdict(outcome: Outcome, truth_file: Path) -> int:
    """Compare with the sample's truth, where it is the sample that was loaded."""
    if not truth_file.exists() or outcome.loads["files"] != [SAMPLE]:
        return 1 if [t for t in outcome.failed_tests if t["test_name"] != FAILS_BY_DESIGN] else 0
    try:
        differences = outcome.differences(json.loads(truth_file.read_text()))
    except (ValueError, KeyError) as error:
        raise StackError(f"{truth_file} cannot be read ({error}): `git checkout` it") from None
    for line in differences:
        print(f"  differs from the sample's truth: {line}")
    if not differences:
        print(f"  as the sample's truth says: {len(outcome.accounts)} accounts, to the cent\n")
    return 1 if differences else 0
