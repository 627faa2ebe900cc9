"""The seam between a DAG and the components, with real processes."""

import json
import os
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from common.alerts import failure_notifiers
from common.component import component_task


def run(command, **params):
    """Run a task with that command; returns nothing, `called` reads what the program saw."""
    with DAG("a_dag"):
        task = component_task(
            "a_task",
            component="some_component",
            command=command,
            connection="warehouse_loader",
            hopeless=(1, 2),
        )
    context = {"params": params}
    task.render_template_fields(context)
    task.execute(context)


def called(folder: Path) -> dict:
    return json.loads((folder / "called.json").read_text())


def test_the_command_runs_in_the_components_folder_with_the_connections_parts(component):
    run(["program", "load"])
    call = called(component)
    assert call["arguments"] == ["load"]
    assert Path(call["folder"]) == component
    expected = {
        "PGHOST": "warehouse.example",
        "PGPORT": "5433",
        "PGDATABASE": "warehouse",
        "PGUSER": "loader",
        "PGPASSWORD": "the loader's password",
    }
    assert {name: call["environment"][name] for name in expected} == expected


def test_nothing_of_airflows_own_configuration_reaches_the_command(component, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "a secret")
    monkeypatch.setenv("ELT_ENV", "test")
    run(["program"])
    environment = called(component)["environment"]
    assert environment["ELT_ENV"] == "test"
    leaked = [name for name in environment if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))]
    assert leaked == []
    assert os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] not in environment.values()


def test_a_value_of_the_form_is_never_a_command(component):
    value = "x'; touch stolen; echo \"$(touch stolen)`touch stolen` .sh"
    run(["program", "{{ params.file }}"], file=value)
    assert called(component)["arguments"] == [value]
    assert not (component / "stolen").exists()


def test_arguments_that_render_to_nothing_are_left_out(component):
    command = ["program", "{{ params.file or '' }}", "{{ '--all' if params.all else '' }}"]
    run(command, file=None, all=True)
    assert called(component)["arguments"] == ["--all"]


@pytest.mark.usefixtures("component")
def test_a_hopeless_failure_is_not_retried_and_others_may_be():
    with pytest.raises(AirflowFailException, match="no retry"):
        run(["program", "2"])
    with pytest.raises(AirflowException) as failure:
        run(["program", "3"])
    assert not isinstance(failure.value, AirflowFailException)


def test_an_unknown_runtime_is_named(monkeypatch):
    monkeypatch.setenv("ELT_RUNTIME", "mainframe")
    with pytest.raises(ValueError, match="'mainframe'; it can be: docker, process"):
        run(["program"])


@pytest.mark.parametrize(
    ("address", "told"), [("none", []), ("json://127.0.0.1:9", ["apprise_default"])]
)
def test_failures_are_announced_only_where_an_address_is_configured(monkeypatch, address, told):
    config = [{"path": address, "tag": "alerts"}]
    connection = {"conn_type": "apprise", "extra": {"config": config}}
    monkeypatch.setenv("AIRFLOW_CONN_APPRISE_DEFAULT", json.dumps(connection))
    assert [notifier.apprise_conn_id for notifier in failure_notifiers()] == told
