"""Docker Compose, run with the settings of .env, and checks before it starts the stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any

from elt_stack import tls
from elt_stack.environments import ADDRESSES
from elt_stack.errors import StackError
from elt_stack.ports import PORTS, PUBLIC_PORTS, check_port
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings

OLDEST_ENGINE = (25, 0)  # the first with `start_interval` of health checks
OLDEST_COMPOSE = (2, 21)
LEAST_MEMORY = 4 << 30  # bytes; 8 GB are comfortable
INSTALL = "install it: https://docs.docker.com/engine/install/"
# haproxy.cfg compares the data folder, byte by byte, with a string in a JSON request. The path must
# therefore need no escaping in JSON.
DATA_FOLDER = re.compile(r"[^\"\\\x00-\x1f\x7f-\U0010ffff]+")


def compose_environment(settings: Settings) -> dict[str, str]:
    """Return the environment for a `docker compose` command.

    Compose gets the settings as Settings has read them, so that .env has one reader. DATA_FOLDER is
    the absolute path of DATA_DIR, which the engine mounts into the containers of tasks. A variable
    of the shell does not change the addresses of containers.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    environment |= {name: value for name, value in settings.values.items() if value}
    environment |= settings.urls
    if settings["TLS"]:
        environment |= tls.compose_variables(settings)
    if settings["DATA_DIR"]:
        environment["DATA_FOLDER"] = str(settings.data_dir)
    return environment


def check(settings: Settings) -> None:
    """Check the engine, Compose, the memory, the data folder and the ports.

    Raises:
        StackError: the first problem that was found, and its solution.
    """
    _check_engine()
    _check_compose()
    _check_data_folder(settings)
    _check_ports(settings)


def check_installed() -> None:
    """Check that the docker command exists.

    Raises:
        StackError: the command does not exist.
    """
    if shutil.which("docker") is None:
        raise StackError(
            f"Docker is not installed: {INSTALL}, or use `make demo`, which needs none"
        )


def explain_failures(settings: Settings) -> str:
    """Return the last log line of each container that failed, one line per container."""
    lines = []
    for container in containers(settings, "--all"):
        if container["State"] == "exited" and container["ExitCode"]:
            logs = _docker("logs", "--tail", "20", container["Name"])
            output = (logs.stdout + logs.stderr).strip().splitlines() or ["its log is empty"]
            lines.append(f"{container['Service']}: {output[-1]}")
    return "\n".join(lines)


def last_error_of_caddy(settings: Settings) -> str:
    """Return the last error in Caddy's log, in which each line is a JSON object."""
    done = _compose(settings, "logs", "--no-log-prefix", "--no-color", "proxy")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    errors = [each.get("error") or each["msg"] for each in lines if each["level"] == "error"]
    return errors[-1] if errors else "its log contains no error"


def containers(settings: Settings, *options: str) -> list[dict[str, Any]]:
    """Return the output of `docker compose ps`.

    Args:
        settings: the settings of the stack.
        *options: the options of `docker compose ps`; `--all` includes containers that have ended.

    Returns:
        One item per container; an empty list if Docker is not installed.
    """
    if shutil.which("docker") is None:
        return []
    listed = _compose(settings, "ps", *options, "--format", "json").stdout
    return [json.loads(line) for line in listed.splitlines()]


def container_environment(settings: Settings, service: str) -> dict[str, str]:
    """Return the environment of a service's container; empty if there is no container."""
    for container in containers(settings, "--all"):
        if container["Service"] == service:
            inspected = _docker("inspect", "--format", "{{json .Config.Env}}", container["Name"])
            if inspected.returncode == 0:
                return dict(each.split("=", 1) for each in json.loads(inspected.stdout))
    return {}


def compose(settings: Settings, *arguments: str) -> str:
    """Run a `docker compose` command on the stack, and return its output.

    Raises:
        StackError: the command failed. The message contains the last line of its errors.
    """
    done = _compose(settings, *arguments)
    if done.returncode != 0:
        errors = done.stderr.strip().splitlines() or ["no reason given"]
        raise StackError(f"`docker compose {arguments[0]}` failed: {errors[-1]}")
    return done.stdout


def _compose(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _docker("compose", *arguments, environment=compose_environment(settings))


def _docker(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments], env=environment, cwd=PROJECT, capture_output=True, text=True
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _check_engine() -> None:
    check_installed()
    info = _docker("info", "--format", "{{json .}}")
    engine = json.loads(info.stdout) if info.stdout.startswith("{") else {}
    errors = f"{info.stderr} {' '.join(engine.get('ServerErrors') or [])}".strip()
    if "permission denied" in errors:
        raise StackError(
            "you may not use the Docker engine: join the group docker "
            "(sudo usermod -aG docker $USER) and log in again"
        )
    if info.returncode != 0 or not engine.get("ServerVersion"):
        raise StackError(
            "no Docker engine answers: start Docker Desktop or `sudo systemctl start docker` "
            f"({errors.splitlines()[0] if errors else 'no reason given'})"
        )
    if _version(engine["ServerVersion"]) < OLDEST_ENGINE:
        raise StackError(
            f"the Docker engine is version {engine['ServerVersion']}: update it to "
            f"{OLDEST_ENGINE[0]} or newer"
        )
    if engine["MemTotal"] < LEAST_MEMORY:
        raise StackError(
            f"Docker has {engine['MemTotal'] / 2**30:.1f} GB of memory: give it at least "
            f"{LEAST_MEMORY >> 30} GB (in Docker Desktop: Settings, Resources)"
        )


def _check_compose() -> None:
    version = _docker("compose", "version", "--short")
    if version.returncode != 0:
        raise StackError(
            "Docker Compose v2 is not installed (the old `docker-compose` is not enough): "
            "https://docs.docker.com/compose/install/"
        )
    if _version(version.stdout) < OLDEST_COMPOSE:
        needed = ".".join(map(str, OLDEST_COMPOSE))
        raise StackError(
            f"Docker Compose is version {version.stdout.strip()}: update it to {needed} or newer"
        )


def _check_data_folder(settings: Settings) -> None:
    folder = settings.data_dir
    if not folder.is_dir():
        raise StackError(f"DATA_DIR is {folder}, which is not a folder: correct it in .env")
    if not DATA_FOLDER.fullmatch(str(folder)):
        raise StackError(
            f"DATA_DIR is {folder}: for Docker, choose a path of ASCII characters without "
            "double quotes and backslashes"
        )


def _check_ports(settings: Settings) -> None:
    own = {
        publisher["PublishedPort"]
        for container in containers(settings)
        for publisher in container.get("Publishers") or []
    }
    addresses = dict.fromkeys(PORTS, "127.0.0.1")
    if settings["TLS"]:
        addresses |= dict.fromkeys(PUBLIC_PORTS, "0.0.0.0")  # noqa: S104 - Caddy's
    for setting, address in addresses.items():
        port = int(settings[setting])
        if port not in own:
            check_port(port, setting, address)
