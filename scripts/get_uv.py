#!/usr/bin/env python3
"""Install uv, in the version that the project is tested with, into a folder of the project.

    python3 scripts/get_uv.py VERSION FOLDER

The script needs only Python 3.8 or newer. It downloads the wheel from the package index (PyPI, or
the index in UV_DEFAULT_INDEX or PIP_INDEX_URL, with or without a login) and compares the wheel with
the hash that the index states. If this fails, the script installs uv with pip. For example, this
Python may have no certificates, or the index may not offer the JSON API.
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
TIMEOUT = 60  # seconds for each answer of the index


def split(address: str) -> "tuple[str, str]":
    """Separate an address from its login, because messages must not show the login.

    Args:
        address: a URL, possibly with `user:password@` before its host.

    Returns:
        The address without the login, and the login or an empty string.
    """
    pattern = r"\A(\w+://)?(?:(.*)@)?(.*)\Z"
    [(scheme, login, location)] = re.findall(pattern, address, re.DOTALL)
    return scheme + location, login


INDEX, LOGIN = split(
    (
        os.environ.get("UV_DEFAULT_INDEX")
        or os.environ.get("PIP_INDEX_URL")
        or "https://pypi.org/simple"
    ).rstrip("/")
)


def fetch(address: str, accept: str = "*/*") -> bytes:
    """Download the content of an address.

    Args:
        address: a URL; the login of the index is sent if the URL is on the index's host.
        accept: the media type to ask for.

    Raises:
        OSError, HTTPException: the download failed.
    """
    address, _ = split(address)  # urllib does not accept a login and would show it in its message
    request = urllib.request.Request(address, headers={"Accept": accept})
    if LOGIN and address.startswith(urllib.parse.urljoin(INDEX, "/")):
        user, _, password = LOGIN.partition(":")
        login = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}".encode()
        basic = f"Basic {base64.b64encode(login).decode()}"
        # Unredirected: the host that a redirect names must not receive the login.
        request.add_unredirected_header("Authorization", basic)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        content: bytes = response.read()
        return content


def fits(filename: str) -> bool:
    """Tell whether a wheel runs on this machine, judged by the platform tags in its file name."""
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
    """Download the wheel of uv and unpack its programs.

    Args:
        version: the version of uv.
        target: the folder whose bin/ receives the programs.

    Raises:
        OSError, HTTPException: a download failed.
        LookupError: the answer of the index lacks a field, or no wheel fits this machine.
        ValueError: the index did not answer with JSON, or the wheel does not match its hash.
    """
    page = f"{INDEX}/uv/"
    files = json.loads(fetch(page, JSON))["files"]
    name = f"uv-{version}-"
    wheel = next((f for f in files if f["filename"].startswith(name) and fits(f["filename"])), None)
    if wheel is None:
        raise LookupError(f"{INDEX} has no wheel of uv {version} for this machine")
    content = fetch(urllib.parse.urljoin(page, wheel["url"]))
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        raise ValueError("the downloaded wheel does not match its hash")
    (target / "bin").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            if ".data/scripts/" in member:
                # Renamed when complete: an interrupted run must not leave half a program.
                part = target / "bin" / f".{Path(member).name}.part"
                part.write_bytes(archive.read(member))
                part.chmod(0o755)
                part.rename(part.with_name(Path(member).name))


def main() -> None:
    """Install uv from its wheel, or with pip if that fails."""
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
