"""Tests of messages: when one is sent, what it says, and that no service can hold up a task."""

import http.server
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import TaskInstanceState
from conftest import AIRFLOW

from common import alerts
from common.alerts import alert_callbacks, compare, within
from common.findings import Finding, Problem

# The first message of a process imports Apprise, for which a busy machine needs seconds.
importlib.import_module("airflow.providers.apprise.hooks.apprise")
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
HIDDEN = "the-token-of-the-service"


def finding(**problems: str) -> Finding:
    """Return a finding in which every problem that it does not have is solved."""
    found = {key: Problem(f"{key}: {fact}", fact) for key, fact in problems.items()}
    return Finding("it failed", "it is fine again", found, {"one", "two"} - found.keys())


def tell(told: dict, now: datetime, remind: timedelta | None = WEEK, **problems: str):
    """Return the type, the lines and the new state of the message; without one, the old state."""
    message = compare(finding(**problems), told, now, remind)
    return (message.type, message.lines, message.told) if message else (None, [], told)


def test_a_problem_is_told_once_then_its_change_then_its_end():
    kind, lines, told = tell({}, NOON, one="2 rows")
    assert (kind, lines) == ("failure", ["one: 2 rows"])
    assert tell(told, NOON + DAY, one="2 rows") == (None, [], told)
    kind, lines, told = tell(told, NOON + 2 * DAY, one="3 rows")
    assert (kind, lines) == ("failure", ["one: 3 rows (since 2026-11-29 12:00 UTC)"])
    kind, lines, told = tell(told, NOON + 3 * DAY)
    assert (kind, lines) == ("success", ["Fine again: one, after 3 days."])
    assert tell(told, NOON + 4 * DAY) == (None, [], told)


def test_one_of_two_problems_ends():
    _, _, told = tell({}, NOON, one="2 rows", two="1 row")
    kind, lines, told = tell(told, NOON + timedelta(hours=3), two="1 row")
    assert kind == "failure"
    assert lines == ["two: 1 row (since 2026-11-29 12:00 UTC)", "Fine again: one, after 3 hours."]
    assert told["problems"].keys() == {"two"}


def test_a_problem_that_a_run_did_not_look_at_stays_open():
    _, _, told = tell({}, NOON, one="2 rows")
    nothing = Finding("", "it is fine again")
    assert compare(nothing, told, NOON + DAY, WEEK) is None
    other = Finding("it failed", "", {"other": Problem("other", "other")})
    message = compare(other, told, NOON + DAY, WEEK)
    assert message.lines == ["other", "Still open from earlier runs: one."]
    assert message.told["problems"].keys() == {"one", "other"}


@pytest.mark.parametrize(("remind", "days"), [(WEEK, [7, 14]), (None, []), (timedelta(), [1, 2])])
def test_an_unchanged_problem_is_told_again_after_the_reminder(remind, days):
    _, _, told = tell({}, NOON, one="2 rows")
    reminded = []
    for number in range(1, 15):
        kind, _, told = tell(told, NOON + number * DAY, remind, one="2 rows")
        reminded += [number] * bool(kind)
    assert reminded[: len(days)] == days
    assert bool(reminded) == bool(days)


def test_a_message_is_short():
    lines = alerts.shorten(["x" * 1000] * 100)
    assert len(lines) == 11
    assert max(map(len, lines)) == 401
    assert lines[-1] == "… and 90 more"


class Receiver(http.server.BaseHTTPRequestHandler):
    """A service that answers as the test sets: a status, or one byte a second."""

    status: int | None = 200

    def do_POST(self):
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.status:
            self.send_response(self.status)
            self.end_headers()
            return
        for _ in range(60):
            self.wfile.write(b"H")
            time.sleep(1)

    def log_message(self, *_):
        pass


@pytest.fixture
def service(monkeypatch):
    """Yield a service, with ALERT_URL set to it. The variables of Airflow are in `variables`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.bodies, server.variables = [], {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    set_address(monkeypatch, f"json://127.0.0.1:{server.server_port}/{HIDDEN}")
    variables = SimpleNamespace(
        get=lambda name, default, **_: server.variables.get(name, default),
        set=lambda name, value, **_: server.variables.update({name: value}),
    )
    monkeypatch.setattr(alerts, "Variable", variables)
    monkeypatch.setattr(alerts, "SENDING_LIMIT", 2)
    yield server
    server.shutdown()


def set_address(monkeypatch, address: str) -> None:
    config = [{"path": address, "tag": "alerts"}]
    connection = {"conn_type": "apprise", "extra": {"config": config}}
    monkeypatch.setenv("AIRFLOW_CONN_APPRISE_DEFAULT", json.dumps(connection))


def end(state: TaskInstanceState, **context: object) -> None:
    """Call back for the task transform_data, with a warehouse that does not exist."""
    ti = SimpleNamespace(
        task_id="transform_data", dag_id="transactions_elt", state=state,
        start_date=NOON, log_url="http://localhost/run",
    )  # fmt: skip
    alerts.tell_changes({"ti": ti, **context})


def test_without_the_warehouse_a_failure_is_told_without_numbers(service, monkeypatch):
    monkeypatch.setenv("ELT_ENV", "prod")
    end(TaskInstanceState.FAILED, exception=ValueError("Done. ERROR=1"))
    (body,) = service.bodies
    assert body["title"] == "[prod] transactions_elt: transform_data failed"
    first, second, last = body["message"].splitlines()
    assert first == "Done. ERROR=1"
    assert second.startswith("This message has no numbers of the warehouse: ")
    assert "warehouse.example" in second
    assert last == "Run: http://localhost/run"
    assert service.variables["alert_transform"]["problems"].keys() == {"the task"}


def test_a_task_whose_process_died_is_told(service):
    end(None)
    assert service.bodies[0]["message"].startswith("the process of the task died")


@pytest.mark.parametrize(
    ("status", "address", "reason"),
    [
        (500, None, "answered with status 500"),
        (None, None, "no answer within 2 s"),
        (200, f"json://127.0.0.1:9/{HIDDEN}", "did not accept the message"),
        (200, f"no-such-service://{HIDDEN}", "is no address that Apprise knows"),
    ],
    ids=["an error", "slow", "down", "unknown"],
)
def test_a_broken_service_costs_one_warning_and_the_message_is_repeated(
    service, monkeypatch, caplog, capfd, status, address, reason
):
    monkeypatch.setattr(Receiver, "status", status)
    if address:
        set_address(monkeypatch, address)
    end(TaskInstanceState.FAILED, exception=ValueError("a reason"))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([text for text in warnings if "an alert was not sent" in text]) == 1
    assert reason in warnings[-1]
    assert HIDDEN not in caplog.text + "".join(capfd.readouterr())
    assert "apprise" not in {record.name for record in caplog.records}  # they name addresses
    assert service.variables == {}
    monkeypatch.setattr(Receiver, "status", 200)
    set_address(monkeypatch, f"json://127.0.0.1:{service.server_port}")
    before = len(service.bodies)
    end(TaskInstanceState.FAILED, exception=ValueError("a reason"))
    assert len(service.bodies) == before + 1


def test_a_function_that_never_ends_is_left_alone():
    with pytest.raises(TimeoutError, match=r"no answer within 0.1 s"):
        within(0.1, threading.Event().wait)
    with pytest.raises(ValueError, match="wrong"):
        within(5, lambda: int("wrong"))


@pytest.mark.parametrize(
    ("address", "dags"),
    [
        ("none", {"transactions_elt"}),
        ("json://127.0.0.1:9", {"transactions_elt", "source_freshness"}),
    ],
)
def test_without_an_address_there_is_no_callback_and_no_second_dag(monkeypatch, address, dags):
    set_address(monkeypatch, address)
    bag = DagBag(AIRFLOW / "dags")
    assert bag.import_errors == {}
    assert set(bag.dags) == dags
    assert bool(alert_callbacks()) == (len(dags) == 2)
    for dag in bag.dags.values():
        assert len(dag.doc_md) > 500
        for task in dag.tasks:
            assert task.execution_timeout
            assert bool(task.has_on_failure_callback) == (len(dags) == 2)
            assert bool(task.has_on_success_callback) == (len(dags) == 2)
            assert task.task_id in alerts.FINDERS


@pytest.mark.parametrize("endpoint", ["", "http://localhost:4318"])
def test_metrics_are_on_only_with_an_endpoint(endpoint):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PYTHONPATH": str(AIRFLOW / "config")}
    script = (
        "from airflow.configuration import conf; import airflow_local_settings;"
        " print(conf.getboolean('metrics', 'otel_on'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | settings, capture_output=True, text=True
    )
    # Airflow logs to the same output when it turns its metrics on.
    assert str(bool(endpoint)) in done.stdout.split(), done.stderr
