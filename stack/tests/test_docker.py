"""What `make up` looks at before Compose starts anything, where no engine is needed for it."""

import os
import shutil
import subprocess

import pytest

from elt_stack import docker
from elt_stack import settings as module
from elt_stack.errors import StackError
from elt_stack.ports import PORTS, free_port
from elt_stack.settings import PROJECT, Settings
from support import DOCKER


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the Makefile, a data folder, a program that stands for Docker."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    shutil.copy(PROJECT / ".env.example", tmp_path)
    (tmp_path / "more.mk").write_text('data-folder: ; @echo "$$DATA_FOLDER"\n')
    (tmp_path / "the bank's").mkdir()
    (tmp_path / "bank").mkdir()
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(docker, "PROJECT", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in PORTS:
        monkeypatch.setenv(name, str(free_port()))
    for name in ("DATA_DIR", "DATA_FOLDER", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def check(project, monkeypatch, line: str) -> None:
    """`elt docker-check` as make calls it, with that line in .env."""
    example = (project / ".env.example").read_text()
    filled = example.replace("PASSWORD=\n", "PASSWORD=a-password\n").replace("=\n", "=a-key\n")
    text = filled.replace("DATA_DIR=data_ingestion/data", line.format(project=project))
    (project / ".env").write_text(text)
    command = ["make", "-f", "Makefile", "-f", "more.mk", "data-folder"]
    made = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    monkeypatch.setenv("DATA_FOLDER", made.stdout.strip())
    docker.check(Settings.load())


@pytest.mark.parametrize("line", ["DATA_DIR={project}/bank", "DATA_DIR=bank", "DATA_DIR=./bank/"])
def test_a_data_folder_that_make_reads_alike_is_good(project, monkeypatch, line):
    check(project, monkeypatch, line)
    assert os.environ["DATA_FOLDER"] == str(project / "bank")


@pytest.mark.parametrize(
    "line",
    [
        'DATA_DIR="{project}/bank"',
        "DATA_DIR={project}/bank  # statements",
        "DATA_DIR={project}/the bank's",
        "DATA_DIR={project}/${{NOTHING}}bank",
        "export DATA_DIR={project}/bank",
    ],
)
def test_a_data_folder_that_make_reads_otherwise_is_named(project, monkeypatch, line):
    with pytest.raises(StackError, match=r"^Docker would get another DATA_DIR than .*without"):
        check(project, monkeypatch, line)
