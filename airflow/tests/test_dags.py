"""Tests of rules for every DAG, and of the structure of transactions_elt."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from common.assets import DASHBOARD

DAGS = Path(__file__).resolve().parents[1] / "dags"
TASKS = ["parse_and_populate_csv", "transform_data", "test_transformed_data"]


@pytest.fixture(scope="module")
def dag_bag():
    return DagBag(DAGS)


@pytest.fixture(scope="module")
def dag(dag_bag):
    return dag_bag.dags["transactions_elt"]


def test_the_folder_defines_exactly_these_dags(dag_bag):
    assert dag_bag.import_errors == {}
    assert set(dag_bag.dags) == {"transactions_elt"}


def test_every_dag_has_docs_tags_and_no_catchup(dag_bag):
    assert dag_bag.dags
    for dag in dag_bag.dags.values():
        assert len(dag.doc_md) > 500
        assert dag.description
        assert dag.tags
        assert dag.catchup is False
        assert dag.max_active_runs == 1
        for task in dag.tasks:
            assert task.owner != "airflow"
            assert task.execution_timeout


def test_the_three_tasks_form_one_chain(dag):
    assert [task.task_id for task in dag.topological_sort()] == TASKS
    for task, following in zip(TASKS, [*TASKS[1:], None], strict=True):
        assert dag.get_task(task).downstream_task_ids == ({following} if following else set())


def test_assets_lead_from_the_files_to_the_dashboard(dag):
    """Each step is a task that reads the first asset and writes the second one."""
    steps = {
        (inlet.name, outlet.name): name
        for name in TASKS
        for inlet in dag.get_task(name).inlets
        for outlet in dag.get_task(name).outlets
    }
    chain = ["files", "raw.transactions", "staging.transactions", "marts", "monitoring_dashboard"]
    load, transform, test = TASKS
    assert [steps[step] for step in pairwise(chain)] == [load, transform, transform, test]
    assert {name for step in steps for name in step} == set(chain)


def test_the_asset_of_the_dashboard_is_dbts_exposure():
    exposures = DAGS.parents[1] / "dbt" / "models" / "marts" / "_exposures.yml"
    assert f"\n  - name: {DASHBOARD.name}\n" in exposures.read_text()


def test_only_load_and_transform_are_retried(dag):
    assert dag.get_task("parse_and_populate_csv").retries == 3
    assert dag.get_task("transform_data").retries == 3
    assert dag.get_task("test_transformed_data").retries == 0


def test_settings_choose_the_schedule_and_the_retries(monkeypatch):
    monkeypatch.setenv("DAG_SCHEDULE", "none")
    monkeypatch.setenv("TASK_RETRIES", "5")
    dag = DagBag(DAGS).dags["transactions_elt"]
    assert type(dag.timetable).__name__ == "NullTimetable"
    assert [dag.get_task(name).retries for name in TASKS] == [5, 5, 0]


def test_the_first_daily_run_waits_for_midnight(dag):
    timetable = dag.timetable
    assert timetable.expression == "0 0 * * *"
    assert timetable.run_immediately == timedelta(0)
    assert dag.start_date is None
