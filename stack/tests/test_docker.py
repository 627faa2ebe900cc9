"""The checks of `make up`, and the environment of `docker compose`, without an engine."""

import os
import re

import pytest

from elt_stack import docker
from elt_stack.environments import ADDRESSES
from elt_stack.errors import StackError
from elt_stack.ports import PORTS, free_port
from elt_stack.setting_files import PROJECT, declared_names
from elt_stack.settings import Settings
from support import DOCKER, elt, use_project, write_env


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Create a project folder with two data folders and a simulated docker command."""
    use_project(tmp_path, monkeypatch)
    (tmp_path / "the bank's").mkdir()
    (tmp_path / "bank").mkdir()
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setattr(docker, "PROJECT", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in PORTS:
        monkeypatch.setenv(name, str(free_port()))
    monkeypatch.setenv("DATA_FOLDER", "/set/in/the/shell")
    return tmp_path


def write_data_dir(project, line: str) -> None:
    """Write a .env with this line in place of DATA_DIR's."""
    text = write_env(project).replace("DATA_DIR=data_ingestion/data", line.format(project=project))
    (project / ".env").write_text(text)


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("DATA_DIR={project}/bank", "bank"),
        ("DATA_DIR=bank", "bank"),
        ("DATA_DIR=./bank/", "bank"),
        ('DATA_DIR="{project}/bank"', "bank"),
        ("DATA_DIR={project}/bank  # statements", "bank"),
        ("DATA_DIR={project}/the bank's", "the bank's"),
        ("DATA_DIR={project}/${{NOTHING}}bank", "bank"),
        ("export DATA_DIR={project}/bank", "bank"),
    ],
)
def test_compose_mounts_the_data_folder_that_elt_reads(project, monkeypatch, line, folder):
    write_data_dir(project, line)
    docker.check(Settings.load())
    commands = []
    monkeypatch.setattr(os, "execvpe", lambda *command: commands.append(command))
    elt("compose", "--", "--profile", "tasks", "ps", "--all")
    ((program, arguments, environment),) = commands
    assert program == "docker"
    assert arguments == ["docker", "compose", "--profile", "tasks", "ps", "--all"]
    assert environment["DATA_FOLDER"] == str(project / folder) == str(Settings.load().data_dir)


def test_compose_gets_no_data_folder_if_none_is_set(project, monkeypatch):
    """Docker must not mount the project folder. Compose reports the missing DATA_DIR."""
    monkeypatch.delenv("DATA_FOLDER")
    write_data_dir(project, "DATA_DIR=")
    assert "DATA_FOLDER" not in docker.compose_environment(Settings.read())


def test_a_variable_of_the_shell_does_not_change_the_addresses_of_containers(project, monkeypatch):
    write_data_dir(project, "DATA_DIR=bank")
    computed = Settings.load().urls
    text = "".join(path.read_text() for path in PROJECT.glob("*/service.env"))
    found = set(re.findall(r"\$\{(\w+):-", text))
    assert found - set(declared_names()) == {*ADDRESSES, *computed}
    for name in (*ADDRESSES, *computed):
        monkeypatch.setenv(name, "elsewhere")
    assert "elsewhere" not in docker.compose_environment(Settings.load()).values()


@pytest.mark.parametrize("name", ['a"b', "a\\b", "Zürich"])
def test_a_data_folder_that_the_docker_proxy_cannot_compare_is_refused(project, monkeypatch, name):
    (project / name).mkdir()
    write_data_dir(project, "DATA_DIR=bank")
    monkeypatch.setenv("DATA_DIR", str(project / name))
    with pytest.raises(StackError, match="choose a path of ASCII characters"):
        docker.check(Settings.load())


def test_a_missing_data_folder_is_named(project):
    write_data_dir(project, "DATA_DIR=nowhere")
    with pytest.raises(StackError, match=f"^DATA_DIR is {project}/nowhere, which is not a folder"):
        docker.check(Settings.load())
