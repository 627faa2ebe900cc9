"""Where uv comes from when the package index asks for a login, and what is said when it fails."""

import base64
import hashlib
import http.server
import io
import json
import os
import platform
import subprocess
import sys
import threading
import zipfile

import pytest

from elt_stack.settings import PROJECT

VERSION = "1.2.3"
SECRET = "to/ken@secret"  # noqa: S105
LOGIN = {"Authorization": f"Basic {base64.b64encode(f'user:{SECRET}'.encode()).decode()}"}


def wheel() -> tuple[str, bytes]:
    """A wheel of uv that fits this machine, and its name."""
    system = "manylinux_2_17" if platform.libc_ver()[0] == "glibc" else "musllinux_1_1"
    system = "macosx_11_0" if sys.platform == "darwin" else system
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"uv-{VERSION}.data/scripts/uv", "#!/bin/sh\necho it runs\n")
    name = f"uv-{VERSION}-py3-none-{system}_{platform.machine()}.whl"
    return name, content.getvalue()


class Index(http.server.BaseHTTPRequestHandler):
    """An index whose page asks for a login, and whose files are where `files` says."""

    files = "/files"
    cut = False
    asked: list[tuple[str, str | None]]

    def do_GET(self):
        self.asked.append((self.path, self.headers["Authorization"]))
        name, content = wheel()
        page = self.path == "/simple/uv/"
        if page and self.headers["Authorization"] != LOGIN["Authorization"]:
            self.send_error(401)
            return
        if page:
            hashes = {"sha256": hashlib.sha256(content).hexdigest()}
            file = {"filename": name, "url": f"{self.files}/{name}", "hashes": hashes}
            content = json.dumps({"files": [file]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.cut))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    """Starts an index; returns where it is, and the class that holds what it was asked."""
    servers = []

    def start(**properties) -> tuple[str, type[Index]]:
        kind = type("OneIndex", (Index,), {"asked": [], **properties})
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_port}", kind

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def get_uv(address: str, target) -> subprocess.CompletedProcess:
    """Run the script on an index; pip, which could help, is not in the Python of these tests."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": ""}
    command = [sys.executable, PROJECT / "scripts" / "get_uv.py", VERSION, target]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_an_index_gets_the_login_that_its_address_holds(index, tmp_path):
    place, kind = index()
    done = get_uv(f"http://user:to%2Fken%40secret@{place}/simple", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert subprocess.check_output([tmp_path / "bin" / "uv"], text=True) == "it runs\n"
    assert [login for _, login in kind.asked] == [LOGIN["Authorization"]] * 2


def test_the_login_is_for_no_other_host(index, tmp_path):
    elsewhere, other = index()
    place, _ = index(files=f"http://{elsewhere}/files")
    assert get_uv(f"http://user:to%2Fken%40secret@{place}/simple", tmp_path).returncode == 0
    assert [login for _, login in other.asked] == [None]


@pytest.mark.parametrize(
    ("login", "properties", "reason"),
    [
        ("user:wrong@", {}, "401"),
        # As nobody may write it: the rest of the password is not to become the address.
        ("user:wr/ong@wrong@", {}, "401"),
        ("user:to%2Fken%40secret@", {"cut": True}, "IncompleteRead"),
        ("user:to%2Fken%40secret@", {"files": "http://user:wrong@127.0.0.1:no"}, "nonnumeric port"),
    ],
)
def test_a_failure_is_one_line_without_the_login(index, tmp_path, login, properties, reason):
    place, _ = index(**properties)
    done = get_uv(f"http://{login}{place}/simple", tmp_path)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"get_uv: could not install uv {VERSION} (")
    assert said.endswith(f": is http://{place}/simple reachable?")
    assert reason in said
    for shown in ("user", "ken", "wr", "Traceback"):
        assert shown not in done.stderr
