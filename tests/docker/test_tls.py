"""A stack behind Caddy: what the network, a browser and an attacker find at its address.

The tests run in order on one stack, which they remove at the end.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import expect

from certificates import HOST, LOGIN_HOST, write_certificate
from identity import Provider, account
from pages import DASHBOARD, TIMEOUT, Browser
from support import docker, superset_api, task_states

# Sends wrong passwords, each with another forwarded address, until the server refuses to read them.
# Prints the HTTP status of each answer. With another host than localhost, it uses TLS.
GUESSES = """
import http.client, json, re, socket, ssl, sys
from urllib.parse import urlencode
address, port, host, path = sys.argv[1:]

def send(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(host)
    connection.sock = socket.create_connection((address, int(port)))
    if host != "localhost":
        context = ssl._create_unverified_context()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    connection.request(method, path, body, headers)
    return connection.getresponse()

guess = {"username": "admin", "password": "wrong", "provider": "db"}
body, headers = json.dumps(guess), {"Content-Type": "application/json"}
if path.endswith("/login/"):
    form = send("GET", path)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"https://{host}/"}
    headers["Cookie"] = form.headers["Set-Cookie"].split(";")[0]
    token = re.search('name="csrf_token"[^>]* value="([^"]+)"', form.read().decode())[1]
    body = urlencode(guess | {"csrf_token": token})
for number in range(60):
    forged = f"203.0.113.{number}"
    headers |= {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
    status = send("POST", path, body, headers).status
    print(status, flush=True)
    if status == 429:
        break
"""


class Visitor:
    """A client on this machine that trusts the authority of the tests and nobody else."""

    def __init__(self, stack, authority) -> None:
        self.port = int(stack.environment["HTTPS_PORT"])
        self.context = ssl.create_default_context()
        self.context.load_verify_locations(cadata=authority.cert_pem.bytes().decode())

    def connect(self, host: str = HOST) -> ssl.SSLSocket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return self.context.wrap_socket(connection, server_hostname=host)

    def call(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(HOST, self.port)
        connection.sock = self.connect()
        with closing(connection):
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            answer.text = answer.read().decode(errors="replace")
            return answer


@pytest.fixture(scope="module")
def visitor(tls_stack, authority) -> Visitor:
    return Visitor(tls_stack, authority)


@pytest.fixture(scope="module")
def url(tls_stack) -> str:
    return f"https://{HOST}:{tls_stack.environment['HTTPS_PORT']}"


@pytest.fixture(scope="module")
def user(launch, tls_stack, authority, url):
    """Return a browser session without a login, in a browser that trusts only the authority."""
    return new_user(launch(f"--host-resolver-rules=MAP {HOST} 127.0.0.1", trust(authority)), url)


def trust(authority) -> str:
    """Return the option with which Chromium trusts an authority."""
    certificate = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"--ignore-certificate-errors-spki-list={digest}"


def new_user(browser, url: str) -> Browser:
    """Return a new session of a browser."""
    context = browser.new_context(locale="en-US", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(TIMEOUT)
    return Browser(context, f"{url}/airflow", url)


def test_up_prints_the_public_addresses(tls_stack, url):
    shown = subprocess.run(
        ["stack/.venv/bin/elt", "addresses"], cwd=Path(__file__).parents[2],
        env=tls_stack.environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f" {url}/airflow " in shown
    assert f" {url}{DASHBOARD} " in shown


def test_only_caddy_listens_beyond_loopback(tls_stack):
    published = set()
    for service, container in tls_stack.containers().items():
        ports = json.loads(docker("inspect", "--format", "{{json .HostConfig}}", container))
        for bindings in (ports["PortBindings"] or {}).values():
            published |= {(service, each["HostIp"], each["HostPort"]) for each in bindings}
    ports = tls_stack.environment
    assert published == {
        ("proxy", "0.0.0.0", ports["HTTP_PORT"]),  # noqa: S104
        ("proxy", "0.0.0.0", ports["HTTPS_PORT"]),  # noqa: S104
        ("airflow-apiserver", "127.0.0.1", ports["AIRFLOW_PORT"]),
        ("superset", "127.0.0.1", ports["SUPERSET_PORT"]),
        ("warehouse", "127.0.0.1", ports["WAREHOUSE_PORT"]),
    }


def test_caddy_has_no_unneeded_rights(tls_stack):
    container = json.loads(docker("inspect", tls_stack.containers()["proxy"]))[0]
    host = container["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    added = {each.removeprefix("CAP_") for each in host["CapAdd"]}  # newer engines add the prefix
    assert added == {"DAC_OVERRIDE", "NET_BIND_SERVICE"}
    assert host["ReadonlyRootfs"] and not host["Privileged"] and host["Memory"] > 0
    assert "no-new-privileges:true" in host["SecurityOpt"]
    writable = {each["Destination"] for each in container["Mounts"] if each["RW"]}
    assert writable == {"/data"}
    networks = container["NetworkSettings"]["Networks"].keys()
    assert networks == {f"{tls_stack.project}-public", f"{tls_stack.project}-front"}


@pytest.mark.parametrize("host", [HOST, "other.example"])
def test_http_redirects_to_the_public_address(tls_stack, url, host):
    port = int(tls_stack.environment["HTTP_PORT"])
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/a/path?with=query", headers={"Host": host})
        answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"{url}/a/path?with=query")


def test_the_certificate_is_valid_for_the_host_only(visitor):
    with closing(visitor.connect()) as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
        assert ("DNS", HOST) in connection.getpeercert()["subjectAltName"]
    with pytest.raises(ssl.SSLError):
        visitor.connect("other.example")


@pytest.mark.parametrize("path", ["/login/", "/airflow/", "/static/none", "/airflow/api/v2/dags"])
def test_every_answer_demands_https_for_a_year(visitor, path):
    answer = visitor.call("GET", path)
    assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]


@pytest.mark.parametrize(("path", "status"), [("execution/health", 200), ("metrics", 401)])
def test_an_internal_page_is_at_the_loopback_port_only(visitor, tls_stack, path, status):
    public = [f"/airflow{middle}{path}" for middle in ("/", "//", "/x/../")]
    public.append(f"/airflow/%{ord(path[0]):x}{path[1:]}")
    assert {visitor.call("GET", each).status for each in public} == {404}
    port = tls_stack.environment["AIRFLOW_PORT"]
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", f"/{path}")
        assert connection.getresponse().status == status


def test_a_triggered_run_succeeds(tls_stack):
    trigger = tls_stack.make("trigger", "BACKDATED=warn", "BALANCES=warn")
    assert [state for _, state in task_states(trigger)] == ["success"] * 3, trigger.stdout


def test_the_link_to_a_tasks_log_is_public(tls_stack, url):
    """Alerts contain this link."""
    program = """
from airflow.models import TaskInstance
from airflow.utils.session import create_session
with create_session() as session:
    print(session.query(TaskInstance).filter_by(task_id="transform_data").first().log_url)
"""
    shown = tls_stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", program)
    assert f"{url}/airflow/dags/transactions_elt/runs/" in shown.splitlines()[-1]


def test_a_login_to_airflow_leads_to_the_page_that_was_asked_for(user, tls_stack):
    page = user.page
    user.log_in(
        f"{user.airflow}/dags/transactions_elt",
        "airflow",
        tls_stack.environment["AIRFLOW_ADMIN_PASSWORD"],
    )
    page.wait_for_url(f"{user.airflow}/dags/transactions_elt")
    expect(page.get_by_text("transform_data").first).to_be_visible(timeout=TIMEOUT)


def test_a_login_to_superset_leads_to_the_dashboard_that_was_asked_for(user, tls_stack):
    user.log_in(
        user.superset + DASHBOARD, "admin", tls_stack.environment["SUPERSET_ADMIN_PASSWORD"]
    )
    user.page.wait_for_url(f"{user.superset}{DASHBOARD}*")
    user.wait_for_charts()
    user.assert_no_error()


def test_all_cookies_are_secure(user):
    cookies = {each["name"]: each for each in user.page.context.cookies()}
    assert {"_token", "session", "superset_session"} <= set(cookies)
    assert {name for name, each in cookies.items() if not each["secure"]} == set()
    assert {name for name, each in cookies.items() if not each["httpOnly"]} == set()
    assert {name: cookies[name]["path"] for name in ("_token", "session")} == {
        "_token": "/airflow/",
        "session": "/airflow/",
    }


def test_no_page_contacted_another_host(user):
    hosts = {re.sub(r"^blob:", "", request.url).split("/")[2] for request in user.requested}
    assert hosts == {f"{HOST}:{user.superset.rpartition(':')[2]}"}


def test_a_logout_ends_the_login_to_the_one_program_only(user):
    page = user.page
    page.goto(f"{user.airflow}/")
    page.get_by_role("button", name="User").click()
    page.get_by_role("menuitem", name="Logout").click()
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(f"{user.airflow}/auth/login/**")
    page.goto(f"{user.airflow}/dags")
    page.wait_for_url(f"{user.airflow}/auth/login/**")
    user.open_dashboard()
    page.goto(f"{user.superset}/logout/")
    page.wait_for_url(f"{user.superset}/login/**")
    page.goto(user.superset + DASHBOARD)
    page.wait_for_url(f"{user.superset}/login/**")


def test_programs_on_this_machine_still_use_the_loopback_ports(tls_stack):
    """Cookies are Secure, but `make dashboard-export` and its like use no TLS."""
    assert superset_api(tls_stack.environment)("/api/v1/dashboard/monitoring/charts")["result"]
    export = tls_stack.make("dashboard-export")
    assert export.returncode == 0, export.stdout
    assert "up to date" in export.stdout


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/security/login", 10),
        ("/airflow/auth/token", 20),
        ("/airflow/auth/login/", 20),
    ],
)
def test_wrong_passwords_are_counted_per_client(tls_stack, visitor, path, allowed):
    """The client of the guesses is a container. The forwarded addresses that it sends do not count.

    The visitor, who is another client, may still log in.
    """
    statuses = guesses_of_a_container(tls_stack, path)
    assert statuses[-1] == "429"
    assert allowed <= len(statuses) - 1 < 3 * allowed  # a new period may begin meanwhile
    body = {"username": "admin", "password": "wrong", "provider": "db"}
    assert visitor.call("POST", path, body).status not in (429, 502)


def guesses_of_a_container(stack, path: str) -> list[str]:
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--interactive", f"--network={stack.project}-public"),
            *("python:3.11-slim-bookworm", "python", "-", "proxy", "443", HOST, path),
        ],
        input=GUESSES, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("port", "path"),
    [("SUPERSET_PORT", "/api/v1/security/login"), ("AIRFLOW_PORT", "/auth/token")],
)
def test_a_loopback_port_believes_no_forwarded_address(tls_stack, port, path):
    done = subprocess.run(
        [sys.executable, "-", "127.0.0.1", tls_stack.environment[port], "localhost", path],
        input=GUESSES, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split()[-1] == "429", done.stdout + done.stderr


def served(visitor) -> bytes:
    with closing(visitor.connect()) as connection:
        return connection.getpeercert(binary_form=True)


def test_up_serves_a_renewed_certificate_and_restarts_only_caddy(tls_stack, visitor, authority):
    before, certificate = tls_stack.containers(), served(visitor)
    write_certificate(authority, Path(tls_stack.environment["TLS_CERT_FILE"]).parent)
    up = tls_stack.make("up")
    assert up.returncode == 0, up.stdout
    assert served(visitor) != certificate
    after = tls_stack.containers()
    running = {"proxy", "airflow-apiserver", "airflow-scheduler", "superset"}
    assert {name for name in running if after[name] != before[name]} == {"proxy"}


CA = """
{
    admin off
    pki {
        ca local {
            root {
                cert /authority/authority.pem
                key /authority/authority.key
            }
        }
    }
}
acme.test {
    tls internal
    acme_server
}
"""


def with_acme(stack, folder: Path) -> dict[str, str]:
    """Return the settings of a stack with another Caddy, an ACME server of the tests' authority."""
    (folder / "Caddyfile").write_text(CA)
    authority = Path(stack.environment["TLS_CERT_FILE"]).parent
    directory = "https://acme.test/acme/local/directory"
    fetch = ["CMD", "wget", "-q", "--no-check-certificate", "-O", "/dev/null", directory]
    server = {
        "image": "caddy:2",
        "networks": {"public": {"aliases": ["acme.test"]}},
        "volumes": [f"{folder}/Caddyfile:/etc/caddy/Caddyfile:ro", f"{authority}:/authority:ro"],
        "healthcheck": {"test": fetch, "interval": "1s", "retries": 60},
    }
    proxy = {
        "networks": {"public": {"aliases": [HOST]}},
        "depends_on": {"acme": {"condition": "service_healthy"}},
    }
    (folder / "acme.yaml").write_text(json.dumps({"services": {"acme": server, "proxy": proxy}}))
    return {
        "COMPOSE_FILE": f"docker-compose.yaml:{folder}/acme.yaml",
        "TLS_CERT_FILE": "",
        "TLS_KEY_FILE": "",
        "ACME_CA": directory,
        "ACME_CA_ROOT": f"{authority}/authority.pem",
        "ACME_EMAIL": "operator@elt.test",
    }


def test_caddy_gets_a_certificate_by_acme(tls_stack, visitor, tmp_path):
    from_file = served(visitor)
    environment = tls_stack.environment | with_acme(tls_stack, tmp_path)
    up = replace(tls_stack, environment=environment).make("up")
    assert up.returncode == 0, up.stdout
    assert served(visitor) != from_file
    issued = x509.load_der_x509_certificate(served(visitor))
    assert "Caddy" in issued.issuer.rfc4514_string()
    assert visitor.call("GET", "/login/").status == 200


@pytest.fixture(scope="module")
def provider(authority, tmp_path_factory) -> Iterator[Provider]:
    """Yield a running OpenID provider, at an address of this machine that containers reach."""
    bridge = json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]
    folder, context = tmp_path_factory.mktemp("openid"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    write_certificate(authority, folder, LOGIN_HOST)
    context.load_cert_chain(folder / "certificate.pem", folder / "certificate.key")
    provider = Provider(
        folder,
        {"vera": account("vera", "elt-viewers"), "norbert": account("norbert", "staff")},
        address=bridge["Gateway"], host=LOGIN_HOST, tls=context,
    )  # fmt: skip
    yield provider
    provider.stop()


def with_sign_in(stack, provider: Provider, folder: Path) -> dict[str, str]:
    """Return the settings of a stack whose users sign in at a provider of the tests' authority."""
    authority = Path(stack.environment["TLS_CERT_FILE"]).parent / "authority.pem"
    service = {
        "extra_hosts": [f"{LOGIN_HOST}:{provider.address}"],
        "volumes": [f"{authority}:/authority.pem:ro"],
        "environment": {"REQUESTS_CA_BUNDLE": "/authority.pem"},
    }
    services = dict.fromkeys(("airflow-apiserver", "superset"), service)
    (folder / "sign-in.yaml").write_text(json.dumps({"services": services}))
    return {
        "COMPOSE_FILE": f"docker-compose.yaml:{folder}/sign-in.yaml",
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": "elt",
        "OIDC_CLIENT_SECRET": provider.client_secret,
        "OIDC_VIEWER_GROUPS": "elt-viewers",
    }


def sign_in(page, name: str = "") -> None:
    """Use the one button of a login page, and sign in at the provider if a name is given."""
    expect(page.locator("input")).to_have_count(0)  # no form for a password
    page.get_by_role("link", name=re.compile("Sign in with")).click()
    if name:
        page.locator("input[name=login]").fill(name)
        page.locator("input[name=password]").fill("any")
        page.get_by_role("button").click()


def test_one_sign_in_opens_both_programs(
    tls_stack, visitor, provider, authority, url, launch, tmp_path, pictures
):
    provider.start([f"{url}{path}/oauth-authorized/oidc" for path in ("", "/airflow/auth")])
    environment = tls_stack.environment | with_sign_in(tls_stack, provider, tmp_path)
    up = replace(tls_stack, environment=environment).make("up")
    assert up.returncode == 0, up.stdout
    body = {"username": "airflow", "password": environment["AIRFLOW_ADMIN_PASSWORD"]}
    assert visitor.call("POST", "/airflow/auth/token", body).status == 401

    rules = f"MAP {HOST} 127.0.0.1, MAP {LOGIN_HOST} {provider.address}"
    browser = launch(f"--host-resolver-rules={rules}", trust(authority))
    vera = new_user(browser, url)
    page = vera.page
    page.goto(vera.superset + DASHBOARD)
    page.screenshot(path=pictures / "tls-sign-in.png")
    sign_in(page, "vera")
    page.wait_for_url(f"{vera.superset}{DASHBOARD}*")  # the page that the visitor wanted
    vera.wait_for_charts()
    page.screenshot(path=pictures / "tls-dashboard.png")
    page.goto(f"{vera.airflow}/dags/transactions_elt")
    sign_in(page)  # the provider asks for no password
    page.wait_for_url(f"{vera.airflow}/dags/transactions_elt")
    expect(page.get_by_text("transform_data").first).to_be_visible(timeout=TIMEOUT)
    page.screenshot(path=pictures / "tls-airflow.png")
    assert {each["secure"] for each in page.context.cookies(url)} == {True}

    norbert = new_user(browser, url)
    for address in (norbert.superset + DASHBOARD, f"{norbert.airflow}/dags"):
        norbert.page.goto(address)
        sign_in(norbert.page, "norbert" if address.endswith(DASHBOARD) else "")
        expect(norbert.page.get_by_role("alert")).to_contain_text("none of your groups may use")
    norbert.page.screenshot(path=pictures / "tls-kept-out.png")


def test_down_removes_everything_that_was_started(tls_stack):
    del tls_stack.environment["TLS"]  # as if `make up TLS=1` had the setting for itself
    down = tls_stack.make("down")
    assert down.returncode == 0, down.stdout
    assert tls_stack.containers() == {}
    networks = docker("network", "ls", "--format", "{{.Name}}").splitlines()
    assert [name for name in networks if name.startswith(tls_stack.project)] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(tls_stack.environment["HTTPS_PORT"])))
