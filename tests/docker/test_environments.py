"""dev and staging work in Docker, and Compose gets the settings of each environment."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import DockerStack

from environments import (
    check_programs,
    check_run,
    check_settings,
    expected_settings,
)
from support import PROJECT, docker, stack_environment, temporary_folder

BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@pytest.fixture
def stack_in(request):
    """Return a stack of an environment; remove it after the test."""
    with temporary_folder(f"elt-{request.param}-") as folder:
        (folder / "data").mkdir(mode=0o755)
        project = folder.name.replace("_", "-").lower()
        environment = stack_environment(folder) | {
            "ELT_ENV": request.param,
            "COMPOSE_PROJECT_NAME": project,
            "IMAGE_TAG": "test",
        }
        stack = DockerStack(folder, environment, project=project)
        yield stack
        stack.make("clean", "FORCE=1")


@pytest.mark.usefixtures("docker_stack")  # builds the images, and runs beside the other stack
@pytest.mark.parametrize("stack_in", ["dev", "staging"], indirect=True)
def test_an_environment_starts_works_and_stops(stack_in):
    check_settings(stack_in)
    up = stack_in.make("up")
    assert up.returncode == 0, up.stdout + stack_in.make("ps").stdout
    check_programs(stack_in)
    check_run(stack_in)
    logs = stack_in.compose("exec", "-T", "airflow-apiserver", "sh", "-c", "cat logs/*/*/*/*.log")
    threads = expected_settings(stack_in)["DBT_THREADS"][0]
    assert f"Concurrency: {threads} threads" in logs
    assert stack_in.make("down").returncode == 0
    assert stack_in.containers() == {}
    volumes = docker("volume", "ls", "--quiet", "--filter", f"name={stack_in.project}")
    assert {name.removeprefix(f"{stack_in.project}_") for name in volumes.split()} == {
        "warehouse", "metadata", "airflow-logs",
    }  # fmt: skip


@pytest.mark.parametrize("environment", ["dev", "test", "staging", "prod"])
def test_compose_gets_what_make_config_prints(environment, tmp_path):
    names = ("COMPOSE_PROJECT_NAME", "IMAGE_TAG", "STATE_DIR", "ALERT_URL")
    values = {
        name: value for name, value in stack_environment(tmp_path).items()
        if name not in names and not name.endswith("_PORT")
    } | {"ELT_ENV": environment}  # fmt: skip
    stack = DockerStack(tmp_path, values)
    command = [PROJECT / "stack/.venv/bin/elt", "compose", "--", "--profile", "tasks", "config"]
    config = subprocess.run(
        [*command, "--format", "json"], env=values, capture_output=True, text=True, check=True
    )
    compose = json.loads(config.stdout)
    services = compose["services"]
    expected = {name: value for name, (value, _) in expected_settings(stack).items()}
    check_settings(stack)

    assert compose["name"] == expected["COMPOSE_PROJECT_NAME"]
    for volume in ("warehouse", "metadata", "airflow-logs"):
        assert compose["volumes"][volume]["name"] == f"{compose['name']}_{volume}"
    images = {each["image"] for each in services.values() if each["image"].startswith("elt/")}
    assert {image.split(":")[1] for image in images} == {expected["IMAGE_TAG"]}
    for service, setting in (
        *(("warehouse", "WAREHOUSE_PORT"), ("airflow-apiserver", "AIRFLOW_PORT")),
        *(("superset", "SUPERSET_PORT"),),
    ):
        (port,) = services[service]["ports"]
        assert (port["host_ip"], port["published"]) == ("127.0.0.1", expected[setting])

    def memory(name: str) -> int:
        return int(expected[name][:-1]) * BYTES[expected[name][-1]]

    assert int(services["warehouse"]["mem_limit"]) == memory("WAREHOUSE_MEMORY")
    assert int(services["dbt"]["mem_limit"]) == memory("TASK_MEMORY")
    severities = ("BACKDATED_TRANSACTIONS", "UNRECONCILED_BALANCES")
    for service, settings in {
        "airflow-scheduler": ("DAG_SCHEDULE", "TASK_RETRIES", "DBT_THREADS", *severities),
        "airflow-apiserver": ("COOKIE_SECURE",),
        "superset": ("COOKIE_SECURE", "ALLOW_DEMO_LOGINS", "LOG_LEVEL"),
        "dbt": ("DBT_THREADS", *severities),
    }.items():
        found = services[service]["environment"]
        assert {name: found[name] for name in settings} == {
            name: expected[name] for name in settings
        }
    level = services["airflow-scheduler"]["environment"]["AIRFLOW__LOGGING__LOGGING_LEVEL"]
    assert level == services["dbt"]["environment"]["DBT_LOG_LEVEL"] == expected["LOG_LEVEL"]
