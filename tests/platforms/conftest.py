"""A Debian system with its own Python, in which an ordinary user runs the stack."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from elt_stack.ports import PORTS, free_port
from support import PROJECT

# `engine rootfs` makes the root file system, and `engine clean` removes the folder STORE.
ENGINE = PROJECT / "tests" / "docker" / "engine"
STORE = Path(os.environ.get("ELT_TEST_DOCKER", "/var/lib/elt-test-docker")) / "platforms"
PACKAGES = ("make", "python3")  # the requirements in README.md, except git: the clone is a copy
USER_ID = 61234  # no account of the host has it; the host sees the user's processes under this id
CERTIFICATES = Path("usr/local/share/ca-certificates")
# The only variables that the user gets from this machine: the addresses of indexes and proxies.
NETWORK = re.compile(r"UV_(DEFAULT_|EXTRA_)?INDEX\w*|PIP_INDEX_URL|(HTTPS?|ALL|NO)_PROXY", re.I)

# The first process of the namespaces is a shell, because a first process must reap orphans. It ends
# when its standard input is closed, which also happens when pytest is killed. The kernel then ends
# all other processes of the namespaces and removes the mounts.
FIRST_PROCESS = """
set -e
mount --bind "$2" "$1/home"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/dev/shm"
exec chroot "$1" sh -c 'echo ready; cat >/dev/null; exit'
"""


@dataclass
class Debian:
    """A running Debian with one user.

    Attributes:
        first_process: the id that the namespaces' first process has on the host.
        home: the user's home folder, as a path on the host.
        environment: the environment of a fresh login.
    """

    first_process: int
    home: Path
    environment: dict[str, str]

    @property
    def clone(self) -> Path:
        return self.home / "elt"

    def run(self, *command: str, timeout: float = 600) -> subprocess.CompletedProcess:
        """Run a command in the clone, as the user."""
        enter = ["nsenter", f"--target={self.first_process}", "--mount", "--pid", "--root"]
        enter += [f"--setuid={USER_ID}", f"--setgid={USER_ID}", "--", "env", "--ignore-environment"]
        enter += [f"--chdir={self.environment['HOME']}/elt"]
        enter += [f"{name}={value}" for name, value in self.environment.items()]
        return subprocess.run(
            [*enter, *command], timeout=timeout, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.run("make", "--no-print-directory", *arguments)

    def processes(self) -> list[psutil.Process]:
        """Return the user's processes, with their ids on the host."""
        return [each for each in psutil.process_iter(["uids"]) if each.info["uids"].real == USER_ID]


def obstacle() -> str | None:
    """Return the reason why this machine cannot run the Debian system, or None if it can."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "needs root on a Debian machine"
    if shutil.which("debootstrap") is None and not os.environ.get("CI"):
        return "needs debootstrap: `apt-get install debootstrap`"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"]).returncode != 0:
        return "needs the right to make namespaces"
    return None


def copy_clone(target: Path) -> None:
    """Copy the files that git tracks or would add, as they are in the working tree."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).exists():  # git lists a deleted file until the next commit
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)


def make_root(release: str) -> Path:
    """Unpack a release's root file system and add the user and this machine's network settings."""
    tar = subprocess.run([ENGINE, "rootfs", release, *PACKAGES], stdout=subprocess.PIPE, text=True)
    assert tar.returncode == 0, "the root file system was not made"
    root = Path(tempfile.mkdtemp(prefix="root-", dir=STORE))
    unpack = ["tar", "--extract", "--file", tar.stdout.strip(), "--directory", root]
    subprocess.run(unpack, check=True)
    for file in ("etc/resolv.conf", "etc/hosts"):
        shutil.copy(f"/{file}", root / file)
    if (Path("/") / CERTIFICATES).exists():
        shutil.copytree(Path("/") / CERTIFICATES, root / CERTIFICATES, dirs_exist_ok=True)
    for command in ("update-ca-certificates", f"useradd --uid {USER_ID} --no-create-home user"):
        subprocess.run(["chroot", root, *command.split()], check=True, capture_output=True)
    return root


def login_environment(home: Path) -> dict[str, str]:
    """Return the environment of a fresh login, with free ports for a stack."""
    environment = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    if "SSL_CERT_FILE" in os.environ:
        environment["SSL_CERT_FILE"] = "/etc/ssl/certs/ca-certificates.crt"
    return environment | {
        "HOME": f"/home/{home.name}",
        "USER": "user",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "UV_CACHE_DIR": "/home/uv-cache",
        **{port: str(free_port()) for port in PORTS},
    }


@pytest.fixture(scope="session")
def debian_13() -> Iterator[Debian]:
    """Start a Debian 13 with a clone in the home folder of its user.

    uv's cache is kept for the next run. It is on the same mount as the clone, because uv links
    files within one mount and copies them between two.
    """
    reason = obstacle()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    homes = STORE / "home"
    (homes / "uv-cache").mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="user-", dir=homes))
    root = make_root("trixie")
    copy_clone(home / "elt")
    for folder in (home, homes / "uv-cache"):
        subprocess.run(["chown", "--recursive", f"{USER_ID}:{USER_ID}", folder], check=True)
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    namespaces = subprocess.Popen(
        [*unshare, "sh", "-c", FIRST_PROCESS, "sh", root, homes],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert namespaces.stdout.readline() == "ready\n"
        (first,) = psutil.Process(namespaces.pid).children()
        debian = Debian(first.pid, home, login_environment(home))
        yield debian
    finally:
        namespaces.stdin.close()
        namespaces.wait(timeout=60)
        subprocess.run(["rm", "--recursive", "--force", root, home], check=True)
