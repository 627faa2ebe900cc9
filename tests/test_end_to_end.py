"""`make demo`, later loads, crashes and restarts work on a real stack without Docker.

The tests of this file run in order on one stack; each continues where the previous one ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

from elt_stack.ports import free_port
from harness import wait_until
from lineage import assert_valid, datasets_after, jobs
from support import HEADER, PROJECT, THRESHOLD, Stack, account_sums, secrets_of, task_states

LINEAGE_KEY = "key-of-the-receiver"
BACKDATED = "value_date_greater_than_transaction_date"
REFUSED = (
    psycopg2.errors.InsufficientPrivilege,
    psycopg2.errors.ObjectNotInPrerequisiteState,  # a view that is not updatable
)


def counts(stack) -> tuple[int, int]:
    """Return the numbers of rows in raw and in staging."""
    raw = "(select count(*) from raw.transactions)"
    return stack.query(f"select {raw}, (select count(*) from staging.transactions)")[0]


def task_log(stack, task_id: str) -> str:
    """Return the log of the task's newest try."""
    logs = (stack.folder / "state" / "logs" / "tasks").glob(f"**/task_id={task_id}/*.log")
    newest = max(logs, key=lambda path: path.stat().st_mtime)
    return "\n".join(json.loads(line)["event"] for line in newest.read_text().splitlines())


def processes(status: str) -> dict[str, int]:
    """Parse the pids by process name from the output of `make demo-status`."""
    return {name: int(pid) for name, pid in re.findall(r"(\S+) +RUNNING +pid (\d+)", status)}


def kill(stack, *names: str) -> None:
    """Kill processes of supervisord with SIGKILL and wait until their successors are healthy."""
    before = processes(stack.make("demo-status").stdout)
    for name in names:
        os.kill(before[name], signal.SIGKILL)
    deadline = time.monotonic() + 90
    while True:
        status = stack.make("demo-status")
        now = processes(status.stdout)
        if status.returncode == 0 and all(now.get(name, 0) != before[name] for name in names):
            return
        assert time.monotonic() < deadline, status.stdout
        time.sleep(1.5)  # each check takes CPU time from the starting processes


def test_demo_reports_the_results_of_the_sample(stack, truth):
    alerts_before = len(stack.alerts)
    demo = stack.make("demo")
    assert demo.returncode == 0, demo.stdout

    def number(label: str) -> int:
        return int(re.search(rf"{label} +([\d,]+)", demo.stdout)[1].replace(",", ""))

    assert number("rows read") == truth.rows
    assert number("duplicates removed") == truth.duplicates
    assert number("rejected") == 0
    assert number("loaded into raw.transactions") == len(truth.distinct)
    assert number("rows of staging.transactions") == len(truth.distinct)
    assert number("tests failed") == 1
    assert number("tests passed") > 10
    assert f"{BACKDATED}: {truth.backdated:,} rows" in demo.stdout
    assert dict(task_states(demo)) == {
        "parse_and_populate_csv": "success",
        "transform_data": "success",
        "test_transformed_data": "failed",
    }
    assert f"http://localhost:{stack.environment['AIRFLOW_PORT']}" in demo.stdout
    dashboard = f"http://localhost:{stack.environment['SUPERSET_PORT']}/superset/dashboard/"
    assert dashboard in demo.stdout.splitlines()[-1]
    # One failed run sends one message.
    assert len(stack.alerts) == alerts_before + 1
    assert "transactions_elt: test_transformed_data failed" in stack.alerts[-1]


def test_staging_holds_the_sums_of_the_file_to_the_cent(stack, truth):
    assert account_sums(stack) == truth.sums
    over = {account for account, (withdrawn, _) in truth.sums.items() if withdrawn > THRESHOLD}
    assert len(over) == 5
    alerted = stack.query(
        "select account_number from marts.account_withdrawals"
        " group by account_number, large_withdrawal_threshold"
        " having sum(withdrawal_amount) > large_withdrawal_threshold",
        role="reporter",
    )
    assert {account for (account,) in alerted} == over


def test_the_loads_and_the_first_rows_are_shown(stack, truth):
    raw = stack.make("check-data-raw").stdout
    assert {str(truth.rows), str(len(truth.distinct))} <= set(re.findall(r"\d+", raw))
    assert "(1 row)" in raw and "(10 rows)" in raw
    staging = stack.make("check-data-staging").stdout
    assert all(account in staging for account in truth.sums)
    assert staging.count("(10 rows)") == 2  # the accounts, and the first rows


def test_the_logs_of_all_processes_are_followed(stack):
    expected = {path.name for path in (stack.folder / "state" / "logs").glob("*.log")}
    assert len(expected) > 3
    seen: set[str] = set()
    with subprocess.Popen(
        ["sh", "-c", "make logs"], cwd=PROJECT, env=stack.environment, text=True,
        stdout=subprocess.PIPE, start_new_session=True,
    ) as follower:  # fmt: skip
        end = threading.Timer(30, os.killpg, (follower.pid, signal.SIGTERM))
        end.start()
        for line in follower.stdout:
            seen |= set(re.findall(r"^==> .*/(\S+) <==$", line))
            if expected <= seen:
                break
        end.cancel()
        os.killpg(follower.pid, signal.SIGTERM)
    assert expected <= seen


def test_a_developers_schemas_leave_those_of_the_dag_alone(stack, truth):
    # dbt gives each view and each rebuilt table a new oid.
    state = (
        "select array_agg(oid::text order by oid), (select count(*) from audit.test_results),"
        " (select max(_staged_at) from staging.transactions) from pg_class"
        " where relnamespace::regnamespace::text in ('staging', 'marts', 'audit')"
    )
    before = stack.query(state)
    tried = stack.make("dbt", "CMD=build --exclude-resource-type unit_test", "SCHEMA_PREFIX=al_")
    assert "ERROR=1 " in tried.stdout, tried.stdout  # the backdated transactions
    assert stack.query("select count(*) from al_staging.transactions") == [(len(truth.distinct),)]
    assert stack.query("select count(*) > 10 from al_audit.test_results") == [(True,)]
    assert stack.query(state) == before
    assert stack.query("select has_schema_privilege('reporter', 'al_marts', 'usage')") == [(False,)]
    stack.query("drop schema al_staging, al_marts, al_audit cascade; select 1")


def test_the_log_names_the_failing_test_its_rows_and_their_table(stack, truth):
    log = task_log(stack, "test_transformed_data")
    assert re.search(rf"FAIL {truth.backdated} {BACKDATED}", log)
    relation = re.search(rf'"warehouse"\."audit"\."({BACKDATED})"', log)
    failing_rows = stack.query(f"select count(*) from audit.{relation[1]}", role="reporter")
    assert failing_rows == [(truth.backdated,)]


def test_a_second_demo_after_a_killed_server_adds_nothing(stack):
    before = counts(stack)
    kill(stack, "postgres")
    assert stack.make("demo").returncode == 0
    assert counts(stack) == before
    assert stack.query("select count(*) from raw._loads") == [(1,)]


def test_an_overlapping_file_adds_only_its_new_rows_after_a_killed_scheduler(stack, truth):
    kill(stack, "airflow-scheduler", "superset")
    known = (stack.data / "transactions_data.csv").read_text().splitlines(keepends=True)[1:101]
    new = '777\',29-Jun-19,A NEW ONE,,2019-06-30,"1,234.50 ",,"5,000.00 ",.\n'
    (stack.data / "transactions_july.csv").write_text("".join([f"{HEADER}\n", *known, new]))
    trigger = stack.make("trigger", "FILE=transactions_july.csv", "BACKDATED=warn")
    assert trigger.returncode == 0, trigger.stdout
    assert counts(stack) == (len(truth.distinct) + 1, len(truth.distinct) + 1)
    found = stack.query(
        "select transaction_date::text, value_date::text, withdrawal_amount::text"
        " from staging.transactions where account_number = '777'"
    )
    assert found == [("2019-06-29", "2019-06-30", "1234.50")]


def test_backdated_warn_turns_the_failed_test_into_a_warning(stack, truth):
    assert f"WARN {truth.backdated} {BACKDATED}" in task_log(stack, "test_transformed_data")
    newest = (
        "select status from audit.test_results"
        f" where test_name = '{BACKDATED}' order by executed_at desc limit 1"
    )
    assert stack.query(newest) == [("warn",)]


def test_bad_input_fails_without_a_retry_after_a_killed_airflow(stack):
    kill(stack, "airflow-api-server", "airflow-dag-processor")
    before = counts(stack)
    bad = f"{HEADER}\n777',29-Jun-19,too few\n"
    (stack.data / "transactions_bad.csv").write_text(bad)
    trigger = stack.make("trigger", "FILE=transactions_bad.csv")
    assert trigger.returncode != 0
    assert task_states(trigger) == [
        ("parse_and_populate_csv", "failed"),
        ("transform_data", "upstream_failed"),
        ("test_transformed_data", "upstream_failed"),
    ]
    assert counts(stack) == before
    rejected = stack.query("select source_file, source_line from raw._rejects")
    assert rejected == [("transactions_bad.csv", 2)]
    attempts = (stack.folder / "state" / "logs" / "tasks").glob(
        "**/task_id=parse_and_populate_csv/attempt=2.log"
    )
    assert list(attempts) == []


def test_a_file_outside_the_data_folder_is_refused(stack):
    trigger = stack.make("trigger", "FILE=../../etc/passwd")
    assert trigger.returncode != 0
    assert re.search(r"Airflow answers \S+ \S+ with status 4\d\d: ", trigger.stdout)


def test_reporter_reads_only_staging_marts_and_audit(stack):
    connection = stack.connect("reporter")
    connection.autocommit = True
    cursor = connection.cursor()
    # The role is also read-only by default. Turn that off, so that only its grants are tested.
    cursor.execute("set default_transaction_read_only = off")
    relations = stack.query(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema not in ('pg_catalog', 'information_schema')"
    )
    assert {schema for schema, _ in relations} == {"raw", "staging", "marts", "audit"}
    for schema, table in relations:
        relation = f'"{schema}"."{table}"'
        if schema == "raw":
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(f"select 1 from {relation} limit 1")
        else:
            cursor.execute(f"select 1 from {relation} limit 1")
        for write in (f"delete from {relation}", f"insert into {relation} default values"):
            with pytest.raises(REFUSED):
                cursor.execute(write)
    for statement in (
        "create table public.x (a int)",
        "create table staging.x (a int)",
        "create temporary table x (a int)",
        "create schema x",
        "create role x",
        "copy (select 1) to program 'true'",
        "select pg_read_file('/etc/passwd')",
        "set role loader",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        stack.connect("reporter", database="airflow")


def test_a_port_in_use_is_named(stack):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        settings = stack.environment | {
            "STATE_DIR": str(stack.folder / "other"),
            "WAREHOUSE_PORT": str(free_port()),
            "SUPERSET_PORT": str(free_port()),
            "AIRFLOW_PORT": port,
        }
        demo = Stack(stack.folder, settings).make("demo")
    assert demo.returncode != 0
    assert f"port {port} is not free" in demo.stdout
    assert "AIRFLOW_PORT" in demo.stdout
    assert "Traceback" not in demo.stdout
    shutil.rmtree(stack.folder / "other", ignore_errors=True)


def test_down_leaves_no_process_and_up_keeps_the_data(stack, receiver):
    before = counts(stack)
    pids = processes(stack.make("demo-status").stdout)
    assert stack.make("demo-down").returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not Path(stack.folder, "state", "supervisor.sock").exists()
    # From here on, the stack sends lineage. The tests above run without it, as by default.
    stack.environment |= {"OPENLINEAGE_URL": receiver.url, "OPENLINEAGE_API_KEY": LINEAGE_KEY}
    assert stack.make("demo-up").returncode == 0
    assert counts(stack) == before


def test_a_run_with_lineage_gives_the_same_result_and_one_graph(stack, truth, receiver):
    file = stack.data / "transactions_lineage.csv"
    file.write_text(f"""{HEADER}\n776',"Jun 29, 17",A ROW,,"Jun 29, 17",,1.00,1.00,.\n""")
    rows = counts(stack)
    run = stack.make("trigger", f"FILE={file.name}", "BACKDATED=warn", "BALANCES=warn")
    assert run.returncode == 0, run.stdout
    assert counts(stack) == (rows[0] + 1, rows[1] + 1)
    # The event of the DAG's end comes last, from the scheduler and not from a task.
    wait_until(lambda: "transactions_elt" in jobs(receiver.events, "COMPLETE"))
    events = list(receiver.events)
    assert_valid(events)
    assert receiver.keys == {f"Bearer {LINEAGE_KEY}"}

    def parent(event):
        facet = event["run"]["facets"].get("parent")
        return facet and (facet["job"]["name"], facet["run"]["runId"])

    ended = jobs(events, "COMPLETE")
    runs = {(event["job"]["name"], event["run"]["runId"]) for event in events}
    assert [parent(event) for event in events].count(None) == 2  # the start and end of the DAG
    assert {parent(event) for event in events} - {None} <= runs
    for task in ("parse_and_populate_csv", "transform_data", "test_transformed_data"):
        assert parent(ended[f"transactions_elt.{task}"])[0] == "transactions_elt"
    assert parent(ended["load.raw.transactions"])[0] == "transactions_elt.parse_and_populate_csv"
    reached = {name for _, name in datasets_after(events, ("file", str(file)))}
    assert {"warehouse.staging.transactions", "warehouse.marts.daily_account_flows"} <= reached
    text = str(events)
    for name, secret in (secrets_of(stack) | {"key": LINEAGE_KEY}).items():
        assert secret not in text, name
