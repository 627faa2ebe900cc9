"""Tests of the numbers in messages and metrics, read from a real Postgres."""

import base64
import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta

import metrics
import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from common.findings import TASK, Ended, look, without_numbers

BEGAN = datetime.now(UTC) - timedelta(hours=12)
LOAD, TEST = "parse_and_populate_csv", "test_transformed_data"
# The columns that the queries read, as the loader and dbt define them.
TABLES = """
create schema if not exists raw;
create schema if not exists marts;
create schema if not exists audit;
create table raw._loads (
    table_name text, load_id bigint generated always as identity, source_file text, status text,
    error text, rows_read bigint default 0, rows_loaded bigint default 0,
    rows_duplicate bigint default 0, rows_rejected bigint default 0, rows_skipped bigint default 0,
    started_at timestamptz, finished_at timestamptz
);
create table audit.test_results (
    invocation_id uuid, test_name text, status text, failures bigint, failing_rows text,
    message text, executed_at timestamptz
);
create table audit.source_freshness (
    source_name text, status text, last_load_at timestamptz, warn_after interval,
    error_after interval, message text, checked_at timestamptz
);
create table marts.balance_breaks (
    account_id uuid, source text, currency text, kind text, source_file_after text,
    source_line_after bigint, date_after date, difference numeric(18, 2), hint text,
    accepted_reason text
);
"""


class Warehouse:
    """An empty database with TABLES."""

    def __init__(self, name: str) -> None:
        connection = {
            "conn_type": "postgres", "host": os.environ["PGHOST"],
            "port": int(os.environ["PGPORT"]), "schema": name,
            "login": os.environ["PGUSER"], "password": os.environ["PGPASSWORD"],
        }  # fmt: skip
        self.connection = json.dumps(connection)
        self.name = name

    def run(self, sql: str, *parameters: object) -> None:
        with closing(psycopg2.connect(dbname=self.name)) as session, session:
            session.cursor().execute(sql, parameters)

    def load(self, file: str, status: str, hours: float = 1, **counts: int) -> None:
        """Add a load that ended some hours after BEGAN."""
        names = "".join(f", {name}" for name in counts)
        values = ", %s" * len(counts)
        self.run(
            "insert into raw._loads (table_name, source_file, status, error, started_at,"
            f" finished_at{names}) values ('transactions', %s, %s, %s, %s, %s{values})",
            file, status, "line 3 is bad." if status == "failed" else None,
            BEGAN + timedelta(hours=hours - 0.5), BEGAN + timedelta(hours=hours), *counts.values(),
        )  # fmt: skip

    def tested(self, invocation: int, hours: float = 1, **results: str) -> None:
        """Add the results of a `dbt test`: the status of each test, or the number of its rows."""
        for name, status in results.items():
            failures = int(status) if status.isdecimal() else 0
            self.run(
                "insert into audit.test_results values (%s, %s, %s, %s, %s, %s, %s)",
                f"00000000-0000-0000-0000-{invocation:012}", name,
                "fail" if failures else status, failures, f"audit.{name}", "it broke",
                BEGAN + timedelta(hours=hours),
            )  # fmt: skip

    def broken(self, account: int, currency: str | None, difference: float, **row: object) -> None:
        """Add a break of the balance chain."""
        row = {"kind": "broken", "date_after": "2019-07-03", "accepted_reason": None} | row
        self.run(
            "insert into marts.balance_breaks values (%s, 'transactions', %s, %s, 'july.csv', 12,"
            " %s, %s, 'A row is missing.', %s)",
            f"00000000-0000-0000-0000-{account:012}", currency, row["kind"], row["date_after"],
            difference, row["accepted_reason"],
        )  # fmt: skip

    def look(self, task: str, reason: str = "", partial: bool = False, **known: list[str]):
        """Return the findings at the end of a task."""
        from airflow.sdk import Connection

        connection = Connection.from_json(self.connection, conn_id="warehouse")
        kinds = {"load": (), "tests": (), "balances": (), "freshness": ()}
        return look(connection, Ended(task, reason, BEGAN, partial), kinds | known)


@pytest.fixture
def warehouse():
    if "PGHOST" not in os.environ:
        pytest.fail("PGHOST is not set: run this test with `make test`", pytrace=False)
    name = f"airflow_{os.getpid()}"
    with closing(psycopg2.connect(dbname="postgres")) as admin:
        admin.autocommit = True
        admin.cursor().execute(f"create database {name}")
        try:
            warehouse = Warehouse(name)
            warehouse.run(TABLES)
            yield warehouse
        finally:
            admin.cursor().execute(f"drop database {name} with (force)")


def lines(finding) -> dict[str, str]:
    return {key: problem.line for key, problem in finding.problems.items()}


def test_a_failed_load_names_the_files_of_this_run(warehouse):
    warehouse.load("old.csv", "failed", hours=-1)
    warehouse.load("bad.csv", "failed", rows_read=1234, rows_rejected=1)
    warehouse.load("good.csv", "loaded", rows_loaded=10)
    finding = warehouse.look(LOAD, "exit code 2", load=["old.csv", "bad.csv"])["load"]
    assert finding.title == f"{LOAD} failed: 1 bad file"
    assert lines(finding) == {
        "bad.csv": "bad.csv: line 3 is bad. None of its rows were loaded"
        " (1,234 rows read, 1 rejected)."
    }
    assert finding.solved == {"old.csv"}  # the run read all files, and this one failed no more
    assert finding.notes == ["This run has loaded 1 other file, with 10 new rows."]


def test_a_run_of_one_file_ends_only_the_problems_of_loaded_files(warehouse):
    warehouse.load("one.csv", "failed", hours=-2)
    warehouse.load("two.csv", "failed", hours=-2)
    warehouse.load("one.csv", "loaded")
    known = ["one.csv", "two.csv", TASK]
    assert warehouse.look(LOAD, partial=True, load=known)["load"].solved == {"one.csv", TASK}
    assert warehouse.look(LOAD, load=known)["load"].solved == set(known)


def test_a_load_that_fails_before_it_reads_a_file_tells_its_last_line(warehouse):
    finding = warehouse.look(LOAD, "no retry: no file", load=["one.csv"])["load"]
    assert lines(finding) == {TASK: "no retry: no file"}
    assert finding.solved == ()


def test_failed_tests_are_told_with_their_rows_and_warnings_decide_nothing(warehouse):
    warehouse.tested(1, hours=-1, old="5")
    warehouse.tested(2, rows="1234", broke="error", warned="warn", passed="pass")
    known = ["rows", "warned", "passed", "removed"]
    found = warehouse.look(TEST, "exit code 1", tests=known)
    assert found["tests"].title == f"{TEST} failed: 2 of 4 tests"
    assert lines(found["tests"]) == {
        "rows": "rows: 1,234 rows, in audit.rows",
        "broke": "broke: it broke",
    }
    assert found["tests"].solved == {"passed", "removed"}
    assert not found["balances"].problems


def test_if_dbt_stores_no_result_only_the_task_is_told(warehouse):
    warehouse.tested(1, hours=-1, one="5", balances_reconcile="5")
    found = warehouse.look(TEST, "killed", tests=["one"], balances=["balances_reconcile"])
    assert lines(found["tests"]) == {TASK: "killed"}
    assert found["tests"].solved == found["balances"].solved == ()
    assert not found["balances"].problems


def test_breaks_are_counted_by_account_and_summed_by_currency(warehouse):
    warehouse.tested(1, balances_reconcile="3", other="pass")
    warehouse.broken(1, "USD", -40.5)
    warehouse.broken(1, "USD", 1000, date_after="2019-07-01")
    warehouse.broken(2, None, 5)
    warehouse.broken(3, "EUR", 7, kind="gap")
    warehouse.broken(4, "EUR", 7, accepted_reason="known")
    found = warehouse.look(TEST, "exit code 1")
    assert not found["tests"].problems
    size = "3 breaks in 2 accounts, 1,040.50 USD and 5.00 without a currency"
    assert found["balances"].title == f"balances do not add up: {size}"
    assert lines(found["balances"])["balances_reconcile"] == (
        f"{size}. The first one is at line 12 of july.csv (2019-07-01): A row is missing."
    )


@pytest.mark.parametrize(("status", "solved"), [("pass", 1), ("warn", 0)])
def test_only_a_passed_test_ends_the_breaks(warehouse, status, solved):
    warehouse.tested(1, balances_reconcile=status)
    found = warehouse.look(TEST, balances=["balances_reconcile"])["balances"]
    assert not found.problems
    assert len(found.solved) == solved


def test_late_sources_are_told_with_their_limits(warehouse):
    for name, status, age in (
        ("fresh", "pass", 1), ("late", "warn", 40), ("never", "error", None),
        ("strange", "runtime error", None),
    ):  # fmt: skip
        warehouse.run(
            "insert into audit.source_freshness values (%s, %s, now() - %s * interval '1 hour',"
            " '36 hours', '3 days', 'no such table', %s)",
            name, status, age, BEGAN,
        )  # fmt: skip
    known = ["fresh", "late", TASK]
    finding = warehouse.look("check_source_freshness", "exit code 1", freshness=known)["freshness"]
    assert finding.title == "3 sources late"
    assert finding.solved == {"fresh", TASK}
    told = lines(finding)
    assert told["late"].startswith("late: the last file was loaded 20")
    assert "UTC, 40 hours ago." in told["late"]
    expected = "Expected: a new file within 36 hours (late), 72 hours (error)."
    assert told["never"] == f"never: no file was ever loaded. {expected}"
    assert told["strange"] == "strange: the check failed: no such table"


def test_the_session_only_reads_and_ends_long_statements(warehouse):
    from airflow.sdk import Connection

    from warehouse import connect

    connection = Connection.from_json(warehouse.connection, conn_id="warehouse")
    with closing(connect(connection)) as session, session.cursor() as cursor:
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("delete from raw._loads")
        cursor.execute("show statement_timeout")
        assert cursor.fetchone()[0] == "4s"


def test_without_the_warehouse_one_kind_tells_the_failure_and_no_kind_a_success():
    error = psycopg2.OperationalError("connection\nrefused")
    failed = without_numbers(Ended(TEST, "a reason", BEGAN, False), error)
    assert {kind: lines(finding) for kind, finding in failed.items()} == {
        "tests": {TASK: "a reason"}
    }
    assert failed["tests"].notes == [
        "This message has no numbers of the warehouse: connection refused"
    ]
    assert without_numbers(Ended(TEST, "", BEGAN, False), error) == {}


@pytest.fixture
def page(monkeypatch):
    """Return a function that reads the page /metrics, with a password."""
    monkeypatch.setenv("AIRFLOW_METRICS_PASSWORD", "the-password")
    client = TestClient(metrics.Metrics(Starlette()))

    def read(password: str):
        login = base64.b64encode(f"metrics:{password}".encode()).decode()
        return client.get("/metrics", headers={"Authorization": f"Basic {login}"})

    return read


def samples(answer) -> dict[tuple, float]:
    """Return the value of each sample, by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_page_has_the_numbers_of_the_warehouse(warehouse, page, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_TRANSFORMER", warehouse.connection)
    warehouse.load("one.csv", "failed", hours=1)
    warehouse.load("one.csv", "loaded", hours=2, rows_loaded=10, rows_duplicate=3)
    warehouse.load("two.csv", "failed", hours=3)
    warehouse.load("removed.csv", "failed", hours=-48)
    warehouse.tested(1, rows="1234", passed="pass", also="pass")
    warehouse.broken(1, "USD", -40.5)
    found = samples(page("the-password"))
    assert found == {
        ("elt_warehouse_up",): 1,
        ("elt_loads_total", "transactions", "loaded"): 1,
        ("elt_loads_total", "transactions", "failed"): 3,
        ("elt_load_rows_total", "loaded", "transactions"): 10,
        ("elt_load_rows_total", "duplicate", "transactions"): 3,
        ("elt_load_rows_total", "rejected", "transactions"): 0,
        ("elt_load_rows_total", "skipped", "transactions"): 0,
        ("elt_last_load_timestamp_seconds", "transactions"): pytest.approx(
            BEGAN.timestamp() + 7200
        ),
        ("elt_last_load_duration_seconds", "transactions"): 1800,
        ("elt_failing_files", "transactions"): 1,
        ("elt_tests", "fail"): 1,
        ("elt_tests", "pass"): 2,
        ("elt_test_failing_rows", "rows"): 1234,
        ("elt_test_failing_rows", "passed"): 0,
        ("elt_test_failing_rows", "also"): 0,
        ("elt_balance_breaks", "broken"): 1,
        ("elt_balance_breaks", "doubled"): 0,
        ("elt_balance_breaks", "gap"): 0,
    }


def test_without_the_warehouse_the_page_says_so(page):
    assert samples(page("the-password")) == {("elt_warehouse_up",): 0}


def test_the_page_needs_the_password_and_other_pages_are_untouched(page):
    assert page("wrong").status_code == 401
    assert page("").status_code == 401
    client = TestClient(metrics.Metrics(Starlette()))
    assert client.get("/metrics").status_code == 401
    assert client.get("/other").status_code == 404


def test_without_a_password_there_is_no_page():
    assert metrics.MetricsPlugin.fastapi_root_middlewares == []
