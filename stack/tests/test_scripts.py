"""scripts/get_uv.py chooses the wheel of uv for the machine."""

import importlib.util

import pytest

from elt_stack.setting_files import PROJECT

UV = "uv-1.2.3-py3-none-"
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


@pytest.mark.parametrize("machine", [machine for machine in WHEELS.values() if machine])
def test_the_wheel_of_uv_fits_the_machine(monkeypatch, machine):
    spec = importlib.util.spec_from_file_location("get_uv", PROJECT / "scripts" / "get_uv.py")
    get_uv = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(get_uv)
    system, processor, libc = machine
    monkeypatch.setattr(get_uv.sys, "platform", system)
    monkeypatch.setattr(get_uv.platform, "machine", lambda: processor)
    monkeypatch.setattr(get_uv.platform, "libc_ver", lambda: (libc, ""))
    assert [name for name in WHEELS if get_uv.fits(UV + name)] == [
        name for name, fitting in WHEELS.items() if fitting == machine
    ]
