"""Locks contain hashes, versions agree, and `make check-dependencies` finds vulnerabilities."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from datetime import date, timedelta

import pytest

from elt_stack.ports import free_port
from support import PROJECT

LOCKS = sorted(PROJECT.glob("uv.lock")) + sorted(PROJECT.glob("*/uv.lock"))
INDEX = {"registry": "https://pypi.org/simple"}
KNOWN = {"id": "PYSEC-2014-8", "affected": [{
    "package": {"name": "jinja2", "ecosystem": "PyPI"},
    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.7.2"}]}],
}]}  # fmt: skip


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_every_package_is_locked_with_its_hash(lock):
    packages = tomllib.loads(lock.read_text())["package"]
    local_packages = [package for package in packages if package["source"] != INDEX]
    folders = {folder for package in local_packages for folder in package["source"].values()}
    assert folders in ({"."}, {".", "stack"}), "only the project itself and stack/ are local"
    assert len(packages) > 5
    for package in packages:
        if package in local_packages:
            continue
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), package["name"]
            assert file["url"].startswith("https://files.pythonhosted.org/"), package["name"]


def test_the_makefile_lists_every_locked_project():
    projects = re.search(r"^PROJECTS := (.*)$", (PROJECT / "Makefile").read_text(), re.M)[1]
    assert {lock.parent for lock in LOCKS} == {
        (PROJECT / name).resolve() for name in projects.split()
    }


def uv_version() -> str:
    """Return the version of uv, as the Makefile reads it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    return project["tool"]["uv"]["required-version"].removeprefix("==")


def test_uv_and_each_base_image_have_one_version():
    assert re.fullmatch(r"[0-9.]+", uv_version())
    files = [*PROJECT.glob("*/Dockerfile"), *PROJECT.glob("docker-compose*.yaml")]
    text = "\n".join(path.read_text() for path in files)
    # The version is a build argument. Without it, a build fails.
    assert set(re.findall(r"uv==(.{14})", text)) == {"${UV_VERSION:?"}
    compose = (PROJECT / "docker-compose.yaml").read_text()
    assert (
        len(re.findall(r"args: \[UV_VERSION\b", compose))
        == len(list(PROJECT.glob("*/Dockerfile")))
        == 4
    )
    images = re.findall(r"^(?:FROM|\s+image:) (\S+)", text, re.M)
    named = {image for image in images if not image.startswith(("elt/", "*"))}
    assert named == {
        "python:3.11-slim-bookworm",
        "postgres:18",
        "haproxy:3.0",
        "redis:8",
        "caddy:2",
    }


@pytest.fixture
def service(monkeypatch):
    """Run a vulnerability service; yield the vulnerabilities that it reports, by package name."""
    known: dict[str, list[dict]] = {}

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            vulns = known.get(query["package"]["name"])
            answer = json.dumps({"vulns": vulns} if vulns else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OSV_URL", f"http://127.0.0.1:{server.server_port}")
    yield known
    server.shutdown()


@pytest.fixture
def check(tmp_path):
    """Return a function that checks the lock of the root project with a given allow-list."""
    shutil.copy(PROJECT / "scripts" / "check_dependencies.py", tmp_path)

    def run(allowed: str = "") -> tuple[int, str]:
        (tmp_path / "allowed_vulnerabilities.toml").write_text(allowed)
        version = uv_version()
        uv = PROJECT / ".tools" / f"uv-{version}" / "bin" / "uv"
        done = subprocess.run(
            [sys.executable, tmp_path / "check_dependencies.py", uv, "."], cwd=PROJECT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"NO_PROXY": "*"},
        )  # fmt: skip
        return done.returncode, done.stdout

    return run


def test_a_vulnerability_that_is_allowed_passes(service, check):
    service["jinja2"] = [KNOWN]
    # The lock of the root project contains jinja2. The service reports all versions of jinja2.
    code, output = check(allowance("jinja2", "PYSEC-2014-8", days=1))
    assert code == 0, output
    assert "1 known vulnerabilities, 0 of them not accepted" in output
    assert re.search(r"copyleft or unknown licences, of \d+ packages", output)
    assert re.search(r"^  psycopg2-binary .*LGPL.* tools$", output, re.M)


def allowance(package: str, identity: str, days: int) -> str:
    until = date.today() + timedelta(days=days)
    names = f'package = "{package}"\nid = "{identity}"\nreason = "a test"'
    return f"[[allowed]]\n{names}\nuntil = {until}\n"


@pytest.mark.parametrize(
    "allowed",
    ["", allowance("jinja2", "PYSEC-2014-8", days=-2), allowance("jinja2", "PYSEC-1", days=9)],
)
def test_a_vulnerability_that_is_not_allowed_fails(service, check, allowed):
    service["jinja2"] = [KNOWN]
    code, output = check(allowed)
    assert code == 1
    assert re.search(r"✗ jinja2 \S+ in \.: PYSEC-2014-8, fixed in 2\.7\.2$", output, re.M)


def test_a_service_that_knows_no_vulnerability_is_not_trusted(service, check):
    code, output = check()
    assert code == 2
    assert output.splitlines()[-1].startswith(
        "check_dependencies: cannot check for vulnerabilities: the service reports none"
    )


def test_an_unreachable_service_is_an_error(check, monkeypatch):
    monkeypatch.setenv("OSV_URL", f"http://127.0.0.1:{free_port()}")
    code, output = check()
    assert code == 2
    assert "Connection refused" in output.splitlines()[-1]
    assert "Traceback" not in output
