"""Tests of the trigger form: the values that it accepts, and the command lines that they become."""

import copy
import json
import re

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from conftest import AIRFLOW, add_program

LOAD, TRANSFORM, TEST = "parse_and_populate_csv", "transform_data", "test_transformed_data"
BUILD = ["build", "--resource-type", "seed", "--resource-type", "model"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a task of the DAG with fake programs."""
    monkeypatch.setenv("ELT_HOME", str(tmp_path))
    components = {name: add_program(tmp_path, name) for name in ("data_ingestion", "dbt")}

    def run(task_id: str, **form: object) -> list[str]:
        """Run a task with these values of the form; return the arguments of its program."""
        dag = DagBag(AIRFLOW / "dags").dags["transactions_elt"]
        params = copy.deepcopy(dag.params)
        params.update(form)
        task = dag.get_task(task_id)
        context = {"params": params.validate()}
        task.render_template_fields(context)
        task.execute(context)
        component = components["data_ingestion" if task_id == LOAD else "dbt"]
        return json.loads((component / "call.json").read_text())["arguments"]

    return run


@pytest.fixture(scope="module")
def form():
    """Return a function that sets one field of the form, as Airflow does for a trigger."""
    params = DagBag(AIRFLOW / "dags").dags["transactions_elt"].params

    def set_field(name: str, value: object) -> object:
        changed = copy.deepcopy(params)
        changed[name] = value
        return changed.validate()[name]

    return set_field


def test_a_daily_run_loads_all_files_and_passes_no_variable_to_dbt(run):
    options = ["--duplicates", "drop", "--max-rejects", "0"]
    assert run(LOAD) == ["load", "--in-data-dir", *options, "--"]
    assert run(TRANSFORM) == BUILD
    assert run(TEST) == ["test", "--exclude-resource-type", "unit_test"]


def test_a_daily_run_uses_the_settings_and_the_form_wins_over_them(run, monkeypatch):
    monkeypatch.setenv("LOADER_DUPLICATES", "keep")
    monkeypatch.setenv("LOADER_MAX_REJECTS", "12")
    options = ["--duplicates", "keep", "--max-rejects", "12"]
    assert run(LOAD) == ["load", "--in-data-dir", *options, "--"]
    options = ["--duplicates", "drop", "--max-rejects", "0"]
    arguments = run(LOAD, duplicates="drop", max_rejects=0, file="May (2).csv")
    assert arguments == ["load", "--in-data-dir", *options, "--", "May (2).csv"]


def test_an_environment_with_warnings_can_be_strict_for_one_run(run, monkeypatch):
    monkeypatch.setenv("BACKDATED_TRANSACTIONS", "warn")
    assert run(TEST) == ["test", "--exclude-resource-type", "unit_test"]
    (argument,) = run(TEST, backdated_transactions="error")[3:]
    assert argument == "--vars={backdated_transactions_severity: error}"


def test_the_form_lists_the_declared_sources(run, form, tmp_path):
    sources = tmp_path / "data_ingestion" / "sources"
    sources.mkdir()
    (sources / "bank.yml").write_text("name: my_bank\npath: bank*\n")
    (sources / "broken.yml").write_text("path: bank*\n")
    options = ["--duplicates", "drop", "--max-rejects", "0"]
    arguments = run(LOAD, source="my_bank")
    assert arguments == ["load", "--in-data-dir", *options, "--table=my_bank", "--"]
    params = DagBag(AIRFLOW / "dags").dags["transactions_elt"].params
    assert params.get_param("source").schema["examples"] == ["my_bank"]


@pytest.mark.parametrize("name", ["--force", "My Bank", "bank\n", "bank;x", "b" * 49])
def test_the_form_refuses_anything_but_a_name_of_a_source(form, name):
    with pytest.raises(ParamValidationError):
        form("source", name)


def test_a_whole_number_written_as_a_fraction_reaches_the_loader_as_a_whole_number(run):
    assert run(LOAD, max_rejects=5.0)[5] == "5"


def test_a_full_refresh_rebuilds_seeds_and_models(run):
    assert run(TRANSFORM, full_refresh=True) == [*BUILD, "--full-refresh"]


@pytest.mark.parametrize("backdated", ["error", "warn"])
@pytest.mark.parametrize("unreconciled", ["error", "warn"])
def test_one_argument_of_dbt_names_the_tests_that_only_warn(run, backdated, unreconciled):
    _, _, _, *rest = run(TEST, backdated_transactions=backdated, unreconciled_balances=unreconciled)
    expected = {}
    if backdated == "warn":
        expected["backdated_transactions_severity"] = "warn"
    if unreconciled == "warn":
        expected["unreconciled_balances_severity"] = "warn"
    assert len(rest) == bool(expected)
    assert [yaml.safe_load(each.removeprefix("--vars=")) for each in rest] == [expected] * len(rest)


def test_dbt_reads_the_variables_and_the_settings_with_their_defaults():
    tests = (AIRFLOW.parent / "dbt" / "tests").glob("*.sql")
    found = re.findall(
        r"var\('(\w+)_severity', env_var\('(\w+)', 'error'\)\)",
        "".join(test.read_text() for test in tests),
    )
    fields = ["backdated_transactions", "unreconciled_balances"]
    assert sorted(found) == [(field, field.upper()) for field in fields]


@pytest.mark.parametrize("name", [None, "", "transactions_data.csv", "May (2) + June.csv.gz"])
def test_the_form_accepts_a_file_name(form, name):
    assert form("file", name) == name


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..", ".hidden", "--force", "a;b", "$(id)", "a\nb", "a\n"],
)
def test_the_form_refuses_anything_but_a_file_name(form, name):
    with pytest.raises(ParamValidationError):
        form("file", name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("duplicates", value) for value in ("", "Keep", "keep\n", "--force", None, ["keep"])),
        *(("max_rejects", value) for value in (-1, 0.5, "5", "", True, None, [5])),
        *(("unreconciled_balances", value) for value in ("", "Warn", "ignore", None)),
    ],
)
def test_the_form_refuses_a_value_that_it_does_not_offer(form, field, value):
    with pytest.raises(ParamValidationError):
        form(field, value)
