#!/usr/bin/env python3
"""Install uv, in the version this project is tested with, into a folder of the project.

    python3 scripts/get_uv.py VERSION FOLDER

It asks nothing of the system but Python, 3.8 or newer. The wheel is fetched from the package
index (PyPI, or what UV_DEFAULT_INDEX or PIP_INDEX_URL name, with a login or without) and checked
against the hash the index gives; where that cannot be done (no certificates for this Python, an
index of the old form), pip does it.
"""

import base64
import hashlib
import http.client
import io
import json
import os
import platform
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"  # https://peps.python.org/pep-0691/
SECONDS = 60  # for an answer


def split(address: str) -> "tuple[str, str]":
    """An address without the login in it, which may never be shown, and that login."""
    scheme, login, place = re.match(r"(\w+://)?(?:(.*)@)?(.*)", address, re.DOTALL).groups("")
    return scheme + place, login


INDEX = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
INDEX, LOGIN = split((INDEX or "https://pypi.org/simple").rstrip("/"))


def fetch(address: str, accept: str = "*/*") -> bytes:
    """What is at that address."""
    address, _ = split(address)  # urllib cannot do with one, and shows it
    request = urllib.request.Request(address, headers={"Accept": accept})
    if LOGIN and address.startswith(urllib.parse.urljoin(INDEX, "/")):  # no other host may know
        user, _, password = LOGIN.partition(":")
        login = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}".encode()
        basic = f"Basic {base64.b64encode(login).decode()}"
        request.add_unredirected_header("Authorization", basic)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return answer.read()


def fits(filename: str) -> bool:
    """Whether a wheel's name is that of one for this machine."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    if sys.platform == "darwin":
        machine = {"aarch64": "arm64"}.get(machine, machine)
        return "-macosx_" in filename and filename.endswith(f"_{machine}.whl")
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return any(
        tag.startswith(libc) and tag.endswith(f"_{machine}")
        for tag in filename[: -len(".whl")].split("-")[-1].split(".")
    )


def install(version: str, target: Path) -> None:
    """Fetch the wheel and unpack its binaries to `target`/bin.

    Raises:
        OSError, HTTPException: the index or the file cannot be had.
        LookupError: the index does not answer as JSON, or has no wheel for this machine.
        ValueError: what arrived is not what the index announced.
    """
    page = f"{INDEX}/uv/"
    files = json.loads(fetch(page, JSON))["files"]
    name = f"uv-{version}-"
    wheel = next((f for f in files if f["filename"].startswith(name) and fits(f["filename"])), None)
    if wheel is None:
        raise LookupError(f"{INDEX} has no wheel of uv {version} for this machine")
    content = fetch(urllib.parse.urljoin(page, wheel["url"]))
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        raise ValueError("the wheel arrived damaged")
    (target / "bin").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            if ".data/scripts/" in member:
                part = target / "bin" / f".{Path(member).name}.part"
                part.write_bytes(archive.read(member))
                part.chmod(0o755)
                part.rename(part.with_name(Path(member).name))


def main() -> None:
    """Install it, by pip where it cannot be done directly."""
    version, target = sys.argv[1], Path(sys.argv[2])
    try:
        install(version, target)
    except (OSError, http.client.HTTPException, LookupError, ValueError) as error:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        pip += ["--upgrade", "--disable-pip-version-check", "--root-user-action=ignore"]
        if subprocess.run([*pip, "--target", target, f"uv=={version}"]).returncode != 0:
            sys.exit(f"get_uv: could not install uv {version} ({error}): is {INDEX} reachable?")


if __name__ == "__main__":
    main()
