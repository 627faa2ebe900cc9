"""Permissions of users and anonymous visitors, and starts with missing or weak secrets."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import psycopg2
import pytest
import requests

from tests.api import Api
from tests.stack import COMPONENT, Stack

ANALYST = {"username": "analyst", "password": "not-a-secret-either"}
ROWS = "select count(*) from staging.transactions"


@pytest.fixture(scope="module", params=["Admin", "Alpha and sql_lab"])
def user(request: pytest.FixtureRequest, stack: Stack, admin: Api) -> Api:
    """Return the API as a user who may use SQL Lab."""
    if request.param == "Admin":
        return admin
    roles = {
        role["name"]: role["id"]
        for role in admin.get("/api/v1/security/roles/").json()["result"]
    }  # fmt: skip
    new = ANALYST | {
        "first_name": "An", "last_name": "Analyst", "email": "analyst@localhost", "active": True,
        "roles": [roles["Alpha"], roles["sql_lab"]],
    }  # fmt: skip
    assert admin.post("/api/v1/security/users/", json=new).ok
    return Api(stack.address, ANALYST)


def test_sql_lab_reads_the_marts(stack: Stack, user: Api) -> None:
    answer = user.sql("select count(*) as accounts from marts.accounts")
    [(accounts,)] = stack.rows(
        "select count(distinct (source, account_number, currency)) from staging.transactions"
    )
    assert answer.json()["data"] == [{"accounts": accounts}]
    assert accounts > 10


@pytest.mark.parametrize(
    "statement",
    [
        "delete from staging.transactions",
        "insert into audit.test_results select * from audit.test_results",
        "create table marts.mine (id int)",
        "drop view marts.accounts",
        "set default_transaction_read_only = off; delete from staging.transactions",
        "set role transformer; delete from staging.transactions",
        "begin read write; truncate staging.transactions; commit",
        "with gone as (delete from staging.transactions returning 1) select count(*) from gone",
        "explain analyze delete from staging.transactions",
    ],
)
def test_sql_lab_cannot_write(stack: Stack, user: Api, statement: str) -> None:
    before = stack.rows(ROWS)
    answer = user.sql(statement)
    assert answer.status_code >= 400, answer.text
    assert answer.json()["errors"]
    assert stack.rows(ROWS) == before
    assert stack.rows("select to_regclass('marts.mine'), to_regclass('marts.accounts')::text") == [
        (None, "marts.accounts")
    ]


def test_sql_lab_cannot_create_a_table_from_a_query(stack: Stack, user: Api) -> None:
    options = {"select_as_cta": True, "tmp_table_name": "mine", "schema": "marts"}
    assert user.sql("select 1 as one", **options).status_code >= 400
    assert stack.rows("select to_regclass('marts.mine')") == [(None,)]


@pytest.mark.parametrize("table", ["transactions", "_loads", "_rejects", "_duplicates"])
def test_sql_lab_cannot_read_raw(user: Api, table: str) -> None:
    answer = user.sql(f"select * from raw.{table} limit 1")
    assert answer.status_code >= 400
    assert "permission denied" in answer.text


def test_sql_lab_cannot_reach_another_database(stack: Stack, user: Api) -> None:
    other = stack.metadata
    for answer in (
        user.sql(f"select * from {other}.public.ab_user"),
        user.sql("select * from public.ab_user", catalog=other),
        user.sql("select pg_read_file('/etc/passwd')"),
        user.sql("copy (select 1) to program 'true'"),
    ):
        assert answer.status_code >= 400, answer.text
    login = {"user": "reporter", "password": os.environ["REPORTER_PASSWORD"]}
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(dbname=other, **login)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/dashboard/monitoring"),
        ("GET", "/api/v1/chart/1/data/"),
        ("POST", "/api/v1/chart/data"),
        ("POST", "/api/v1/sqllab/execute/"),
        ("GET", "/api/v1/assets/export/"),
        ("GET", "/api/v1/database/"),
        ("GET", "/superset/dashboard/monitoring/"),
    ],
)
def test_anonymous_visitors_see_nothing(stack: Stack, method: str, path: str) -> None:
    answer = Api(stack.address).request(method, path, json={})
    refused = answer.status_code in (400, 401, 403, 404)  # 400: no CSRF token
    assert refused or "/login" in answer.headers["Location"]
    assert "Monitoring" not in answer.text


def test_visitors_cannot_register(stack: Stack) -> None:
    answer = Api(stack.address).get("/register/form")
    assert answer.status_code in (302, 404)
    assert "public" not in stack.rows(
        "select string_agg(lower(name), ',') from ab_role join ab_permission_view_role"
        " on ab_role.id = role_id",
        stack.metadata,
    )[0][0]  # fmt: skip


def test_pages_load_nothing_from_other_hosts(stack: Stack) -> None:
    answer = Api(stack.address).get("/login/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert "superset_session=" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/login/", "/api/v1/security/login"])
def test_password_guessing_is_limited(stack: Stack, path: str) -> None:
    visitor = Api(stack.address)
    # Use an address of its own, so that the limit does not refuse the logins of other tests.
    visitor.mount("http://", SourceAddress("127.0.0.2"))
    try:
        page = visitor.get("/login/").text
    except requests.ConnectionError:
        pytest.skip("this machine has only one loopback address")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.replace("\n", " "))[1]
    guess = {"username": "admin", "password": "guess", "provider": "db"}
    body = {"data": guess | {"csrf_token": token}} if path == "/login/" else {"json": guess}
    answers = [visitor.post(path, **body).status_code for _ in range(12)]
    assert answers[0] != 429
    assert answers[-1] == 429


class SourceAddress(requests.adapters.HTTPAdapter):
    """Send requests from a given local address."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options) -> None:
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **options)


KEY = "0123456789abcdef0123456789abcdef"
CONFIGURED = {
    "SUPERSET_SECRET_KEY": KEY,
    "SHORTEST_KEY": "32",
    "SUPERSET_DATABASE_URI": "postgresql://",
    "ALLOW_DEMO_LOGINS": "false",
}


def configure(**environment: str) -> tuple[int, list[str]]:
    """Run superset_config.py; return its exit code and the lines of its error output."""
    done = subprocess.run(
        [sys.executable, "superset_config.py"], cwd=COMPONENT, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"]} | CONFIGURED | environment,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("name", ["SUPERSET_SECRET_KEY", "SUPERSET_DATABASE_URI"])
def test_a_missing_setting_ends_the_start(name: str) -> None:
    for allowed in ("true", "false"):
        status, errors = configure(**{name: "", "ALLOW_DEMO_LOGINS": allowed})
        assert (status, errors) == (1, [f"{name} is not set: see .env.example"])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET", "publicly known"),
        ("thisISaSECRET_1234", "publicly known"),
        ("TEST_NON_DEV_SECRET", "publicly known"),
        ("YOUR_OWN_RANDOM_GENERATED_SECRET_KEY", "publicly known"),
        (r"\2\1thisismyscretkey\1\2\e\y\y\h", "publicly known"),
        (KEY[:31], "too short"),
    ],
)
def test_a_weak_key_is_refused_unless_demo_logins_are_allowed(key: str, reason: str) -> None:
    status, errors = configure(SUPERSET_SECRET_KEY=key)
    assert status == 1
    assert [reason in line for line in errors] == [True]
    assert configure(SUPERSET_SECRET_KEY=key, ALLOW_DEMO_LOGINS="")[0] == 1
    assert configure(SUPERSET_SECRET_KEY=key, ALLOW_DEMO_LOGINS="true") == (0, [])


def test_a_strong_key_is_accepted() -> None:
    assert configure() == (0, [])


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"SUPERSET_ADMIN_PASSWORD": ""}, "SUPERSET_ADMIN_PASSWORD is not set: see .env.example"),
        ({"SUPERSET_DATABASE_URI": "postgresql+psycopg2://x@127.0.0.1:1/x"}, "cannot be used"),
    ],
)
def test_a_failed_start_gives_its_reason_in_one_line(
    stack: Stack, setting: dict[str, str], reason: str
) -> None:
    status, output = stack.start(**setting).wait()
    assert status == 1
    assert "Traceback" not in output
    assert reason in output.splitlines()[-1]
