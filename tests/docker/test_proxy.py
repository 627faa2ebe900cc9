"""docker-proxy forwards the calls of a task's operator and refuses all others.

Each forbidden call differs in one point from an allowed call, so only this point can be the reason
for the refusal. A forbidden call that gets through does no harm, because the tests start no
container with a forbidden setting.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from support import docker

V = "/v1.45"
CREATE = f"{V}/containers/create"
JSON = "Content-Type: application/json"
UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")
# The body of `create` that docker-py writes for the stack's ContainerTask.
GOOD = """{"ExposedPorts": {}, "Tty": false, "OpenStdin": false, "StdinOnce": false,
  "AttachStdin": false, "AttachStdout": true, "AttachStderr": true, "Env": ["ELT_ENV=dev"],
  "Cmd": ["--help"], "Image": "elt/data-ingestion:test", "NetworkDisabled": false,
  "HostConfig": {"Memory": 1073741824, "NetworkMode": "NETWORK", "PortBindings": {}, "Ulimits": [],
    "LogConfig": {"Type": null, "Config": {}}, "CpuShares": 1024,
    "Mounts": [{"Target": "/data", "Source": "FOLDER", "Type": "bind", "ReadOnly": true}]}}"""


@dataclass
class Proxy:
    """A client of docker-proxy.

    Attributes:
        address: The proxy's IP address on its network.
        good: The body of an allowed `create`.
    """

    address: str
    good: str

    def call(self, method: str, path: str, body: str = "", headers=(JSON,)) -> tuple[int, str]:
        if not any(header.startswith(("Content-Length", "Transfer-")) for header in headers):
            headers = (*headers, f"Content-Length: {len(body.encode())}")
        with self.answer(method, path, body, headers) as answer:
            return answer.status, "" if answer.status == 101 else answer.read().decode()

    @contextlib.contextmanager
    def answer(self, method: str, path: str, body: str, headers) -> Iterator[HTTPResponse]:
        """Send a call, read the head of its answer, and yield the answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: docker", *headers, "", body]
        with socket.create_connection((self.address, 2375), timeout=15) as connection:
            connection.sendall("\r\n".join(lines).encode())
            answer = HTTPResponse(connection, method=method)
            answer.begin()
            yield answer

    def create(self, body: str) -> str:
        """Create a container and return its id."""
        status, answer = self.call("POST", CREATE, body)
        assert status == 201, answer
        return json.loads(answer)["Id"]

    def remove(self, container: str) -> int:
        """Remove a container and return the status of the answer."""
        return self.call("DELETE", f"{V}/containers/{container}?v=False&link=False&force=True")[0]

    def body(self, part: str = "all", change: dict | None = None) -> str:
        """Return the allowed body with changed settings in one part: "all", "host" or "mount"."""
        body = json.loads(self.good)
        host = body["HostConfig"]
        {"all": body, "host": host, "mount": host["Mounts"][0]}[part].update(change or {})
        return json.dumps(body)


@pytest.fixture(scope="module")
def proxy(docker_stack) -> Proxy:
    project, folder = docker_stack.project, docker_stack.environment["DATA_FOLDER"]
    address = f'{{{{(index .NetworkSettings.Networks "{project}-engine").IPAddress}}}}'
    address = docker("inspect", f"{project}-docker-proxy-1", "--format", address)
    return Proxy(address, GOOD.replace("NETWORK", f"{project}-tasks").replace("FOLDER", folder))


@pytest.fixture
def container(proxy) -> Iterator[str]:
    identity = proxy.create(proxy.body())
    yield identity
    proxy.remove(identity)


def assert_refused(answer: tuple[int, str]) -> None:
    """Check that haproxy refused the call. If Docker had refused it, it would have got through."""
    texts = {400: ["<h1>400 Bad request</h1>"], 403: ["docker-proxy: ", "by administrative rules"]}
    assert any(text in answer[1] for text in texts.get(answer[0], [])), answer


def changes(**parts: list[dict]) -> pytest.MarkDecorator:
    """Parametrise a test with one change of the allowed body at a time, by part of the body."""
    rows = {f"{part}-{json.dumps(row)[1:-1]}": (part, row) for part in parts for row in parts[part]}
    return pytest.mark.parametrize(("part", "change"), rows.values(), ids=rows)


def test_the_calls_of_a_task_pass(proxy, container):
    for path in ("version", "_ping", "images/json?only_ids=0&all=0&filters=%7B%7D"):
        assert proxy.call("GET", f"{V}/{path}")[0] == 200
    path, output = f"{V}/containers/{container}", "logs=0&stdout=1&stderr=1&stream=1"
    assert proxy.call("POST", f"{path}/attach?{output}", headers=UPGRADE)[0] == 101
    assert json.loads(proxy.call("GET", f"{path}/json")[1])["Config"]["Cmd"] == ["--help"]
    assert proxy.call("POST", f"{path}/start")[0] == 204
    assert json.loads(proxy.call("POST", f"{path}/wait")[1])["StatusCode"] == 0
    assert proxy.call("POST", f"{path}/stop")[0] == 304  # the container has already ended
    assert proxy.remove(container) == 204


@changes(
    all=[{"Image": "elt/dbt:test"}, {"Env": ['A="\\}, "Privileged": true, \n\u00e9']}],
    host=[{"Mounts": []}],
)
def test_an_allowed_create_passes(proxy, part, change):
    assert proxy.remove(proxy.create(proxy.body(part, change))) == 204


@changes(
    host=[
        {"Privileged": True}, {"privileged": True}, {"PRIVILEGED": True}, {"CapAdd": ["ALL"]},
        {"NetworkMode": "host"}, {"networkMode": "host"}, {"NetworkMode": "container:x"},
        {"PidMode": "host"}, {"IpcMode": "host"}, {"UsernsMode": "host"}, {"UTSMode": "host"},
        {"CgroupnsMode": "host"}, {"CgroupParent": "/"}, {"Devices": [{"PathOnHost": "/dev/kvm"}]},
        {"DeviceRequests": [{"Count": -1}]}, {"DeviceCgroupRules": ["a *:* rwm"]}, {"Runtime": "x"},
        {"Binds": ["/:/x"]}, {"binds": ["/:/x"]}, {"Bind\u017f": ["/:/x"]}, {"VolumesFrom": ["x"]},
        {"SecurityOpt": ["seccomp=unconfined"]}, {"Sysctls": {"net.ipv4.ip_forward": "1"}},
        {"Memory": 0}, {"CpuShares": 9999},
    ],
    mount=[
        {"ReadOnly": False}, {"readonly": False}, {"Source": "/"}, {"source": "/"},
        {"Source": "/var/run/docker.sock"}, {"Target": "/etc"}, {"Type": "volume"},
    ],
    all=[
        {"Image": "postgres:18"}, {"image": "postgres:18"}, {"Image": "elt/dbt:LATEST"},
        {"Entrypoint": ["sh"]}, {"User": "0"}, {"NetworkingConfig": {}}, {"hostconfig": {}},
        {"Labels": {"com.docker.compose.project": "another"}},
    ],
)  # fmt: skip
def test_a_create_with_a_forbidden_setting_is_refused(proxy, part, change):
    assert_refused(proxy.call("POST", CREATE, proxy.body(part, change)))


PRIVILEGED = '"HostConfig": {"Privileged": true}'
UNUSUAL_BODIES = {
    "duplicate key before": lambda good: f"{{{PRIVILEGED}, {good[1:]}",
    "duplicate key after": lambda good: f"{good[:-1]}, {PRIVILEGED}}}",
    "escape in a key": lambda good: good.replace('"Cpu', '"\\u0050rivileged": true, "Cpu'),
    "second mount": lambda good: good.replace("}]}", '}, {"Type": "bind", "Source": "/"}]}'),
    "folder above the data": lambda good: good.replace('", "Type"', '/..", "Type"'),
    "mount without a mode": lambda good: good.replace(', "ReadOnly": true', ""),
    "trailing newline": lambda good: f"{good}\n",
    "document before": lambda good: f"{{{PRIVILEGED}}}{good}",
    "NUL byte, second document": lambda good: f"{good}\0{{{PRIVILEGED}}}",
    "longer than the buffer": lambda good: good.replace("--help", "x" * 70_000),
}  # fmt: skip


@pytest.mark.parametrize("change", UNUSUAL_BODIES.values(), ids=UNUSUAL_BODIES)
def test_a_create_with_an_unusual_body_is_refused(proxy, change):
    assert_refused(proxy.call("POST", CREATE, change(proxy.body())))


@pytest.mark.parametrize("header", [
    "Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 9",
    "Transfer-Encoding: xchunked", "Content-Length: 9", "Content-Length: 9\r\nContent-Length: 8",
    "Content-Encoding: gzip", "Content-Type: text/plain", "\r\n".join(UPGRADE),
])  # fmt: skip
def test_a_create_with_unusual_headers_is_refused(proxy, header):
    body = proxy.body()
    body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if "chunked" in header else body
    content_type = [] if "Type" in header else [JSON]
    assert_refused(proxy.call("POST", CREATE, body, [*content_type, header]))


@pytest.mark.parametrize("call", [
    "POST //containers/create", f"POST {V}//containers/create", "POST /v1.23/containers/create",
    f"POST {V}/%63ontainers/create", f"POST {V}/images/../containers/create", f"POST {CREATE}/",
    f"POST {CREATE}?name=x", f"POST {V}/containers/{'0' * 64}/start", f"PUT {CREATE}",
])  # fmt: skip
def test_a_create_on_another_path_is_refused(proxy, call):
    assert_refused(proxy.call(*call.split(), proxy.body()))


@pytest.mark.parametrize("call", [
    "GET /containers/json", "GET /info", "GET /events", "GET /networks", "GET /volumes",
    "GET /containers/{name}/json", "GET /containers/{id:.12}/json", "GET /containers/{id:.63}/json",
    "GET /containers/{id}/logs?stdout=1", "GET /containers/{id}/archive?path=/", "OPTIONS /_ping",
    "POST /containers/{id}/exec", "POST /exec/{id}/start", "POST /containers/{id}/kill",
    "POST /containers/{id}/update", "POST /containers/{id}/attach?stdin=1&stream=1",
    "POST /containers/{name}/stop", "DELETE /containers/{id}", "POST /commit?container={id}",
    "DELETE /containers/{name}?v=False&link=False&force=True", "POST /build", "POST /session",
    "POST /images/create?fromImage=x", "POST /volumes/create", "POST /networks/create",
])  # fmt: skip
def test_other_calls_are_refused(proxy, container, call):
    name = docker("inspect", container, "--format={{.Name}}").strip("/")
    method, path = call.format(id=container, name=name).split()
    assert_refused(proxy.call(method, V + path))


ATTACH = "attach?logs=0&stdout=1&stderr=1&stream=1"
SETTINGS = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")


@pytest.mark.parametrize("upgrade", [
    (*SETTINGS, "Upgrade: h2c"),
    (*SETTINGS, "Upgrade: tcp"),
    ("Connection: Upgrade", "Upgrade: websocket"),
    ("Connection: Upgrade", "Upgrade: tcp, websocket"),
])  # fmt: skip
def test_an_upgrade_to_another_protocol_is_refused(proxy, container, upgrade):
    assert_refused(proxy.call("POST", f"{V}/containers/{container}/{ATTACH}", headers=upgrade))


@pytest.mark.parametrize(("upgrade", "answered"), [
    (("Upgrade: h2c",), (200, None)),
    (("Upgrade: tcp, h2c",), (101, "tcp")),
    (("Upgrade: tcp", "Upgrade: h2c"), (101, "tcp")),
])  # fmt: skip
def test_http2_is_removed_from_an_upgrade(proxy, container, upgrade, answered):
    """The proxy removes h2c (HTTP/2 without TLS). The rest of the call is an ordinary attach."""
    headers = ("Connection: Upgrade", *upgrade, "Content-Length: 0")
    path = f"{V}/containers/{container}/{ATTACH}"
    with proxy.answer("POST", path, "", headers) as answer:
        assert (answer.status, answer.getheader("Upgrade")) == answered


@pytest.mark.parametrize("path", [
    f"http://docker{V}/info", f"http://docker{CREATE}", f"http://docker?{CREATE}", f"//x{CREATE}",
    f"{V}/containers/./create", f"{V}/./containers/create", f"{V}/x/../containers/create",
    f"{V}/containers%2fcreate", f"{V}/containers/%2e/create", f"{V}/%2e%2e{CREATE}", f"{CREATE}%00",
    f"{CREATE};x", f"{CREATE}#", f"{CREATE}?", f"{CREATE}%3fx", f"{CREATE}%0a", f"/{CREATE}", "*",
    f"{V}\\containers\\create", f"{V.replace('1', '%31')}/containers/create",
])  # fmt: skip
def test_an_unusual_path_is_refused(proxy, path):
    for method, body in (("POST", proxy.body()), ("GET", "")):
        assert_refused(proxy.call(method, path, body))


def answers(proxy, *lines: str) -> list[int]:
    """Send lines on one connection and return the status of each answer."""
    received = b""
    with socket.create_connection((proxy.address, 2375), timeout=3) as connection:
        connection.sendall("\r\n".join(lines).encode())
        # haproxy may keep the connection open for another call.
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                received += part
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


SECOND = ("GET /info HTTP/1.1", "Host: docker", "Connection: close", "", "")
SMUGGLED = "\r\n".join(SECOND)
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize("first", [
    # The second call follows an allowed one, or poses as the body of a call that may have no body.
    ("GET /version HTTP/1.1", "Host: docker", ""),
    ("GET /version HTTP/1.1", "Host: docker", f"Content-Length: {len(SMUGGLED)}", ""),
    ("GET /version HTTP/1.1", "Host: docker", "Content-Length: 0", CHUNKED, ""),
    ("GET /version HTTP/1.1", "Host: docker", CHUNKED, "", "0", ""),
    ("GET /version HTTP/1.1", "Host: docker", "Content-Length : 9", ""),
    ("GET /version HTTP/1.1", "Host: docker", "X: y\r\n Content-Length: 9", ""),
    ("GET /version HTTP/1.1", "Host: docker", "X: y\nContent-Length: 9", ""),
    ("GET /version HTTP/1.1", "Host: docker", "Content-Length: +0", ""),
    ("GET /version HTTP/1.1", "Host: docker", "Expect: 100-continue", "Content-Length: 9", ""),
    ("GET /version HTTP/1.0", "Connection: keep-alive", ""),
    ("GET /version", ""),
    ("PRI * HTTP/2.0", "", "SM", ""),
])  # fmt: skip
def test_a_smuggled_call_is_refused(proxy, first):
    """Docker would answer the second call with 200; the proxy must not forward it."""
    passed = [status for status in answers(proxy, *first, *SECOND) if 200 <= status < 400]
    assert passed in ([], [200])
    assert answers(proxy, *SECOND) == [403]


def test_headers_beyond_the_buffer_are_refused(proxy):
    status = answers(proxy, "GET /version HTTP/1.1", "Host: docker", f"X: {'x' * 70_000}", "", "")
    assert [each for each in status if each < 400] == []


def test_head_and_upgrade_are_refused(proxy):
    # An answer to HEAD has no body that names haproxy, but Docker would answer 200.
    assert proxy.call("HEAD", "/_ping")[0] == 403
    assert_refused(proxy.call("GET", "/version", headers=UPGRADE))


@pytest.mark.parametrize(
    ("network", "reached"), [("engine", "yes"), ("tasks", "no"), ("metadata", "no")]
)
def test_the_proxy_is_reachable_only_from_its_network(docker_stack, proxy, network, reached):
    network = f"--network={docker_stack.project}-{network}"
    script = 'for host; do timeout 3 bash -c ">/dev/tcp/$host/2375" && echo yes || echo no; done'
    shell = ("run", "--rm", network, "--entrypoint=bash", "elt/dbt:test", "-c", script, "-")
    assert docker(*shell, "docker-proxy", proxy.address).split() == [reached, reached]
