"""One sign-in for Airflow and Superset at a real OpenID provider, which may also be away or lie.

The tests of this file run in order on one stack. The provider is away when the stack starts.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

import jwt
import psutil
import pytest
import requests
from playwright.sync_api import expect

from identity import Document, Provider, account, new_key
from pages import DASHBOARD, Browser
from support import PROJECT, Stack, secrets_of, stack_environment, temporary_folder

PROGRAMS = ("AIRFLOW", "SUPERSET")
PREFIX = {"AIRFLOW": "/auth", "SUPERSET": ""}
SESSION_MINUTES = 2  # enough for the pages that a browser opens on a busy machine
NOBODY = "none of your groups may use"


ACCOUNTS = {
    "ada": account("ada", "staff", "elt-admins"),
    "edgar": account("edgar", "elt-editors"),
    # The names of an account of the database, which a user can choose at many providers.
    "vera": account("vera", "elt-viewers", preferred_username="admin", email="admin@localhost"),
    "norbert": account("norbert", "staff"),
    "demoted": account("demoted", "elt-editors"),
    "leaver": account("leaver", "elt-viewers"),
    "victim": account("victim", "elt-admins"),
}


@dataclass
class Answer:
    """The last answer of a sign-in, and the text of its page."""

    status: int
    url: str
    text: str


@dataclass
class Visitor:
    """A browser session without a browser."""

    environment: dict[str, str]
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.headers["Connection"] = "close"  # the servers may close idle connections

    def call(self, program: str, method: str, path: str, **options) -> requests.Response:
        """Send a request to Airflow or Superset."""
        address = f"http://localhost:{self.environment[f'{program}_PORT']}{path}"
        return self.session.request(method, address, timeout=60, **options)

    def sign_in(self, program: str, name: str, wanted: str = "") -> Answer:
        """Sign in as an account of the provider, and return the last page."""
        path = f"{PREFIX[program]}/login/oidc"
        answer = self.call(program, "GET", path, params={"next": wanted})
        form = re.search(r'action="([^"]+/interaction/[^"]+)"', answer.text)
        if form:
            login = {"prompt": "login", "login": name, "password": "any"}
            answer = self.session.post(unescape(form[1]), data=login, timeout=60)
        text = re.sub(r"<style.*?</style>|<[^>]+>", " ", answer.text, flags=re.DOTALL)
        return Answer(answer.status_code, answer.url, unescape(" ".join(text.split())))

    def is_signed_in(self, program: str) -> bool:
        """Return whether the program knows this visitor."""
        path = {"AIRFLOW": "/api/v2/dags", "SUPERSET": "/api/v1/me/"}[program]
        status = self.call(program, "GET", path).status_code
        assert status in (200, 401)
        return status == 200


@pytest.fixture(scope="module")
def provider(tmp_path_factory) -> Iterator[Provider]:
    """Yield a provider that is not started."""
    provider = Provider(tmp_path_factory.mktemp("openid"), ACCOUNTS)
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def stack(provider) -> Iterator[Stack]:
    """Yield a running stack with the sign-in, whose provider is away."""
    with temporary_folder("elt-sign-in-") as folder:
        (folder / "data").mkdir()
        settings = {
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": "elt",
            "OIDC_CLIENT_SECRET": provider.client_secret,
            "OIDC_ADMIN_GROUPS": "elt-admins",
            "OIDC_EDITOR_GROUPS": "others, elt-editors",
            "OIDC_VIEWER_GROUPS": "elt-viewers",
            "OIDC_SESSION_MINUTES": str(SESSION_MINUTES),
        }
        stack = Stack(folder, stack_environment(folder) | settings)
        try:
            up = stack.make("demo-up", timeout=900)
            assert up.returncode == 0, up.stdout
            yield stack
        finally:
            stack.make("demo-reset", "FORCE=1")


@pytest.fixture
def visitor(stack) -> Visitor:
    return Visitor(stack.environment)


def users(stack: Stack, program: str) -> dict[str, set[str]]:
    """Return the roles of each user by the first name."""
    rows = stack.query(
        "select first_name, ab_role.name from ab_user left join ab_user_role"
        " on user_id = ab_user.id left join ab_role on ab_role.id = role_id",
        database=program.lower(),
    )
    found: dict[str, set[str]] = {}
    for name, role in rows:
        found.setdefault(name, set()).add(role)
    return found


def redirect_uris(stack: Stack) -> list[str]:
    return [
        f"http://localhost:{stack.environment[f'{program}_PORT']}"
        f"{PREFIX[program]}/oauth-authorized/oidc"
        for program in PROGRAMS
    ]


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_provider_a_visitor_reads_that_it_does_not_answer(program, provider, visitor):
    answer = visitor.sign_in(program, "ada")
    assert answer.status == 503
    assert f"{provider.issuer[7:]} does not answer. Try again in a few minutes." in answer.text
    assert not visitor.is_signed_in(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_issuer_in_the_discovery_document_is_refused(program, stack, provider, visitor):
    if provider.process is None:
        provider.start(redirect_uris(stack))
    provider.lies["openid-configuration"] = lambda found: found | {"issuer": "http://127.0.0.1"}
    try:
        answer = visitor.sign_in(program, "ada")
    finally:
        provider.lies.clear()
    assert answer.status == 502
    assert "cannot be trusted. Tell your administrator." in answer.text
    assert not visitor.is_signed_in(program)


LIES = {
    "wrong issuer": {"iss": "http://127.0.0.1:1"},
    "wrong audience": {"aud": "another"},
    "wrong audience with our name beside it": {"aud": ["another"], "azp": "elt"},
    "wrong nonce": {"nonce": "replayed"},
    "no nonce": {"nonce": None},
    "expired": {"iat": 1_000_000, "exp": 1_000_600},
    "no expiry": {"exp": None},
    "wrong signature": {},
    "no signature": {},
    "signed with the client's secret": {},
    "no token": {},
}


def lie(provider: Provider, kind: str, answer: Document) -> Document:
    """Return the answer of the token endpoint with a false ID token."""
    claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
    claims = {name: value for name, value in (claims | LIES[kind]).items() if value is not None}
    if kind == "no token":
        return {name: value for name, value in answer.items() if name != "id_token"}
    signed = {
        "wrong signature": lambda: provider.sign(claims, new_key()),
        "no signature": lambda: provider.sign(claims, algorithm="none"),
        "signed with the client's secret": lambda: provider.sign(
            claims, provider.client_secret, "HS256"
        ),
    }
    return answer | {"id_token": signed.get(kind, lambda: provider.sign(claims))()}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", LIES)
def test_a_false_token_opens_no_door(kind, program, stack, provider, visitor):
    provider.lies["token"] = lambda answer: lie(provider, kind, answer)
    try:
        answer = visitor.sign_in(program, "victim")
    finally:
        provider.lies.clear()
    assert answer.status in (403, 502)
    assert re.search("cannot be trusted|refused the sign-in", answer.text), answer.text
    assert not visitor.is_signed_in(program)
    assert "Victim Example" not in users(stack, program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_answer_to_a_sign_in_of_someone_else_is_refused(program, visitor):
    path = f"{PREFIX[program]}/oauth-authorized/oidc"
    for query in ("", "?code=x&state=y", "?error=access_denied"):
        answer = visitor.call(program, "GET", path + query)
        assert answer.status_code in (400, 403)
        assert "Try again" in answer.text or "refused the sign-in" in answer.text
        assert not visitor.is_signed_in(program)


def test_after_the_lies_a_true_token_opens_the_door(stack):
    early.append((time.time(), Visitor(stack.environment)))
    for program in PROGRAMS:
        early[0][1].sign_in(program, "leaver")
        assert early[0][1].is_signed_in(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_sign_in_leads_to_no_other_site(program, visitor):
    answer = visitor.sign_in(program, "ada", wanted="http://127.0.0.1:1/evil")
    assert visitor.is_signed_in(program)
    assert answer.url.startswith("http://localhost:")


early: list[tuple[float, Visitor]] = []  # a session that the last test waits for


@pytest.fixture(scope="module")
def user(browser, stack):
    """Yield a session of a real browser, without a login."""
    context = browser.new_context(locale="en-US", timezone_id="UTC")
    ports = (stack.environment[f"{program}_PORT"] for program in PROGRAMS)
    yield Browser(context, *(f"http://localhost:{port}" for port in ports))
    context.close()


def test_one_sign_in_opens_both_programs(user, stack, pictures):
    page = user.page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(user.superset + DASHBOARD)
    expect(page.locator("input")).to_have_count(0)  # no form for a password
    page.screenshot(path=pictures / "sign-in.png")
    page.get_by_role("link", name=re.compile("Sign in with")).click()
    page.locator("input[name=login]").fill("vera")
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button").click()
    page.wait_for_url(f"**{DASHBOARD}*")  # the page that the visitor wanted
    page.goto(f"{user.airflow}/dags/transactions_elt")
    page.get_by_role("link", name=re.compile("Sign in with")).click()
    page.wait_for_url(f"{user.airflow}/dags/transactions_elt")  # no password was asked for
    expect(page.get_by_text("transactions_elt").first).to_be_visible()


def test_a_viewer_sees_the_dashboard(user):
    user.open_dashboard()
    user.assert_no_error()


def test_signing_out_ends_both_sessions(user, pictures):
    page = user.page
    page.goto(f"{user.superset}/logout/")
    expect(page.get_by_role("status")).to_have_text("You are signed out of Superset.")
    page.goto(user.superset + DASHBOARD)
    expect(page.get_by_role("link", name=re.compile("Sign in with"))).to_be_visible()
    page.goto(f"{user.airflow}/api/v2/auth/logout")
    expect(page.get_by_role("link", name=re.compile("Sign in with"))).to_be_visible()
    page.goto(f"{user.airflow}/dags/transactions_elt")
    page.get_by_role("link", name=re.compile("Sign out of")).click()
    page.get_by_role("button", name="Yes, sign me out").click()  # a page of the provider
    page.goto(f"{user.superset}/login/oidc")
    expect(page.locator("input[name=password]")).to_be_visible()  # of the provider


def test_a_user_without_a_group_is_kept_out(user, stack, pictures):
    page = user.page
    for address in (f"{user.superset}/login/", f"{user.airflow}/auth/login/"):
        page.goto(address)
        page.get_by_role("link", name=re.compile("Sign in with")).click()
        if page.locator("input[name=login]").count():
            page.locator("input[name=login]").fill("norbert")
            page.locator("input[name=password]").fill("any")
            page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text(f"signed in as norbert, but {NOBODY}")
    page.screenshot(path=pictures / "kept-out.png")
    for program in PROGRAMS:
        assert "Norbert Example" not in users(stack, program)


RUNS = "/api/v2/dags/transactions_elt/dagRuns"
# The status of a request as an administrator, an editor and a viewer.
RIGHTS = [
    ("AIRFLOW", "GET", RUNS, None, (200, 200, 200)),
    ("AIRFLOW", "POST", RUNS, {"logical_date": None, "conf": {"file": "/"}}, (400, 400, 403)),
    ("AIRFLOW", "GET", "/api/v2/connections", None, (200, 403, 403)),
    ("AIRFLOW", "GET", "/auth/fab/v1/users", None, (200, 403, 403)),
    ("SUPERSET", "GET", "/api/v1/dashboard/monitoring", None, (200, 200, 200)),
    ("SUPERSET", "POST", "/api/v1/sqllab/execute/", {"sql": "select 1"}, (400, 400, 403)),
    ("SUPERSET", "POST", "/api/v1/dataset/", {}, (400, 400, 403)),
    ("SUPERSET", "POST", "/api/v1/database/", {}, (422, 403, 403)),
    ("SUPERSET", "GET", "/api/v1/security/roles/", None, (200, 403, 403)),
]


def test_groups_decide_what_a_user_may_do(stack):
    found = {}
    for name in ("ada", "edgar", "vera"):
        visitor = Visitor(stack.environment)
        for program in PROGRAMS:
            visitor.sign_in(program, name)
        token = visitor.call("SUPERSET", "GET", "/api/v1/security/csrf_token/").json()["result"]
        found[name] = [
            visitor.call(program, method, path, json=body, headers={"X-CSRFToken": token})
            for program, method, path, body, _ in RIGHTS
        ]
    for (program, method, path, _, expected), *answers in zip(RIGHTS, *found.values(), strict=True):
        statuses = tuple(answer.status_code for answer in answers)
        assert statuses == expected, (program, method, path, [each.text for each in answers])


def test_nobody_becomes_an_account_of_the_database(stack):
    for program, admin in (("AIRFLOW", "airflow"), ("SUPERSET", "admin")):
        roles = users(stack, program)
        assert roles[program.title()] == {"Admin"}
        assert roles["Vera Example"].isdisjoint({"Admin", "Alpha", "User"})
        names = stack.query("select username, email from ab_user", database=program.lower())
        assert (admin, f"{admin}@localhost") in names
        assert [name for name, _ in names if name.startswith("admin-")]


def test_a_new_group_counts_at_the_next_sign_in(stack, provider):
    expected = {
        "elt-editors": {"AIRFLOW": {"User"}, "SUPERSET": {"Alpha", "sql_lab"}},
        "elt-viewers": {"AIRFLOW": {"Viewer"}, "SUPERSET": {"Gamma", "Monitoring Dashboard"}},
    }
    for group, roles in expected.items():
        provider.accounts["demoted"]["claims"]["groups"] = [group]
        provider.write()
        for program in PROGRAMS:
            Visitor(stack.environment).sign_in(program, "demoted")
            assert users(stack, program)["Demoted Example"] == roles[program]
    provider.accounts["demoted"]["claims"]["groups"] = []
    provider.write()
    for program in PROGRAMS:
        visitor = Visitor(stack.environment)
        assert NOBODY in visitor.sign_in(program, "demoted").text
        assert not visitor.is_signed_in(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_disabled_user_cannot_sign_in(program, provider, visitor):
    provider.accounts["leaver"]["disabled"] = True
    provider.write()
    assert visitor.sign_in(program, "leaver").url.startswith(provider.issuer)
    assert not visitor.is_signed_in(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_user_can_be_deactivated_here(program, stack, visitor):
    change = "update ab_user set active = {} where first_name = 'Edgar Example' returning id"
    stack.query(change.format("false"), database=program.lower())
    try:
        answer = visitor.sign_in(program, "edgar")
        assert f"Your account in {program.title()} is deactivated." in answer.text
        assert not visitor.is_signed_in(program)
    finally:
        stack.query(change.format("true"), database=program.lower())


def test_no_failed_sign_in_left_a_traceback(stack):
    for name in ("airflow-api-server", "superset"):
        log = (stack.folder / "state" / "logs" / f"{name}.log").read_text(errors="replace")
        assert "sign-in failed" in log
        assert "sign_in.py" not in re.sub(r"loc=\S+", "", log), "a traceback"


def test_no_login_with_a_password_works(stack, visitor):
    name, password = "airflow", stack.environment["AIRFLOW_ADMIN_PASSWORD"]
    login = {"username": name, "password": password}
    for path in ("/auth/token", "/auth/token/cli"):
        assert visitor.call("AIRFLOW", "POST", path, json=login).status_code == 401
    assert visitor.call("AIRFLOW", "POST", "/auth/login/", data=login).status_code in (400, 405)
    login = {"username": "admin", "password": stack.environment["SUPERSET_ADMIN_PASSWORD"]}
    for kind in ("db", "ldap"):
        body = login | {"provider": kind}
        answer = visitor.call("SUPERSET", "POST", "/api/v1/security/login", json=body)
        assert answer.status_code in (400, 401)
    assert visitor.call("SUPERSET", "POST", "/login/", data=login).status_code in (400, 405)
    for program in PROGRAMS:
        assert not visitor.is_signed_in(program)


def test_a_token_of_an_earlier_login_with_a_password_is_refused(stack, visitor):
    key = secrets_of(stack)["SUPERSET_SECRET_KEY"]
    now = int(time.time())
    claims = {"sub": "1", "type": "access", "fresh": True, "jti": "x", "iat": now, "nbf": now}
    token = jwt.encode(claims | {"exp": now + 600}, key, "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    answer = visitor.call("SUPERSET", "GET", "/api/v1/dashboard/", headers=headers)
    assert answer.status_code == 401, answer.text


def test_the_commands_need_no_password(stack):
    status = stack.make("demo-status")
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("sign in with 127.0.0.1:") == len(PROGRAMS)
    export = stack.make("dashboard-export")
    assert "superset/assets is up to date" in export.stdout
    trigger = stack.make("trigger")  # the data folder is empty, so the first task fails
    assert "parse_and_populate_csv" in trigger.stdout, trigger.stdout


def test_only_the_two_servers_get_the_secret_of_the_client(stack, provider):
    having = set()
    for process in [stack.supervisord, *stack.supervisord.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # Airflow's parsers end soon
            command, environment = " ".join(process.cmdline()), process.environ()
            assert provider.client_secret not in command
            if process != stack.supervisord and provider.client_secret in environment.values():
                having.add(command)
    # Airflow's server writes its title over its environment, so that nobody can read it there.
    assert any("gunicorn" in command for command in having), having
    for command in having:
        assert re.search("api-server|api_server|uvicorn|gunicorn", command), command
    for log in (stack.folder / "state" / "logs").rglob("*.log"):
        assert provider.client_secret not in log.read_text(errors="replace"), log


def test_a_session_ends_in_time_even_if_it_is_used(stack):
    began, visitor = early[0]
    while time.time() < began + SESSION_MINUTES * 60 + 15:  # with Airflow's tolerance for clocks
        time.sleep(1)
        for program in PROGRAMS:
            visitor.is_signed_in(program)
    for program in PROGRAMS:
        assert not visitor.is_signed_in(program)
        assert visitor.sign_in(program, "leaver").url.startswith("http://127.0.0.1")
        assert not visitor.is_signed_in(program)


CONFIG = """
import runpy, sys
runpy.run_path(sys.argv[1])
assert not {"authlib", "sign_in", "joserfc"} & set(sys.modules)
"""


@pytest.mark.parametrize("component, config", [
    ("airflow", "config/webserver_config.py"), ("superset", "superset_config.py"),
])  # fmt: skip
def test_without_an_issuer_nothing_of_the_sign_in_is_loaded(component, config, tmp_path):
    environment = {
        "ALLOW_DEMO_LOGINS": "true",
        "SUPERSET_DATABASE_URI": "x",
        "SUPERSET_SECRET_KEY": "x",
    }
    python = PROJECT / component / ".venv" / "bin" / "python"
    command = [python, "-c", CONFIG, PROJECT / component / config]
    done = subprocess.run(
        command, env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
