"""Tests of tasks that run a component's program as a real process."""

import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from common.component import component_task, program

PROJECT = Path(__file__).resolve().parents[2]


def run(*arguments, ti=None, **params):
    """Run a task with these arguments. Its program records the call for `recorded_call`."""
    with DAG("a_dag"):
        task = component_task(
            "a_task",
            component="some_component",
            arguments=arguments,
            connection="warehouse_loader",
            fatal_exit_codes=(1, 2),
        )
    context = {"params": params, "ti": ti}
    task.render_template_fields(context)
    task.execute(context)


def recorded_call(folder: Path) -> dict:
    return json.loads((folder / "call.json").read_text())


def test_the_program_gets_its_folder_and_the_connection(component):
    run("load")
    call = recorded_call(component)
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


def test_the_program_does_not_inherit_airflows_configuration(component, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "a secret")
    monkeypatch.setenv("ELT_ENV", "test")
    run()
    environment = recorded_call(component)["environment"]
    assert environment["ELT_ENV"] == "test"
    leaked = [name for name in environment if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))]
    assert leaked == []
    assert os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] not in environment.values()


def test_a_script_in_bin_replaces_the_program(component):
    script = component / "bin" / "some-component"
    script.parent.mkdir()
    script.write_text("import pathlib, sys; pathlib.Path('called').write_text(sys.executable)")
    python = component / ".venv" / "bin" / "python"
    python.symlink_to(sys.executable)
    run("load")
    assert (component / "called").read_text() == str(python)
    assert not (component / "call.json").exists()


def test_without_a_receiver_the_program_gets_no_setting_of_lineage(component, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_URL", "")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a key")
    run()
    environment = recorded_call(component)["environment"]
    assert not [name for name in environment if name.startswith("OPENLINEAGE")]


def test_with_a_receiver_the_program_gets_the_task_as_its_parent(component, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_URL", "http://receiver.example")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a key")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "elt-test")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    dag_run = SimpleNamespace(conf={}, clear_number=0, logical_date=now, run_after=now)
    task = SimpleNamespace(
        dag_id="a_dag", task_id="a_task", try_number=1, map_index=-1, dag_run=dag_run,
        get_template_context=lambda: {"dag_run": dag_run},
    )  # fmt: skip
    run(ti=task)
    environment = recorded_call(component)["environment"]
    assert environment["OPENLINEAGE_URL"] == "http://receiver.example"
    assert environment["OPENLINEAGE_API_KEY"] == "a key"
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(f"elt-test/a_dag.a_task/{uuid}", environment["OPENLINEAGE_PARENT_ID"])
    assert re.fullmatch(f"elt-test/a_dag/{uuid}", environment["OPENLINEAGE_ROOT_PARENT_ID"])


def test_a_form_value_is_never_executed(component):
    value = "x'; touch stolen; echo \"$(touch stolen)`touch stolen` .sh"
    run("{{ params.file }}", file=value)
    assert recorded_call(component)["arguments"] == [value]
    assert not (component / "stolen").exists()


def test_empty_arguments_are_left_out(component):
    run("{{ params.file or '' }}", "{{ '--all' if params.all else '' }}", file=None, all=True)
    assert recorded_call(component)["arguments"] == ["--all"]


@pytest.mark.usefixtures("component")
def test_only_fatal_exit_codes_prevent_a_retry():
    with pytest.raises(AirflowFailException, match=r"^no retry: the last line$"):
        run("2")
    with pytest.raises(AirflowException, match=r"code 3\. Last line: the last line$") as failure:
        run("3")
    assert not isinstance(failure.value, AirflowFailException)


def test_the_error_names_an_unknown_runtime(monkeypatch):
    monkeypatch.setenv("ELT_RUNTIME", "mainframe")
    with pytest.raises(ValueError, match="'mainframe'; it can be: docker, process"):
        run()


@pytest.mark.parametrize("component_name", ["data_ingestion", "dbt"])
def test_the_entry_point_of_each_image_is_the_components_program(component_name):
    dockerfile = (PROJECT / component_name / "Dockerfile").read_text()
    entry_points = re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)
    assert [json.loads(entry_point) for entry_point in entry_points] == [[program(component_name)]]
