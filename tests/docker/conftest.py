"""One real stack in Docker for all tests of this folder, isolated by project name and ports."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

import pytest

from support import PROJECT, SAMPLE, Stack, docker, stack_environment, temporary_folder

ELT = PROJECT / "stack" / ".venv" / "bin" / "elt"


@dataclass
class DockerStack(Stack):
    """A stack in Docker, controlled through the Makefile as a user would."""

    project: str = ""

    def compose(self, *arguments: str) -> str:
        """Run docker compose on the stack and return its output."""
        done = subprocess.run(
            [ELT, "compose", "--", *arguments], cwd=PROJECT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        )  # fmt: skip
        return done.stdout

    def containers(self) -> dict[str, str]:
        """Return the ids of the project's containers by service."""
        shown = docker(
            "ps", "--all", "--no-trunc", "--filter",
            f"label=com.docker.compose.project={self.project}",
            "--format", '{{.Label "com.docker.compose.service"}} {{.ID}}',
        )  # fmt: skip
        return dict(line.split() for line in shown.splitlines())

    def task_containers(self, template: str = "{{.ID}}") -> list[str]:
        """Return the containers on the tasks' network that Compose did not create.

        Only Compose sets the label `oneoff`. Its project label is no sign of Compose, because
        Compose also sets it on the images that it builds, and containers inherit it from there.

        Args:
            template: The format of each returned container, a template of `docker ps`.
        """
        oneoff_label = '{{.Label "com.docker.compose.oneoff"}}'
        lines = docker(
            "ps", "--all", "--no-trunc", "--filter", f"network={self.project}-tasks",
            "--format", f"{template}\t{oneoff_label}",
        )  # fmt: skip
        containers = [line.partition("\t") for line in lines.splitlines()]
        return [container for container, _, oneoff in containers if not oneoff]


@pytest.fixture(scope="session")
def docker_stack(request):
    with temporary_folder("elt-docker-") as folder:
        (folder / "data").mkdir(mode=0o755)
        shutil.copy(SAMPLE, folder / "data")
        project = folder.name.replace("_", "-").lower()
        environment = stack_environment(folder) | {
            "COMPOSE_PROJECT_NAME": project,
            "DATA_FOLDER": str(folder / "data"),
        }
        running = DockerStack(folder, environment, project=project)
        try:
            build = running.make("build", timeout=900)
            assert build.returncode == 0, build.stdout
            up = running.make("up")
            assert up.returncode == 0, up.stdout + running.make("ps").stdout
            yield running
        finally:
            if request.session.testsfailed:
                print(running.compose("logs", "--tail", "100"))
            running.make("clean", "FORCE=1")
