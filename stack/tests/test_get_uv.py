"""scripts/get_uv.py with a package index that requires a login, and its error messages."""

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

from elt_stack.setting_files import PROJECT

VERSION = "1.2.3"
SECRET = "to/ken@secret"  # noqa: S105
LOGIN = {"Authorization": f"Basic {base64.b64encode(f'user:{SECRET}'.encode()).decode()}"}


def wheel() -> tuple[str, bytes]:
    """Return the name and the content of a wheel of uv for this machine."""
    system = "manylinux_2_17" if platform.libc_ver()[0] == "glibc" else "musllinux_1_1"
    system = "macosx_11_0" if sys.platform == "darwin" else system
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # ZipInfo has a fixed date. With the time of day, two archives could differ.
        program = zipfile.ZipInfo(f"uv-{VERSION}.data/scripts/uv")
        archive.writestr(program, "#!/bin/sh\necho it runs\n")
    name = f"uv-{VERSION}-py3-none-{system}_{platform.machine()}.whl"
    return name, content.getvalue()


class Index(http.server.BaseHTTPRequestHandler):
    """An index whose page requires a login.

    Attributes:
        files: the address of the files.
        cut: whether a response ends before its stated length.
        requests: the path and the Authorization header of each request.
    """

    files = "/files"
    cut = False
    requests: list[tuple[str, str | None]]

    def do_GET(self):
        self.requests.append((self.path, self.headers["Authorization"]))
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
    """Return a function that starts an index. It returns the address and the handler class."""
    servers = []

    def start(**properties) -> tuple[str, type[Index]]:
        handler = type("OneIndex", (Index,), {"requests": [], **properties})
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_port}", handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def get_uv(index_url: str, target) -> subprocess.CompletedProcess:
    """Run the script with an index. It cannot fall back to pip, which these tests do not have."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"PIP_INDEX_URL": index_url, "UV_DEFAULT_INDEX": ""}
    command = [sys.executable, PROJECT / "scripts" / "get_uv.py", VERSION, target]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_index_gets_the_login_in_its_address(index, tmp_path):
    address, handler = index()
    done = get_uv(f"http://user:to%2Fken%40secret@{address}/simple", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert subprocess.check_output([tmp_path / "bin" / "uv"], text=True) == "it runs\n"
    assert [login for _, login in handler.requests] == [LOGIN["Authorization"]] * 2


def test_another_host_gets_no_login(index, tmp_path):
    other_address, other = index()
    address, _ = index(files=f"http://{other_address}/files")
    assert get_uv(f"http://user:to%2Fken%40secret@{address}/simple", tmp_path).returncode == 0
    assert [login for _, login in other.requests] == [None]


@pytest.mark.parametrize(
    ("login", "properties", "reason"),
    [
        ("user:wrong@", {}, "401"),
        # With / and @ unescaped, no part of the password must be taken for the host.
        ("user:wr/ong@wrong@", {}, "401"),
        ("user:to%2Fken%40secret@", {"cut": True}, "IncompleteRead"),
        ("user:to%2Fken%40secret@", {"files": "http://user:wrong@127.0.0.1:no"}, "nonnumeric port"),
    ],
)
def test_a_failure_is_one_line_without_the_login(index, tmp_path, login, properties, reason):
    address, _ = index(**properties)
    done = get_uv(f"http://{login}{address}/simple", tmp_path)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"get_uv: could not install uv {VERSION} (")
    assert message.endswith(f": is http://{address}/simple reachable?")
    assert reason in message
    for hidden in ("user", "ken", "wr", "Traceback"):
        assert hidden not in done.stderr
