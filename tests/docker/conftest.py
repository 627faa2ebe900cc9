"""Real stacks in Docker for the tests of this folder, isolated by project names and ports."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import trustme

from certificates import HOST, write_certificate
from elt_stack.ports import free_port
from harness import new_file
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


@contextmanager
def running_stack(request, settings: dict[str, str]) -> Iterator[DockerStack]:
    """Start a stack with a folder, ports and secrets of its own, and remove it at the end."""
    with temporary_folder("elt-docker-") as folder:
        (folder / "data").mkdir(mode=0o755)
        project = folder.name.replace("_", "-").lower()
        environment = stack_environment(folder) | {
            "COMPOSE_PROJECT_NAME": project,
            "DATA_FOLDER": str(folder / "data"),
        }
        running = DockerStack(folder, environment | settings, project=project)
        try:
            build = running.make("build", timeout=900)
            assert build.returncode == 0, build.stdout
            yield running
        finally:
            if request.session.testsfailed:
                print(running.compose("logs", "--tail", "100"))
            running.make("clean", "FORCE=1")


@pytest.fixture(scope="session")
def docker_stack(request):
    with running_stack(request, {}) as running:
        shutil.copy(SAMPLE, running.data)
        up = running.make("up")
        assert up.returncode == 0, up.stdout + running.make("ps").stdout
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a certificate authority that only the tests know."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_settings(authority, tmp_path_factory) -> dict[str, str]:
    """Return the settings of the stack behind Caddy, in addition to those of any other stack."""
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.private_key_pem.write_to_path(folder / "authority.key")
    write_certificate(authority, folder)
    return {
        "ELT_ENV": "prod",
        "IMAGE_TAG": os.environ.get("IMAGE_TAG", "test"),
        "ALERT_URL": "json://127.0.0.1:9",  # prod demands an address; nobody listens there
        "PUBLIC_HOST": HOST,
        "AIRFLOW_METRICS_PASSWORD": secrets.token_urlsafe(16),
        "TLS_CERT_FILE": str(folder / "certificate.pem"),
        "TLS_KEY_FILE": str(folder / "certificate.key"),
        "HTTP_PORT": str(free_port()),
        "HTTPS_PORT": str(free_port()),
        "PROXY_SUBNET": f"198.19.{secrets.randbelow(256)}.0/24",
    }


@pytest.fixture(scope="session")
def tls_stack(request, tls_settings):
    """Yield a stack behind Caddy, with data that is not the sample, which prod refuses."""
    with running_stack(request, tls_settings) as running:
        new_file(running, seed=1, rows=2_000)
        up = running.make("up", "TLS=1")
        assert up.returncode == 0, up.stdout + running.make("ps").stdout
        running.environment["TLS"] = "1"
        yield running
