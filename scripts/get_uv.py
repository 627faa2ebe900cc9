#!/usr/bin/env python3
"""Install uv, in the version this project is tested with, into a folder of the project.

    python3 scripts/get_uv.py VERSION FOLDER

From the package index that pip is configured with. It asks nothing of the system but Python:
pip's `--target` also works where the system's Python refuses to install (PEP 668), and where
there is no pip at all, a pip is fetched first and run from its archive.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
PIP = "pip-26.2.1-py3-none-any.whl"
PIP_SHA256 = "71138adf1f4ca900cdb7d289c21b7494329f2332b6d85f0e1c42108c0384ed3e"


def pip_command(folder: Path) -> list:
    """The command line of a pip: this Python's own, or one fetched into `folder`."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    page = urllib.request.Request(
        f"{INDEX}/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(page, timeout=60) as answer:
        files = {each["filename"]: each["url"] for each in json.load(answer)["files"]}
    address = urllib.parse.urljoin(page.full_url, files[PIP])
    with urllib.request.urlopen(address, timeout=60) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        sys.exit(f"get_uv: {PIP} arrived damaged; try again")
    archive = folder / PIP
    archive.write_bytes(content)
    return [sys.executable, str(archive / "pip")]


def main() -> None:
    """Install, unless that version is there."""
    version, target = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        install = [*pip_command(Path(folder)), "install", "--quiet", "--no-deps", "--no-compile"]
        install += ["--upgrade", "--disable-pip-version-check", "--root-user-action=ignore"]
        done = subprocess.run([*install, "--target", str(target), f"uv=={version}"])
    if done.returncode != 0:
        sys.exit(f"get_uv: could not install uv {version}; is the package index reachable?")


if __name__ == "__main__":
    main()
