"""Tests of the import of `assets/` at each start, and of the export of changes in the UI."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.api import Api
from tests.stack import ASSETS, BROKEN, THRESHOLD, Stack, charts, dashboard, texts

BY_NAME = {chart["slice_name"]: chart for chart in charts()}


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, set[str]]:
    """Return the added and removed lines of each file that differs."""
    return {
        name: set(before.get(name, "").splitlines()) ^ set(after.get(name, "").splitlines())
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }


def test_the_dashboard_is_published(admin: Api) -> None:
    found = admin.get("/api/v1/dashboard/monitoring").json()["result"]
    assert (found["dashboard_title"], found["published"]) == ("Monitoring Dashboard", True)
    on_dashboard = admin.get("/api/v1/dashboard/monitoring/charts").json()["result"]
    assert {chart["slice_name"] for chart in on_dashboard} == BY_NAME.keys()


def test_dbts_exposure_names_the_dashboard_and_its_datasets() -> None:
    file = ASSETS.parents[1] / "dbt" / "models" / "marts" / "_exposures.yml"
    (exposure,) = yaml.safe_load(file.read_text())["exposures"]
    datasets = [yaml.safe_load(path.read_text()) for path in ASSETS.glob("datasets/*.yaml")]
    assert not any(dataset.get("sql") for dataset in datasets)
    models = sorted(f"ref('{dataset['table_name']}')" for dataset in datasets)
    assert exposure["depends_on"] == models
    (board,) = [yaml.safe_load(path.read_text()) for path in ASSETS.glob("dashboards/*.yaml")]
    assert exposure["label"] == board["dashboard_title"]
    assert f"/superset/dashboard/{board['slug']}/" in exposure["url"]


def test_the_export_equals_the_files(stack: Stack, tmp_path: Path) -> None:
    shutil.copytree(ASSETS, tmp_path / "assets")
    assert changed(texts(ASSETS), stack.export(tmp_path / "assets")) == {}
    # An export into an empty folder gives the same contents, in files named after the titles.
    fresh = stack.export(tmp_path / "fresh")
    assert sorted(fresh.values()) == sorted(texts(ASSETS).values())


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    before, after = stack.restarted.result()
    assert changed(before, after) == {}


def test_the_export_writes_changes_in_the_ui_and_the_next_start_reverts_them(
    stack: Stack, admin: Api, tmp_path: Path
) -> None:
    shutil.copytree(ASSETS, tmp_path, dirs_exist_ok=True)
    stack.broken[list(BROKEN)[-1]].result()  # wait: no other start may run beside this test
    counts = stack.counts()

    # The export of a changed chart differs in the changed fields only. The file keeps its name.
    flows = admin.find("chart", BY_NAME["Withdrawals and deposits"]["uuid"])
    change = {"slice_name": "In and out", "cache_timeout": 60}
    assert admin.put(f"/api/v1/chart/{flows['id']}", json=change).ok
    assert changed(texts(ASSETS), stack.export(tmp_path)) == {
        "charts/flows.yaml": {
            "slice_name: Withdrawals and deposits", "slice_name: In and out", "cache_timeout: 60",
        }
    }  # fmt: skip

    # A chart that was deleted in the UI is not exported.
    last_load = admin.find("chart", BY_NAME["Last load"]["uuid"])
    assert admin.delete(f"/api/v1/chart/{last_load['id']}").ok
    assert "charts/last_load.yaml" not in stack.export(tmp_path)

    # Add a chart of the UI, which the next start must keep, and a chart of an earlier import, which
    # it must delete.
    dataset = admin.find("dataset", BY_NAME["History of loads"]["dataset_uuid"])
    for name in ("Made in the UI", "Of an earlier import"):
        new = {"slice_name": name, "datasource_id": dataset["id"], "datasource_type": "table",
               "viz_type": "table", "params": "{}"}  # fmt: skip
        assert admin.post("/api/v1/chart/", json=new).ok
    stack.rows(
        "update slices set external_url = 'superset/assets/charts/old.yaml'"
        " where slice_name = 'Of an earlier import'",
        stack.metadata,
    )

    # The next start restores all files of `assets/`.
    stack.init()
    assert changed(texts(ASSETS), stack.export(tmp_path)) == {}
    names = [name for (name,) in stack.rows("select slice_name from slices", stack.metadata)]
    assert sorted(names) == sorted([*BY_NAME, "Made in the UI"])
    stack.rows("delete from slices where slice_name = 'Made in the UI'", stack.metadata)
    assert stack.counts() == counts


def test_no_password_in_the_export_or_the_metadata(stack: Stack, tmp_path: Path) -> None:
    password = stack.environment["PGPASSWORD"]
    assert not [name for name, text in stack.export(tmp_path).items() if password in text]
    tables = stack.rows(
        "select tablename from pg_tables where schemaname = 'public'", stack.metadata
    )
    assert len(tables) > 40
    for (table,) in tables:
        statement = f"select 1 from \"{table}\" as stored where stored::text like '%{password}%'"
        assert stack.rows(statement, stack.metadata) == [], table


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_fails_the_start(stack: Stack, case: str) -> None:
    status, output = stack.broken[case].result()
    assert status == 1
    assert "Traceback" not in output
    assert f"init_superset: {BROKEN[case][-1]}" in output.splitlines()[-1]


def test_the_dashboard_shows_every_chart_file_once() -> None:
    position = dashboard()["position"].values()
    placed = [
        part["meta"]["uuid"]
        for part in position
        if isinstance(part, dict) and part["type"] == "CHART"
    ]  # fmt: skip
    assert sorted(placed) == sorted(chart["uuid"] for chart in BY_NAME.values())


def test_no_asset_repeats_the_threshold() -> None:
    """Only dbt_project.yml declares the threshold. The charts read it from a mart."""
    for name, text in texts(ASSETS).items():
        assert str(THRESHOLD) not in text, name
        assert "billion" not in text.lower(), name
