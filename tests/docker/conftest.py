"""One real stack in Docker for all tests here: its own project name, ports, data and volumes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import SAMPLE, Stack, docker, stack_environment


@dataclass
class DockerStack(Stack):
    """A stack of containers, driven by the Makefile as a person drives it."""

    project: str = ""

    def containers(self) -> dict[str, str]:
        """Ids of this project's containers by their services."""
        shown = docker(
            "ps", "--all", "--no-trunc", "--filter",
            f"label=com.docker.compose.project={self.project}",
            "--format", '{{.Label "com.docker.compose.service"}} {{.ID}}',
        )  # fmt: skip
        return dict(line.split() for line in shown.splitlines())

    def task_containers(self, shown: str = "{{.ID}}") -> list[str]:
        """Containers on the tasks' network that Compose did not make: those of tasks.

        (Compose's label of the project is on the images already, and so on these as well.)
        """
        oneoff = '{{.Label "com.docker.compose.oneoff"}}'
        lines = docker(
            "ps", "--all", "--no-trunc", "--filter", f"network={self.project}-tasks",
            "--format", f"{shown}\t{oneoff}",
        )  # fmt: skip
        each = [line.partition("\t") for line in lines.splitlines()]
        return [task for task, _, oneoff in each if not oneoff]


@pytest.fixture(scope="session")
def docker_stack(request):
    folder = Path(tempfile.mkdtemp(prefix="elt-docker-"))
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o755)
    shutil.copy(SAMPLE, folder / "data")
    project = folder.name.replace("_", "-").lower()
    environment = stack_environment(folder) | {
        "COMPOSE_PROJECT_NAME": project,
        "DATA_FOLDER": str(folder / "data"),
    }
    running = DockerStack(folder, environment, project=project)
    try:
        assert running.make("build", timeout=900).returncode == 0
        up = running.make("up")
        assert up.returncode == 0, up.stdout + running.make("ps").stdout
        yield running
    finally:
        if request.session.testsfailed:
            print(running.compose("logs", "--tail", "100"))
        running.make("clean", "FORCE=1")
        shutil.rmtree(folder, ignore_errors=True)
