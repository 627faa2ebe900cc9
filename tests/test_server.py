"""docs/server.md: its units, its settings and its commands, as far as they need no server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from support import PROJECT

PAGE = (PROJECT / "docs" / "server.md").read_text()
UNITS = PROJECT / "deploy" / "systemd"
BLOCKS = re.findall(r"```(?:sh|ini)\n(.*?)```", PAGE, re.DOTALL)


def test_systemd_accepts_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=true\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.glob("elt-*"))],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_use_the_folders_and_the_account_of_the_page():
    service = (UNITS / "elt-backup.service").read_text()
    home = re.search(r"--home-dir (\S+)", PAGE)[1]
    assert f"\nWorkingDirectory={home}/app\n" in service
    assert f"\nExecStartPost=find {re.search('BACKUP_DIR=(.*)', PAGE)[1]} " in service
    assert "\nUser=elt\n" in service


@pytest.fixture
def project(tmp_path):
    """Copy what `elt` reads, and write a .env as the page says."""
    for name in ("scripts", "config", "superset/service.env", ".env.example", "Makefile"):
        source, target = PROJECT / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path


def test_the_settings_of_the_page_are_accepted(project):
    """The program that checks them is this project's own, with the files of the copy."""
    subprocess.run(["python3", "scripts/make_env.py"], cwd=project, check=True)
    written = (project / ".env").read_text()
    settings = dict(re.findall(r"^([A-Z_]+)=(\S+)", BLOCKS[1], re.MULTILINE))
    assert len(settings) == 9
    for name, value in settings.items():
        written = re.sub(rf"^#?{name}=.*$", f"{name}={value}", written, flags=re.MULTILINE)
        assert f"\n{name}={value}\n" in written, name
    (project / ".env").write_text(written)
    program = (
        "from pathlib import Path\n"
        "from elt_stack import setting_files, setting_rules, settings\n"
        "for module in (setting_files, setting_rules, settings):\n"
        "    module.PROJECT = Path.cwd()\n"
        "print(settings.Settings.load(to_start=True).urls['SUPERSET_URL'])\n"
    )
    clean = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(
        [PROJECT / "stack/.venv/bin/python", "-c", program],
        cwd=project, env=clean, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("https://elt.example.com\n", "")
