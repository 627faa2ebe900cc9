"""What `make up` looks at before Compose starts anything: each trouble is one clear line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from elt_stack.errors import StackError
from elt_stack.ports import PORTS, check_port
from elt_stack.settings import PROJECT, Settings

OLDEST_ENGINE = (25, 0)  # health checks with a start interval
OLDEST_COMPOSE = (2, 21)
LEAST_MEMORY = 4 << 30  # bytes; 8 GB are comfortable
INSTALL = "install it: https://docs.docker.com/engine/install/"


def check(settings: Settings) -> None:
    """Check the engine, Compose, memory, the data folder and the ports.

    Raises:
        StackError: what is wrong first, and what to do.
    """
    _check_engine()
    _check_compose()
    if not settings.data_dir.is_dir():
        raise StackError(f"DATA_DIR is {settings.data_dir}, which is no folder: mend it in .env")
    _check_data_folder(settings)
    _check_ports(settings)


def explain() -> str:
    """The last words of each container that ended badly, a line each."""
    found = []
    for container in containers("--all"):
        if container["State"] == "exited" and container["ExitCode"]:
            logs = _docker("logs", "--tail", "20", container["Name"])
            words = (logs.stdout + logs.stderr).strip().splitlines() or ["it said nothing"]
            found.append(f"{container['Service']}: {words[-1]}")
    return "\n".join(found)


def containers(*options: str) -> list[dict]:
    """What Compose says of each container of the stack that runs (of all with `--all`).

    An empty list where there is no Docker.
    """
    if shutil.which("docker") is None:
        return []
    shown = _docker("compose", "ps", *options, "--format", "json").stdout
    return [json.loads(line) for line in shown.splitlines()]


def environment(service: str) -> dict[str, str]:
    """What the container of a service was started with; empty where there is none."""
    for container in containers("--all"):
        if container["Service"] == service:
            shown = _docker("inspect", "--format", "{{json .Config.Env}}", container["Name"])
            if shown.returncode == 0:
                return dict(each.split("=", 1) for each in json.loads(shown.stdout))
    return {}


def compose(*arguments: str) -> str:
    """Run a command of Compose's on the stack; returns what it printed.

    Raises:
        StackError: it failed, with what it said last.
    """
    done = _docker("compose", *arguments)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise StackError(f"`docker compose {arguments[0]}` failed: {words[-1]}")
    return done.stdout


def _docker(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, cwd=PROJECT)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _check_engine() -> None:
    if shutil.which("docker") is None:
        raise StackError(f"there is no `docker` on this machine: {INSTALL}, or use `make demo`")
    info = _docker("info", "--format", "{{json .}}")
    found = json.loads(info.stdout) if info.stdout.startswith("{") else {}
    trouble = f"{info.stderr} {' '.join(found.get('ServerErrors') or [])}".strip()
    if "permission denied" in trouble:
        raise StackError(
            "you may not use the Docker engine: have yourself added to the group docker "
            "(sudo usermod -aG docker $USER) and log in again"
        )
    if info.returncode != 0 or not found.get("ServerVersion"):
        raise StackError(
            "no Docker engine answers: start Docker Desktop or `sudo systemctl start docker` "
            f"({trouble.splitlines()[0] if trouble else 'no reason given'})"
        )
    if _version(found["ServerVersion"]) < OLDEST_ENGINE:
        raise StackError(
            f"the Docker engine is {found['ServerVersion']}, and {OLDEST_ENGINE[0]} or newer is "
            "needed: update it"
        )
    if found["MemTotal"] < LEAST_MEMORY:
        raise StackError(
            f"Docker has {found['MemTotal'] / 2**30:.1f} GB of memory, and "
            f"{LEAST_MEMORY >> 30} GB are needed: give it more (in Docker Desktop: Settings)"
        )


def _check_compose() -> None:
    compose = _docker("compose", "version", "--short")
    if compose.returncode != 0:
        raise StackError(
            "Docker lacks Compose v2 (`docker compose`; the old `docker-compose` is not enough): "
            "https://docs.docker.com/compose/install/"
        )
    if _version(compose.stdout) < OLDEST_COMPOSE:
        needed = ".".join(map(str, OLDEST_COMPOSE))
        raise StackError(f"Compose is {compose.stdout.strip()}; {needed} or newer is needed")


def _check_data_folder(settings: Settings) -> None:
    """What make has read as DATA_DIR, and Compose mounts, is to be what everything else reads."""
    folder = os.environ.get("DATA_FOLDER")
    if folder is not None and Path(folder).resolve() != settings.data_dir:
        raise StackError(
            f"Docker would get another DATA_DIR than {settings.data_dir}: write it in .env as "
            "DATA_DIR=/the/folder, without blanks, quotes, variables or a comment behind it"
        )


def _check_ports(settings: Settings) -> None:
    ours = {
        publisher["PublishedPort"]
        for container in containers()
        for publisher in container.get("Publishers") or []
    }
    for setting in PORTS:
        port = int(settings[setting])
        if port not in ours:
            check_port(port, setting)
