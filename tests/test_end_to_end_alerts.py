"""People hear of failed loads, broken balances and late loads, and of their end; and metrics.

The tests of this file run in order on the stack of test_end_to_end.py. Each continues where the
previous one ended.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from harness import wait_until
from support import HEADER, PROJECT, Api, Stack, airflow_api

FILE = "transactions_alerts.csv"
FIRST = "778',01-Jul-19,FIRST,,2019-07-01,,100.00,100.00,.\n"
MISSING = "778',02-Jul-19,MISSING,,2019-07-02,,40.00,140.00,.\n"
LAST = "778',03-Jul-19,LAST,,2019-07-03,,10.00,150.00,.\n"


@pytest.fixture(scope="module", autouse=True)
def loaded(stack, truth):
    """Start the stack, load the sample if no other test did, and forget what was told."""
    assert stack.make("demo-up", timeout=900).returncode == 0
    if stack.query("select count(*) from raw.transactions")[0][0] < len(truth.distinct):
        stack.make("trigger")
    stack.query("delete from variable where key like 'alert_%' returning key", database="airflow")


def told(stack: Stack, number: int, action: Callable[[], object]) -> list[dict]:
    """Return the messages that an action causes, which may be a little later than its end."""
    before = len(stack.alerts)
    action()
    wait_until(lambda: len(stack.alerts) >= before + number)
    return [json.loads(alert) for alert in stack.alerts[before:]]


def trigger(stack: Stack, number: int, name: str, *lines: str) -> list[dict]:
    """Write a file, run the DAG on it, and return a number of messages."""
    (stack.data / name).write_text("".join([f"{HEADER}\n", *lines]))
    return told(stack, number, lambda: stack.make("trigger", f"FILE={name}", "BACKDATED=warn"))


def check_freshness(stack: Stack, number: int) -> list[dict]:
    """Run the DAG source_freshness, and return a number of messages."""

    def run() -> None:
        api = airflow_api(stack.environment)
        runs = "/api/v2/dags/source_freshness/dagRuns"
        run_id = api(runs, {"logical_date": None})["dag_run_id"]
        wait_until(lambda: api(f"{runs}/{run_id}")["state"] in ("success", "failed"), 120)

    return told(stack, number, run)


def assert_link_opens_the_run(stack: Stack, message: dict) -> None:
    link = re.search(
        r"^Run: http://localhost:(\d+)/dags/(\w+)/runs/([^/]+)/tasks/(\w+)\?try_number=1$",
        message["message"],
        re.MULTILINE,
    )
    port, dag, run, task = link.groups()
    assert port == stack.environment["AIRFLOW_PORT"]
    found = airflow_api(stack.environment)(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}")
    assert found["dag_run_id"] == unquote(run)


def test_a_bad_file_is_told_with_its_line_and_the_reason(stack):
    (message,) = trigger(stack, 1, FILE, FIRST, "778',02-Jul-19,too few\n")
    assert message["title"] == (
        "[test] transactions_elt: parse_and_populate_csv failed: 1 bad file"
    )
    assert message["type"] == "failure"
    assert re.search(rf"^{FILE}: .*\b3\b.*2 rows read, 1 rejected", message["message"])
    assert "line 3" in message["message"]
    assert_link_opens_the_run(stack, message)


def test_the_good_file_ends_the_problem_and_its_broken_balances_are_told(stack):
    fine, broken = trigger(stack, 2, FILE, FIRST, LAST)
    assert fine["title"] == "[test] transactions_elt: all files are loaded again"
    assert fine["type"] == "success"
    assert f"Fine again: {FILE}, after " in fine["message"]
    assert broken["title"] == (
        "[test] transactions_elt: balances do not add up: 1 break in 1 account, 40.00 USD"
    )
    assert f"line 3 of {FILE} (2019-07-03)" in broken["message"]
    assert "778" not in broken["message"]  # an account number is no business of a chat
    assert_link_opens_the_run(stack, broken)


def test_the_missing_row_ends_the_break(stack):
    (fine,) = trigger(stack, 1, "transactions_alerts_2.csv", MISSING)
    assert fine["title"] == "[test] transactions_elt: all balances add up again"
    assert fine["type"] == "success"


def test_a_late_load_is_told_and_its_end(stack):
    shift = (
        "update raw._loads set finished_at = finished_at {0} interval '100 hours',"
        " started_at = started_at {0} interval '100 hours' returning 1"
    )
    assert check_freshness(stack, 0) == []
    stack.query(shift.format("-"))
    # The check before was silent. Otherwise its message would be the first one now. If the hourly
    # check takes place meanwhile, it tells the same.
    late, *same = check_freshness(stack, 1)
    assert late["title"] == "[test] source_freshness: transactions is late"
    assert {message["title"] for message in same} <= {late["title"]}
    assert "100 hours ago" in late["message"]
    assert "Expected: a new file within 36 hours (late), 72 hours (error)." in late["message"]
    assert_link_opens_the_run(stack, late)
    stack.query(shift.format("+"))
    (fine,) = check_freshness(stack, 1)
    assert fine["title"] == "[test] source_freshness: transactions is on time again"


def test_every_metric_of_the_dashboard_arrives(stack):
    dashboard = (PROJECT / "deploy" / "grafana" / "dashboard.json").read_text()
    needed = set(re.findall(r"\b(?:airflow|elt)_\w+", dashboard))
    assert {"elt_loads_total", "airflow_scheduler_heartbeat_total"} <= needed
    login = f"metrics:{stack.environment['AIRFLOW_METRICS_PASSWORD']}".encode()
    api = Api(stack.environment["AIRFLOW_PORT"])
    authorization = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
    request = urllib.request.Request(f"{api.address}/metrics", headers=authorization)
    with api.opener.open(request, timeout=30) as page:
        scraped = set(re.findall(r"^(\w+)", page.read().decode(), re.MULTILINE))
    assert {name for name in needed if name.startswith("elt_")} <= scraped

    def sent() -> set[str]:
        """Return the names as Prometheus writes them. The two counters get the suffix."""
        names = re.findall(r"airflow\.[a-z_.]+", "".join(stack.metrics))
        return {name.replace(".", "_") for name in names}

    pushed = {name.removesuffix("_total") for name in needed if name.startswith("airflow_")}
    wait_until(lambda: pushed <= sent(), 90)
