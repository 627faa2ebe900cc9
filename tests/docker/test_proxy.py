"""docker-proxy lets pass what a task's operator calls, and answers all else itself.

Each forbidden call is a good one with one thing changed, so that this thing is what is refused.
None does harm on the machine under test, should it get through.
"""

from __future__ import annotations

import copy
import gzip
import http.client
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

V = "/v1.45"
CREATE = f"{V}/containers/create"
NOBODY = "0" * 64
JSON = "Content-Type: application/json"
UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")
IMAGE = "elt/data-ingestion:latest"
# What only haproxy says; an answer of Docker's, a refusal too, would mean that the call got there.
ANSWERS = {
    400: ("<h1>400 Bad request</h1>",),
    403: ("docker-proxy: this is no call of a task", "Request forbidden by administrative rules."),
}


@dataclass
class Proxy:
    address: str
    good: dict  # the body of `create`, key by key as docker-py writes it for our ContainerTask

    def send(self, request: bytes, method: str = "") -> tuple[int, str]:
        with socket.create_connection((self.address, 2375), timeout=15) as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return answer.status, "" if answer.status == 101 else answer.read().decode()

    def call(self, method: str, path: str, body: bytes = b"", *headers: str) -> tuple[int, str]:
        lines = [f"{method} {path} HTTP/1.1", "Host: docker", *headers]
        if (body or method == "POST") and not any("Transfer-" in line for line in headers):
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join([*lines, "", ""]).encode() + body, method)

    def create(self, body: dict | bytes | str) -> tuple[int, str]:
        text = json.dumps(body) if isinstance(body, dict) else body
        return self.call("POST", CREATE, text.encode() if isinstance(text, str) else text, JSON)

    def remove(self, container: str) -> int:
        return self.call("DELETE", f"{V}/containers/{container}?v=False&link=False&force=True")[0]


@pytest.fixture(scope="module")
def proxy(docker_stack) -> Proxy:
    name, network = f"{docker_stack.project}-docker-proxy-1", f"{docker_stack.project}-engine"
    networks = docker("inspect", name, "--format={{json .NetworkSettings.Networks}}")
    mount = {"Target": "/data", "Source": docker_stack.environment["DATA_FOLDER"]}
    good = {
        "ExposedPorts": {}, "Tty": False, "OpenStdin": False, "StdinOnce": False,
        "AttachStdin": False, "AttachStdout": True, "AttachStderr": True,
        "Env": ["ELT_ENV=dev", "PGPASSWORD=x"], "Cmd": ["--help"], "Image": IMAGE,
        "NetworkDisabled": False,
        "HostConfig": {
            "Memory": 2**30, "NetworkMode": f"{docker_stack.project}-tasks", "PortBindings": {},
            "Ulimits": [], "LogConfig": {"Type": None, "Config": {}}, "CpuShares": 1024,
            "Mounts": [mount | {"Type": "bind", "ReadOnly": True}],
        },
    }  # fmt: skip
    return Proxy(json.loads(networks)[network]["IPAddress"], good)


@pytest.fixture
def container(proxy) -> Iterator[str]:
    status, answer = proxy.create(proxy.good)
    assert status == 201, answer
    identity = json.loads(answer)["Id"]
    yield identity
    proxy.remove(identity)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def changed(proxy: Proxy, part: str, change: dict) -> dict:
    body = copy.deepcopy(proxy.good)
    host = body["HostConfig"]
    {"body": body, "host": host, "mount": host["Mounts"][0]}[part].update(change)
    return body


def assert_refused(status: int, answer: str) -> None:
    assert any(text in answer for text in ANSWERS.get(status, ())), f"{status} {answer}"


def table(names: str, rows: dict[str, tuple]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(names, rows.values(), ids=rows.keys())


def changes(**parts: list[dict]) -> pytest.MarkDecorator:
    rows = [(part, change) for part in parts for change in parts[part]]
    return table(
        "part, change", {f"{part}-{json.dumps(row)[1:-1]}": (part, row) for part, row in rows}
    )


# What passes ------------------------------------------------------------------------------------


def test_whole_life_of_a_task(proxy, container):
    path = f"{V}/containers/{container}"
    attach = f"{path}/attach?logs=0&stdout=1&stderr=1&stream=1"
    assert proxy.call("POST", attach, b"", *UPGRADE)[0] == 101
    assert json.loads(proxy.call("GET", f"{path}/json")[1])["Config"]["Image"] == IMAGE
    assert proxy.call("POST", f"{path}/start")[0] == 204
    assert json.loads(proxy.call("POST", f"{path}/wait")[1])["StatusCode"] == 0
    assert proxy.call("POST", f"{path}/stop")[0] == 304  # it has ended
    assert proxy.remove(container) == 204
    assert proxy.call("GET", f"{path}/json")[0] == 404


@changes(
    body=[
        {"Image": "elt/dbt:latest"},
        {"Env": ['A="\\}, "Privileged": true, \n\t\u00e9\U0001f600', "B="]},
        {"Cmd": ['"], "HostConfig": {"Privileged": true}, "x": ["']},
    ],
    host=[{"Mounts": []}],
)
def test_create_passes_with(proxy, part, change):
    status, answer = proxy.create(changed(proxy, part, change))
    assert status == 201, answer
    assert proxy.remove(json.loads(answer)["Id"]) == 204


FILTER = "filters=%7B%22reference%22%3A+%5B%22elt%2Fdbt%3Alatest%22%5D%7D"


@pytest.mark.parametrize(
    "path", ["/version", f"{V}/_ping", f"{V}/images/json?only_ids=0&all=0&{FILTER}"]
)
def test_question_passes(proxy, path):
    assert proxy.call("GET", path)[0] == 200


# What is refused --------------------------------------------------------------------------------


@changes(
    host=[
        {"Privileged": True}, {"privileged": True}, {"PRIVILEGED": True},
        {"CapAdd": ["SYS_ADMIN"]}, {"SecurityOpt": ["seccomp=unconfined"]},
        {"NetworkMode": "host"}, {"networkMode": "host"}, {"NetworkMode": "bridge"},
        {"NetworkMode": "container:" + NOBODY}, {"NetworkMode": ""},
        {"PidMode": "host"}, {"IpcMode": "host"}, {"UTSMode": "host"},
        {"UsernsMode": "host"}, {"CgroupnsMode": "host"}, {"CgroupParent": "/"},
        {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x"}]},
        {"DeviceRequests": [{"Count": -1}]}, {"DeviceCgroupRules": ["a *:* rwm"]},
        {"Binds": ["/:/host"]}, {"binds": ["/:/host"]}, {"Bind\u017f": ["/:/host"]},
        {"VolumesFrom": [NOBODY]}, {"Runtime": "runc"}, {"Sysctls": {"net.ipv4.ip_forward": "1"}},
        {"PortBindings": {"80/tcp": [{}]}}, {"PublishAllPorts": True}, {"MaskedPaths": []},
        {"GroupAdd": ["0"]}, {"RestartPolicy": {"Name": "always"}}, {"OomScoreAdj": -1000},
        {"LogConfig": {"Type": "syslog", "Config": {}}}, {"Links": ["x:y"]},
        {"Mounts": [{"Target": "/d", "Source": "x", "Type": "volume"}]},
    ],
    mount=[
        {"ReadOnly": False}, {"readonly": False}, {"Source": "/"}, {"Source": "/etc"},
        {"Source": "/var/run/docker.sock"}, {"source": "/"}, {"Target": "/etc"},
        {"Type": "volume"}, {"BindOptions": {"Propagation": "shared"}},
    ],
    body=[
        {"Image": "postgres:18"}, {"Image": "elt/airflow:latest"}, {"Image": IMAGE + "x"},
        {"image": "postgres:18"}, {"Entrypoint": ["sh"]}, {"User": "root"}, {"WorkingDir": "/"},
        {"hostconfig": {"Privileged": True}}, {"Volumes": {"/x": {}}}, {"Tty": True},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}}, {"Env": None},
    ],
)  # fmt: skip
def test_create_refuses(proxy, part, change):
    assert_refused(*proxy.create(changed(proxy, part, change)))


EVIL = '"HostConfig": {"Privileged": true}'
TEXTS: dict[str, Callable[[str], str | bytes]] = {
    "duplicate key behind": lambda good: f"{good[:-1]}, {EVIL}}}",
    "duplicate key before": lambda good: f"{{{EVIL}, {good[1:]}",
    "unicode escape in a key": lambda good: good.replace('"Cpu', '"\\u0050rivileged": true, "Cpu'),
    "unicode escape in a value": lambda good: good.replace('"bind"', '"\\u0062ind"'),
    "two mounts": lambda good: good.replace("}]}}", '}, {"Type": "bind", "Source": "/"}]}}'),
    "folder beside": lambda good: good.replace('", "Type"', 'x", "Type"'),
    "folder above": lambda good: good.replace('", "Type"', '/..", "Type"'),
    "mount of unstated mode": lambda good: good.replace(', "ReadOnly": true', ""),
    "newline behind": lambda good: good + "\n",
    "newline before": lambda good: "\n" + good,
    "byte order mark": lambda good: "\ufeff" + good,
    "NUL byte behind": lambda good: good + "\0",
    "NUL byte and more behind": lambda good: f"{good}\0{{{EVIL}}}",
    "NUL byte within": lambda good: good.replace("--help", "--h\0lp"),
    "second document": lambda good: f"{good}{{{EVIL}}}",
    "list around": lambda good: f"[{good}]",
    "other spacing": lambda good: good.replace(", ", ","),
    "nothing": lambda good: "",
    "too long": lambda good: good.replace("--help", "x" * 70_000),
    "too long, evil at the end": lambda good: f"{good[:-1]}, {EVIL}}}".replace(
        "--help", "x" * 70_000
    ),
    "compressed": lambda good: gzip.compress(good.encode()),
}


@table("change", TEXTS)
def test_create_refuses_text(proxy, change):
    assert_refused(*proxy.create(change(json.dumps(proxy.good))))
