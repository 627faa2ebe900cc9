"""The whole stack in Docker works for its users and keeps its secrets.

The tests run in order on one stack. test_stack_faults.py reuses it and test_stack_removal.py
removes it.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import wait_until
from support import account_sums, airflow_api, docker, secrets_of, superset_api, task_states

BACKDATED = "value_date_greater_than_transaction_date"
EXPECTED_STATES = [  # the test task fails because the sample has backdated transactions
    ("parse_and_populate_csv", "success"),
    ("transform_data", "success"),
    ("test_transformed_data", "failed"),
]
SERVICES = {
    "warehouse", "metadata", "docker-proxy", "superset", "cache",
    "airflow-apiserver", "airflow-scheduler", "airflow-dag-processor",
}  # fmt: skip
INITS = {
    "warehouse-init", "raw-init", "marts-init", "metadata-init", "airflow-init", "superset-init",
}  # fmt: skip


def inspect(docker_stack, service: str) -> dict:
    return json.loads(docker("inspect", docker_stack.containers()[service]))[0]


def status(container: str) -> str:
    """Return state, exit code and, if the container has a health check, its result."""
    return docker(
        "inspect", "--format",
        "{{.State.Status}} {{.State.ExitCode}} {{with .State.Health}}{{.Status}}{{end}}", container,
    ).strip()  # fmt: skip


def test_every_service_is_healthy_after_up(docker_stack):
    found = {name: status(each) for name, each in docker_stack.containers().items()}
    assert found == {
        **dict.fromkeys(SERVICES, "running 0 healthy"),
        **dict.fromkeys(INITS, "exited 0"),
    }


def test_a_triggered_run_loads_the_sample(docker_stack, truth):
    trigger = docker_stack.make("trigger")
    assert task_states(trigger) == EXPECTED_STATES, trigger.stdout
    assert account_sums(docker_stack, role="reporter") == truth.sums
    failing_rows = docker_stack.query(f"select count(*) from audit.{BACKDATED}", role="reporter")
    assert failing_rows == [(truth.backdated,)]
    assert docker_stack.task_containers() == []


def test_airflows_log_holds_the_tasks_output_and_no_password(docker_stack, truth):
    folder = "/opt/airflow/logs/dag_id=transactions_elt"
    logs = docker_stack.compose(
        "exec", "-T", "airflow-apiserver", "sh", "-c", f"cat {folder}/*/*/attempt=1.log"
    )
    assert f"read {truth.rows:,} = loaded {len(truth.distinct):,}" in logs
    assert f"FAIL {truth.backdated} {BACKDATED}" in logs
    everything = logs + docker_stack.compose("logs")
    assert [name for name, value in docker_stack.passwords.items() if value in everything] == []


def test_the_dashboard_reads_the_warehouse_as_reporter(docker_stack, truth):
    superset = superset_api(docker_stack.environment)
    charts = superset("/api/v1/dashboard/monitoring/charts")["result"]
    names = {chart["slice_name"] for chart in charts}
    assert "Alert: Accounts over the withdrawal threshold" in names
    datasets = superset("/api/v1/dataset/?q=(page_size:100)")["result"]
    backdated = next(each for each in datasets if each["table_name"] == "backdated_transactions")
    query = {
        "datasource": {"id": backdated["id"], "type": "table"},
        "queries": [
            {
                "columns": [{"label": "role", "sqlExpression": "current_user"}],
                "metrics": [{"label": "n", "expressionType": "SQL", "sqlExpression": "count(*)"}],
            }
        ],
    }
    data = superset("/api/v1/chart/data", query)["result"][0]["data"]
    assert data == [{"role": "reporter", "n": truth.backdated}]
    keys = docker_stack.compose("exec", "-T", "cache", "redis-cli", "--scan")
    assert "superset_data_" in keys


def test_a_second_run_adds_nothing(docker_stack, truth):
    trigger = docker_stack.make("trigger")
    assert task_states(trigger) == EXPECTED_STATES, trigger.stdout
    assert docker_stack.query("select count(*) from raw.transactions") == [(len(truth.distinct),)]
    assert docker_stack.query("select count(*) from raw._loads") == [(1,)]


def test_a_second_up_changes_nothing(docker_stack):
    before = {name: docker_stack.containers()[name] for name in SERVICES}
    assert docker_stack.make("up").returncode == 0
    assert {name: docker_stack.containers()[name] for name in SERVICES} == before


def test_a_run_succeeds_after_each_service_was_restarted(docker_stack, truth):
    for service in sorted(SERVICES):
        docker("restart", docker_stack.containers()[service])
    up = docker_stack.make("up")
    assert up.returncode == 0, up.stdout
    trigger = docker_stack.make("trigger", "BACKDATED=warn")
    assert {state for _, state in task_states(trigger)} == {"success"}, trigger.stdout
    assert account_sums(docker_stack, role="reporter") == truth.sums


def test_bad_input_fails_at_once(docker_stack):
    (docker_stack.data / "transactions_bad.csv").write_text("a,b\n1,2\n")
    trigger = docker_stack.make("trigger", "FILE=transactions_bad.csv")
    (docker_stack.data / "transactions_bad.csv").unlink()
    assert task_states(trigger)[0] == ("parse_and_populate_csv", "failed")
    assert docker_stack.query("select status from raw._loads order by load_id") == [
        ("loaded",), ("failed",),
    ]  # fmt: skip
    assert docker_stack.task_containers() == []


def test_a_task_marked_as_failed_leaves_no_container(docker_stack):
    """The test marks the task as failed while a lock makes the loader wait."""
    trigger = threading.Thread(target=docker_stack.make, args=("trigger",))
    with contextlib.closing(docker_stack.connect()) as lock, lock.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('raw.transactions', 0))")
        trigger.start()
        wait_until(docker_stack.task_containers)
        container = docker_stack.task_containers()[0]
        config = docker("inspect", "--format", "{{.Config.User}} {{json .Mounts}}", container)
        user, mounts = config.split(maxsplit=1)
        assert user == "loader"
        assert [
            (each["Source"], each["Destination"], each["RW"]) for each in json.loads(mounts)
        ] == [(docker_stack.environment["DATA_FOLDER"], "/data", False)]
        mark_failed(docker_stack)
        wait_until(lambda: not docker_stack.task_containers())
    trigger.join(timeout=120)
    assert not trigger.is_alive()


def mark_failed(docker_stack) -> None:
    """Mark the first task of the newest run as failed, as the UI does."""
    call = airflow_api(docker_stack.environment)
    runs = "/api/v2/dags/transactions_elt/dagRuns"
    run = call(f"{runs}?order_by=-run_after&limit=1")["dag_runs"][0]["dag_run_id"]
    task = f"{runs}/{run}/taskInstances/parse_and_populate_csv"
    wait_until(lambda: call(task)["state"] == "running")
    call(task, {"new_state": "failed"}, "PATCH")


def test_populate_db_loads_without_airflow(docker_stack):
    done = docker_stack.make("populate-db")
    assert done.returncode == 0, done.stdout
    assert "transactions_data.csv: already loaded as load 1" in done.stdout


@pytest.mark.parametrize("service", sorted(SERVICES | INITS))
def test_a_container_has_no_unneeded_rights(docker_stack, service):
    container = inspect(docker_stack, service)
    host, user = container["HostConfig"], container["Config"]["User"]
    assert host["Privileged"] is False
    assert host["NetworkMode"] != "host"
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    if service not in ("warehouse", "metadata"):  # Postgres' entry point needs root at first
        assert host["CapDrop"] == ["ALL"]
        assert user not in ("", "root", "0") or service == "docker-proxy"
    sockets = [mount["Source"] for mount in container["Mounts"] if "docker.sock" in mount["Source"]]
    assert bool(sockets) is (service == "docker-proxy")


@pytest.mark.parametrize("service", ["warehouse", "metadata"])
def test_postgres_itself_does_not_run_as_root(docker_stack, service):
    processes = docker("top", docker_stack.containers()[service], "-eo", "pid,uid,comm")
    servers = [line.split() for line in processes.splitlines() if "postgres" in line]
    assert servers
    assert all(uid != "0" for _, uid, *_ in servers)


def test_ports_are_published_on_loopback_only(docker_stack):
    published = {
        (service, binding["HostIp"], binding["HostPort"])
        for service in docker_stack.containers()
        for bindings in inspect(docker_stack, service)["HostConfig"]["PortBindings"].values()
        for binding in bindings
    }
    assert published == {
        ("warehouse", "127.0.0.1", docker_stack.environment["WAREHOUSE_PORT"]),
        ("airflow-apiserver", "127.0.0.1", docker_stack.environment["AIRFLOW_PORT"]),
        ("superset", "127.0.0.1", docker_stack.environment["SUPERSET_PORT"]),
    }


@pytest.mark.parametrize("image", ["airflow", "superset", "data-ingestion", "dbt"])
def test_an_image_contains_no_secret_and_no_build_tool(docker_stack, image):
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"elt/{image}")
    environment = docker("image", "inspect", "--format", "{{json .Config.Env}}", f"elt/{image}")
    shown = history + environment
    assert [name for name, value in docker_stack.passwords.items() if value in shown] == []
    found = docker(
        "run", "--rm", "--entrypoint", "sh", f"elt/{image}", "-c",
        "id -u; for tool in uv gcc cc make; do command -v $tool; done; true",
    ).splitlines()  # fmt: skip
    assert found[0] != "0"
    assert found[1:] == []


@pytest.mark.parametrize("image", ["airflow", "superset", "data-ingestion", "dbt"])
def test_no_image_layer_contains_a_secret(docker_stack, image):
    """The test reads all layers, so it also finds files that a later layer hides."""
    values = secrets_of(docker_stack)
    assert {"LOADER_PASSWORD", "AIRFLOW__CORE__FERNET_KEY"} <= set(values)
    secrets = {value.encode() for value in values.values()}
    assert len(secrets) >= 6
    names = set()
    for name, content in files_of_all_layers(f"elt/{image}"):
        names.add(name)
        assert not [secret for secret in secrets if secret in content], name
        assert not {".env", ".git", ".netrc", ".pypirc"} & set(Path(name).parts), name
    assert len(names) > 1000


def files_of_all_layers(image: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in an image; the content of installed files is empty."""
    with (
        subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved,
        tarfile.open(fileobj=saved.stdout, mode="r|") as parts,
    ):
        for part in parts:
            content = parts.extractfile(part)
            if content is None:
                continue
            if content.peek(512)[257:262] != b"ustar":  # the image's configuration and history
                yield part.name, content.read()
                continue
            with tarfile.open(fileobj=content, mode="r|") as layer:
                for file in layer:
                    folders = set(file.name.split("/"))
                    read = file.isfile() and not {"lib", "bin", "share"} & folders
                    yield file.name, layer.extractfile(file).read() if read else b""


LISTENING = re.compile(r"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F:]+ 0A ", re.MULTILINE)
EXPECTED_PORTS = {
    "warehouse": {5432}, "metadata": {5432}, "docker-proxy": {2375}, "superset": {8088},
    "cache": {6379}, "airflow-apiserver": {8080}, "airflow-scheduler": {8974},
    "airflow-dag-processor": set(),
}  # fmt: skip


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_only_the_service_listens_in_its_container(docker_stack, service):
    """The kernel's table lists addresses and ports in hexadecimal. State 0A means listening."""
    shell = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; true"
    table = docker_stack.compose("exec", "-T", service, "sh", "-c", shell)
    listening = {
        int(port, 16)
        for address, port in LISTENING.findall(table)
        if not address.endswith("7F")  # 127.0.0.0/8; Docker's name service listens there
    }
    assert "local_address" in table
    assert listening == EXPECTED_PORTS[service]
