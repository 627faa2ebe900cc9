"""The Docker stack refuses a bad start, and its data survives a stop and a removal.

These tests run last on the stack of this folder.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

from harness import COUNTS
from support import PROJECT, Stack, add_chart, airflow_api, docker, superset_api, task_states


def test_up_stops_at_a_chart_that_cannot_be_imported(docker_stack, tmp_path):
    assets = tmp_path / "assets"
    shutil.copytree(PROJECT / "superset" / "assets", assets)
    tmp_path.chmod(0o755)
    (assets / "charts" / "alert.yaml").write_text("slice_name: [not, a, name\n")
    override = tmp_path / "override.yaml"
    mount = {"type": "bind", "source": str(assets), "target": "/opt/superset/assets"}
    override.write_text(json.dumps({"services": {"superset-init": {"volumes": [mount]}}}))
    files = {"COMPOSE_FILE": f"docker-compose.yaml:{override}"}
    broken = Stack(docker_stack.folder, docker_stack.environment | files).make("up")
    assert broken.returncode != 0
    assert re.search(r"^superset-init: .*charts/alert\.yaml: ", broken.stdout, re.MULTILINE)
    repaired = docker_stack.make("up")
    assert repaired.returncode == 0, repaired.stdout


def test_data_survives_down_and_up(docker_stack):
    before = docker_stack.query(COUNTS)
    assert before[0][0] > 0
    assert docker_stack.make("down").returncode == 0
    assert docker_stack.containers() == {}
    assert docker_stack.make("up").returncode == 0
    assert docker_stack.query(COUNTS) == before


def test_clean_removes_the_data_and_a_backup_restores_it(docker_stack):
    assert docker_stack.make("clean").returncode != 0  # nobody confirmed it
    assert docker_stack.containers() != {}
    counts = docker_stack.query(COUNTS)
    runs = "/api/v2/dags/transactions_elt/dagRuns?limit=100"
    before = airflow_api(docker_stack.environment)(runs)
    assert before["total_entries"] > 1
    chart = add_chart(docker_stack.environment, "Made by hand")
    backup = docker_stack.make("backup")
    assert backup.returncode == 0, backup.stdout
    (folder,) = (docker_stack.folder / "backups").iterdir()
    assert docker_stack.make("clean", "FORCE=1").returncode == 0
    volumes = docker("volume", "ls", "--quiet", "--filter", f"name={docker_stack.project}_")
    assert volumes == ""
    restore = docker_stack.make("restore", f"FROM={folder}", "FORCE=1")
    assert restore.returncode == 0, restore.stdout
    assert docker_stack.query(COUNTS) == counts
    assert airflow_api(docker_stack.environment)(runs) == before
    made = superset_api(docker_stack.environment)(f"/api/v1/chart/{chart}")["result"]
    assert made["slice_name"] == "Made by hand"
    trigger = docker_stack.make("trigger", "FILE=transactions_data.csv")
    assert task_states(trigger)[0] == ("parse_and_populate_csv", "success"), trigger.stdout
    assert docker_stack.query(COUNTS) == counts


def test_compose_accepts_the_example_settings_and_names_a_missing_one(tmp_path):
    example = (PROJECT / ".env.example").read_text()
    filled = re.sub(r"^([A-Z_]+)=$", r"\1=a-secret", example, flags=re.MULTILINE)
    incomplete = filled.replace("LOADER_PASSWORD=a-secret\n", "")
    for text, code in ((filled, 0), (incomplete, 1)):
        (tmp_path / "env").write_text(text)
        config = subprocess.run(
            ["docker", "compose", "--env-file", "config/dev.env", "--env-file", tmp_path / "env",
             "--profile", "tasks", "config", "--format", "json"],
            cwd=PROJECT, env={"PATH": "/usr/bin:/bin:/usr/local/bin", "PWD": str(PROJECT)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert min(config.returncode, 1) == code, config.stderr
        assert ("LOADER_PASSWORD" in config.stderr) is bool(code)
        if not code:
            loader = json.loads(config.stdout)["services"]["data-ingestion"]
            assert loader["command"] == ["load", "--duplicates=drop", "--max-rejects=0"]


def test_each_problem_is_reported_on_one_line_before_anything_starts(docker_stack, tmp_path):
    def up(**environment: str) -> str:
        settings = docker_stack.environment | {"COMPOSE_PROJECT_NAME": "elt-never"} | environment
        done = Stack(docker_stack.folder, settings).make("up")
        assert done.returncode != 0
        assert "Traceback" not in done.stdout
        return done.stdout

    def fake_docker(script: str) -> dict[str, str]:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)
        return {"PATH": f"{tmp_path}:{docker_stack.environment['PATH']}"}

    info = '{"ServerVersion": "%s", "MemTotal": %d}'
    good = info % ("28.0.1", 16 << 30)
    assert "no Docker engine answers" in up(DOCKER_HOST="unix:///nowhere.sock")
    denied = "echo 'permission denied while trying to connect' >&2; exit 1"
    assert "group docker" in up(**fake_docker(denied))
    assert "25 or newer" in up(**fake_docker(f"echo '{info % ('20.10.24', 16 << 30)}'"))
    assert "2.0 GB of memory" in up(**fake_docker(f"echo '{info % ('28.0.1', 2 << 30)}'"))
    no_compose = f"[ $1 = compose ] && exit 1; echo '{good}'"
    assert "Compose v2 is not installed" in up(**fake_docker(no_compose))
    assert "which is not a folder" in up(DATA_DIR="/nowhere")
    weak = {"ELT_ENV": "prod", "LOADER_PASSWORD": "loader"}
    assert "LOADER_PASSWORD is a default or too short for ELT_ENV=prod" in up(**weak)
