"""One real stack in Docker for all tests of this folder, isolated by project name and ports."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import SAMPLE, Stack, docker, stack_environment


@dataclass
class DockerStack(Stack):
    """A stack in Docker, controlled through the Makefile as a user would."""

    project: str = ""

    def containers(self) -> dict[str, str]:
        """Return the ids of the project's containers by service."""
        shown = docker(
            "ps", "--all", "--no-trunc", "--filter",
            f"label=com.docker.compose.project={self.project}",
            "--format", '{{.Label "com.docker.compose.service"}} {{.ID}}',
        )  # fmt: skip
        return dict(line.split() for line in shown.splitlines())

    def task_containers(self, template: str = "{{.ID}}") -> list[str]:
        """Return the containers of tasks: those on the tasks' network that Compose did not create.

        Compose's project label cannot tell them apart, because images carry it to their containers.
        """
        oneoff = '{{.Label "com.docker.compose.oneoff"}}'
        lines = docker(
            "ps", "--all", "--no-trunc", "--filter", f"network={self.project}-tasks",
            "--format", f"{template}\t{oneoff}",
        )  # fmt: skip
        containers = [line.partition("\t") for line in lines.splitlines()]
        return [container for container, _, oneoff in containers if not oneoff]


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
