"""The scripts that make an environment: they run before there is one, on the system's Python."""

import importlib.util
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from elt_local.settings import PROJECT

UV = "uv-0.13.9-py3-none-"
WHEELS = {
    "manylinux_2_17_x86_64.manylinux2014_x86_64.whl": ("linux", "x86_64", "glibc"),
    "musllinux_1_1_x86_64.whl": ("linux", "x86_64", ""),
    "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl": (
        "linux", "aarch64", "glibc",
    ),
    "macosx_11_0_arm64.whl": ("darwin", "arm64", ""),
    "macosx_10_12_x86_64.whl": ("darwin", "x86_64", ""),
    "win_amd64.whl": None,
    "manylinux_2_17_i686.manylinux2014_i686.whl": None,
}  # fmt: skip


@pytest.mark.parametrize("machine", [place for place in WHEELS.values() if place])
def test_the_wheel_of_uv_is_that_of_the_machine(monkeypatch, machine):
    spec = importlib.util.spec_from_file_location("get_uv", PROJECT / "scripts" / "get_uv.py")
    get_uv = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(get_uv)
    system, processor, libc = machine
    monkeypatch.setattr(get_uv.sys, "platform", system)
    monkeypatch.setattr(get_uv.platform, "machine", lambda: processor)
    monkeypatch.setattr(get_uv.platform, "libc_ver", lambda: (libc, ""))
    assert [name for name in WHEELS if get_uv.fits(UV + name)] == [
        name for name, place in WHEELS.items() if place == machine
    ]


@pytest.fixture
def bytecode(tmp_path):
    def run(command: str, clone: Path) -> None:
        script = [sys.executable, PROJECT / "scripts" / "bytecode.py", command, "airflow"]
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(script, cwd=clone, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")

    return run


def packages_of(clone: Path, *names: str) -> Path:
    """The packages of a clone's environment, each with one module."""
    packages = clone / "airflow" / ".venv" / "lib" / "python3.11" / "site-packages"
    for name in names:
        (packages / name).mkdir(parents=True)
        (packages / name / "module.py").write_text("VALUE = 1\n")
        os.utime(packages / name / "module.py", (1_700_000_000, 1_700_000_000))  # as uv links it
    return packages


def test_bytecode_of_one_clone_is_there_in_the_next(bytecode, tmp_path):
    first = packages_of(tmp_path / "first", "stays", "goes")
    for name in ("stays", "goes"):
        py_compile.compile(str(first / name / "module.py"))
    bytecode("save", tmp_path / "first")
    second = packages_of(tmp_path / "second", "stays")
    bytecode("restore", tmp_path / "second")
    compiled = second / "stays" / "__pycache__" / f"module.{sys.implementation.cache_tag}.pyc"
    assert compiled.read_bytes() == (first / compiled.relative_to(second)).read_bytes()
    assert not (second / "goes").exists()  # or it could be imported


def test_bytecode_that_is_out_of_date_is_not_used(bytecode, tmp_path):
    first = packages_of(tmp_path / "first", "package")
    py_compile.compile(str(first / "package" / "module.py"))
    bytecode("save", tmp_path / "first")
    second = packages_of(tmp_path / "second", "package")
    (second / "package" / "module.py").write_text("VALUE = 2\n")
    bytecode("restore", tmp_path / "second")
    code = "from package.module import VALUE; print(VALUE)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=second, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
    assert (first / "package" / "module.py").read_text() == "VALUE = 1\n"
