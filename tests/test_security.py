"""Airflow refuses unauthorised requests and shows no secret, tested on the running stack."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import pytest

from support import secrets_of

DAG = "/api/v2/dags/transactions_elt"
PUBLIC_ROUTES = {
    "GET /api/v2/monitor/health",
    "GET /api/v2/version",
    "GET /api/v2/auth/login",  # redirects to the login form
    "GET /api/v2/auth/logout",
    "GET /auth/logout",
}
# Routes of the API for running tasks, which have separate tokens. They are listed by hand, because
# Airflow 3.3 cannot serve the OpenAPI document of this API.
INSTANCE = "/execution/task-instances/00000000-0000-7000-8000-000000000000"
TASK_ROUTES = {
    "GET /execution/connections/warehouse_loader",
    "GET /execution/variables/x",
    "GET /execution/xcoms/d/r/t/k",
    "GET /execution/assets/by-name?name=x",
    "GET /execution/dag-runs/transactions_elt/x/state",
    "GET /execution/task-instances/count",
    f"PATCH {INSTANCE}/run",
    f"PATCH {INSTANCE}/state",
    f"PUT {INSTANCE}/heartbeat",
}
TOKEN_ROUTES = {"POST /auth/token", "POST /auth/token/cli"}  # need a name and a password
USER_PAGES = ("users/list/", "roles/list/", "users/add", "users/userinfo/", "permissions/list/")


@dataclass
class Answer:
    """The answer to one request."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Airflow:
    """An HTTP client of Airflow. It is anonymous unless `headers` contain a token.

    Attributes:
        port: Airflow's port on 127.0.0.1.
        headers: Headers of every request.
        source: The address and port to connect from; None for the system's choice.
    """

    port: int
    headers: dict[str, str] = field(default_factory=dict)
    source: tuple[str, int] | None = None

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        kind = {"Content-Type": "application/json"} if data and not isinstance(body, str) else {}
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=30, source_address=self.source
        )
        with contextlib.closing(connection):
            connection.request(method, path, data, self.headers | kind | headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode(errors="replace"))

    def log_in(self, username: str, password: str) -> Airflow:
        answer = self.call("POST", "/auth/token", {"username": username, "password": password})
        assert answer.status == 201, answer.text
        token = json.loads(answer.text)["access_token"]
        return Airflow(self.port, {"Authorization": f"Bearer {token}"})

    def routes(self) -> dict[str, dict]:
        """Return all routes in Airflow's OpenAPI documents, by `METHOD path`."""
        found = {}
        for prefix in ("", "/auth"):
            document = self.call("GET", f"{prefix}/openapi.json").text
            found |= {
                f"{method.upper()} {prefix}{path}": route
                for path, routes in json.loads(document)["paths"].items()
                for method, route in routes.items()
            }
        return found


@pytest.fixture(scope="module")
def anonymous(stack) -> Airflow:
    """Return a client without a login; start the stack if it does not run."""
    up = stack.make("demo-up")
    assert up.returncode == 0, up.stdout
    return Airflow(int(stack.environment["AIRFLOW_PORT"]))


@pytest.fixture(scope="module")
def admin(stack, anonymous) -> Airflow:
    return anonymous.log_in("airflow", stack.environment["AIRFLOW_ADMIN_PASSWORD"])


@pytest.fixture(scope="module")
def run(stack, admin) -> str:
    """Return the id of the newest successful run; trigger one if there is none."""

    def newest() -> str | None:
        runs = admin.call("GET", f"{DAG}/dagRuns?order_by=-run_after&limit=100&state=success")
        return next((each["dag_run_id"] for each in json.loads(runs.text)["dag_runs"]), None)

    if newest() is None:
        assert stack.make("trigger", "BACKDATED=warn").returncode == 0
    return newest()


def test_every_route_requires_a_login(anonymous):
    routes = anonymous.routes()
    assert len(routes) > 130
    answered = {}
    for route in [*routes, *TASK_ROUTES]:
        method, path = route.split()
        status = anonymous.call(method, re.sub(r"{[^}]*}", "1", path)).status
        if status not in (401, 403):
            answered[route] = status
    assert answered.keys() - TOKEN_ROUTES <= PUBLIC_ROUTES, answered
    assert {answered[route] for route in TOKEN_ROUTES} == {422}


@pytest.mark.parametrize("page", USER_PAGES)
def test_user_pages_require_a_login(anonymous, page):
    answer = anonymous.call("GET", f"/auth/{page}")
    assert answer.status == 302 and "/auth/login" in answer.headers["Location"]


@pytest.mark.parametrize("header", [
    {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic YWlyZmxvdzphaXJmbG93"},
    {"Cookie": "_token=x; session=x"}, {"X-Forwarded-User": "airflow"},
    {"REMOTE_USER": "airflow"},
    # A token without a signature.
    # pragma: allowlist nextline secret
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ."},
])  # fmt: skip
def test_a_forged_credential_is_refused(anonymous, header):
    assert anonymous.call("GET", "/api/v2/dags", **header).status in (401, 403)


def test_a_viewer_cannot_change_or_read_protected_data(anonymous, admin, run):
    password = secrets.token_urlsafe(16)
    body = {
        "username": "viewer", "email": "viewer@localhost", "first_name": "A", "last_name": "Viewer",
        "roles": [{"name": "Viewer"}], "password": password,
    }  # fmt: skip
    made = admin.call("POST", "/auth/fab/v1/users", body)
    assert made.status in (200, 201), made.text
    try:
        viewer = anonymous.log_in("viewer", password)
        assert viewer.call("GET", f"{DAG}/dagRuns").status == 200
        for method, path, sent in (
            ("POST", f"{DAG}/dagRuns", {"logical_date": None}),
            ("PATCH", DAG, {"is_paused": True}),
            ("DELETE", DAG, None),
            ("PATCH", f"{DAG}/dagRuns/{run}", {"state": "failed"}),
            ("DELETE", f"{DAG}/dagRuns/{run}", None),
            ("POST", f"{DAG}/clearTaskInstances", {"dry_run": True}),
            ("POST", "/api/v2/connections", {"connection_id": "x", "conn_type": "http"}),
            ("GET", "/api/v2/connections", None),
            ("POST", "/api/v2/variables", {"key": "x", "value": "x"}),
            ("POST", "/api/v2/pools", {"name": "x", "slots": 1}),
            ("GET", "/api/v2/config", None),
            ("GET", "/auth/fab/v1/users", None),
            ("POST", "/auth/fab/v1/users", body | {"username": "another"}),
            ("PATCH", "/auth/fab/v1/users/viewer", {"roles": [{"name": "Admin"}]}),
        ):
            assert viewer.call(method, path, sent).status == 403, (method, path)
    finally:
        assert admin.call("DELETE", "/auth/fab/v1/users/viewer").status in (200, 204)


def test_no_page_shows_the_administrator_a_secret(stack, admin, run):
    """The test reads every GET route: templates, connections, configuration, logs, code."""
    hidden = secrets_of(stack)
    assert {"LOADER_PASSWORD", "TRANSFORMER_PASSWORD", "AIRFLOW__CORE__FERNET_KEY"} <= set(hidden)
    tasks = ("parse_and_populate_csv", "transform_data")
    shown = 0
    for route in admin.routes():
        method, path = route.split()
        if method != "GET" or "logout" in path or path.startswith("/execution"):
            continue
        for task in tasks if "{task_id}" in path else tasks[:1]:
            given = {"dag_id": "transactions_elt", "dag_run_id": run, "task_id": task,
                     "run_id": run, "connection_id": "warehouse_loader", "username": "airflow",
                     "map_index": "-1", "section": "database", "option": "fernet_key"}  # fmt: skip
            filled = re.sub(r"{(\w+)}", lambda match, of=given: of.get(match[1], "1"), path)
            answer = admin.call("GET", filled)
            shown += answer.status == 200
            assert [name for name, value in hidden.items() if value in answer.text] == [], filled
    assert shown > 50
    fields = admin.call("GET", f"{DAG}/dagRuns/{run}/taskInstances/{tasks[0]}").text
    assert json.loads(fields)["rendered_fields"]["command"][:2] == ["data-ingestion", "load"]
    assert admin.call("GET", "/api/v2/config").status == 403


@pytest.mark.parametrize("params", [
    *({"file": name} for name in (
        "../secret.csv", "..", "/etc/passwd", "a/b.csv", "a\\b.csv", "a\0.csv",
        "a\nb.csv", "a.csv\n", "-x.csv", "--force", ".hidden", "$(touch x)", "`id`",
        "a;b", "a'b", 'a"b', "{{ conn }}",
        "{% raw %}", "*.csv", "[a].csv", "~", "%2e%2e", "\u2025", "x" * 201,
        ["a.csv"], {"a": 1}, 5, True,
    )),
    *({"full_refresh": value} for value in ("yes", "--vars={}", 1, [True], None)),
    *({"backdated_transactions": value} for value in (
        "", "Warn", "warn\n", "warn, large_withdrawal_threshold: 0", "{{ 1 }}", ["warn"], None,
    )),
    *({"unreconciled_balances": value} for value in ("Warn", "warn}, a: {b", None)),
    *({"duplicates": value} for value in ("", "Keep", "keep --force", "--force", None)),
    *({"max_rejects": value} for value in (-1, 0.5, "5", "5 --force", True, None)),
])  # fmt: skip
def test_the_form_refuses_values_that_it_does_not_offer(admin, params):
    body = {"logical_date": None, "conf": params}
    answer = admin.call("POST", f"{DAG}/dagRuns", body)
    assert answer.status in (400, 422), answer.text


def test_make_psql_passes_a_statement_without_a_shell(stack, anonymous, tmp_path):
    text = f"$(touch {tmp_path}/a)`touch {tmp_path}/b`;touch {tmp_path}/c\\"
    statement = f"select 'it is {text}'"
    shown = stack.make("psql", "ROLE=reporter", f"CMD={statement.replace('$', '$$')}")
    assert f"it is {text}" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_pages_cannot_be_framed_by_other_sites(anonymous):
    for path in ("/", "/auth/login/", "/api/v2/version", "/static/index.html"):
        headers = anonymous.call("GET", path).headers
        assert headers["X-Frame-Options"] == "SAMEORIGIN", path
        assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Access-Control-Allow-Origin"] is None


FORM_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


def open_login_form(anonymous) -> tuple[str, str]:
    """Request the login form and return its CSRF token and the cookie of its session."""
    page = anonymous.call("GET", "/auth/login/")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text.replace("\n", " "))[1]
    return token, page.headers["Set-Cookie"]


def test_cookies_are_hidden_from_scripts_and_other_sites(stack, anonymous):
    token, session = open_login_form(anonymous)
    password = stack.environment["AIRFLOW_ADMIN_PASSWORD"]
    login = {"username": "airflow", "password": password}
    headers = FORM_HEADERS | {"Cookie": session.split(";")[0]}
    forged = anonymous.call("POST", "/auth/login/", urlencode(login), **headers)
    assert "_token=" not in str(forged.headers), "a login without the CSRF token must fail"
    body = urlencode(login | {"csrf_token": token})
    done = anonymous.call("POST", "/auth/login/", body, **headers)
    cookies = [session, *done.headers.get_all("Set-Cookie")]
    assert {cookie.split("=")[0] for cookie in cookies} == {"session", "_token"}
    for cookie in cookies:
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax"} <= flags, cookie
    assert urlsplit(done.headers["Location"]).netloc in ("", f"127.0.0.1:{anonymous.port}")
    removed = anonymous.call("GET", "/auth/logout").headers.get_all("Set-Cookie")
    assert {each.split("=")[0] for each in removed if "Max-Age=0" in each} == {"session", "_token"}


def test_logging_out_deletes_every_cookie_of_a_login(stack, anonymous):
    token, session = open_login_form(anonymous)
    login = {"username": "airflow", "password": stack.environment["AIRFLOW_ADMIN_PASSWORD"]}
    body = urlencode(login | {"csrf_token": token})
    sent = FORM_HEADERS | {"Cookie": session.split(";")[0]}
    done = anonymous.call("POST", "/auth/login/", body, **sent)
    cookies = [cookie.split(";")[0] for cookie in done.headers.get_all("Set-Cookie")]
    names = {cookie.split("=")[0] for cookie in [session, *cookies]}
    headers = {"Cookie": "; ".join([session.split(";")[0], *cookies])}
    assert anonymous.call("GET", "/api/v2/dags", **headers).status == 200
    left = anonymous.call("GET", "/api/v2/auth/logout", **headers)
    left = anonymous.call("GET", urlsplit(left.headers["Location"]).path, **headers)
    deleted = [cookie for cookie in left.headers.get_all("Set-Cookie") if "Max-Age=0" in cookie]
    assert {cookie.split("=")[0] for cookie in deleted} == names
    assert anonymous.call("GET", "/api/v2/dags", **headers).status == 403  # the token is revoked


@pytest.mark.parametrize("path", ["/auth/token", "/auth/token/cli", "/auth/login/"])
def test_password_guesses_are_rate_limited(anonymous, path):
    # Use a separate loopback address, or the limit would also refuse the logins of other tests.
    address = f"127.0.0.{2 + len(path) % 9}"
    guesser = Airflow(anonymous.port, source=(address, 0))
    guess: object = {"username": "airflow", "password": "guess"}
    headers = {}
    if path == "/auth/login/":
        token, session = open_login_form(anonymous)
        guess = urlencode(guess | {"csrf_token": token})
        headers = FORM_HEADERS | {"Cookie": session.split(";")[0]}
    try:
        answers = [guesser.call("POST", path, guess, **headers).status for _ in range(22)]
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        pytest.skip("this machine has only one loopback address")
    assert answers[0] != 429
    assert answers[-1] == 429
    assert anonymous.call("GET", "/api/v2/version").status == 200
