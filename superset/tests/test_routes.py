"""Call every route of Superset as an anonymous visitor and as a read-only user."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile

import pytest

from tests.api import LOGIN, Api
from tests.stack import COMPONENT, Stack

Route = tuple[str, str, str]  # method, path, and the rule of the path
LIST_ROUTES = """
import json, logging, warnings
import init_superset  # restores numpy.product, which Superset needs on Python 3.13
logging.disable(); warnings.simplefilter("ignore")
from superset.app import create_app
print(json.dumps([[rule.rule, sorted(rule.methods - {"HEAD", "OPTIONS"})]
                  for rule in create_app().url_map.iter_rules()]))
"""
# Routes that need no login: health checks, static pages, the login page, redirects to it, and the
# log of events, which ignores visitors.
OPEN = {
    "/health", "/healthcheck", "/ping", "/version", "/login/", "/login/logout/", "/logout/", "/",
    "/back", "/register/", "/register/activation/<string:activation_hash>",
    "/groups/action/<string:name>/<pk>", "/roles/action/<string:name>/<pk>",
    "/users/action/<string:name>/<pk>", "/api/v1/user/<int:user_id>/avatar.png", "/superset/log/",
}  # fmt: skip
# Writes that a read-only user may do: mark a favourite, create a dashboard, refresh the cache.
ALLOWED_WRITES = {
    "/api/v1/chart/<pk>/favorites/",
    "/api/v1/dashboard/",
    "/api/v1/cachekey/invalidate",
}
READER = {"username": "reader", "password": "not-a-secret-at-all"}


@pytest.fixture(scope="module")
def routes(stack: Stack) -> list[Route]:
    """Return all routes of the application. The logout routes come last."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES], cwd=COMPONENT, capture_output=True, text=True,
        env=os.environ | stack.environment | {"PYTHONPATH": str(COMPONENT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rules = json.loads(done.stdout.splitlines()[-1])
    assert len(rules) > 250
    found = [
        (method, re.sub(r"<[^>]*>", "1", rule), rule)
        for rule, methods in rules
        for method in methods
    ]
    return sorted(found, key=lambda route: "logout" in route[1])


def with_token(api: Api) -> Api:
    """Add the CSRF token of the login page, so that no call fails for lack of a token."""
    page = api.get("/login/").text.replace("\n", " ")
    api.headers["X-CSRFToken"] = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    return api


def test_anonymous_visitors_reach_no_route(stack: Stack, routes: list[Route]) -> None:
    visitor, answered = with_token(Api(stack.address)), []
    for method, path, rule in routes:
        answer = visitor.request(method, path)
        to_login = "/login" in answer.headers.get("Location", "")
        assert "Monitoring Dashboard" not in answer.text, path
        if answer.status_code < 400 and not to_login:
            answered.append((rule, method, answer.status_code))
    assert {rule for rule, *_ in answered} <= OPEN, answered
    assert ("/health", "GET", 200) in answered


def test_a_read_only_user_changes_no_existing_object(
    stack: Stack, admin: Api, routes: list[Route]
) -> None:
    roles = admin.get("/api/v1/security/roles/").json()["result"]
    new = READER | {
        "first_name": "A", "last_name": "Reader", "email": "reader@localhost", "active": True,
        "roles": [role["id"] for role in roles if role["name"] == "Gamma"],
    }  # fmt: skip
    assert admin.post("/api/v1/security/users/", json=new).ok
    reader, before = Api(stack.address, READER), stack.counts()
    assert reader.get("/api/v1/dashboard/").status_code == 200
    assert reader.get("/api/v1/database/").json()["count"] == 0
    passed = []
    for method, path, rule in routes:
        if method == "GET" or "log" in path:
            continue
        answer = reader.request(method, path, json={})
        if answer.status_code < 300:
            passed.append((rule, method, answer.status_code))
        if answer.status_code == 201 and rule == "/api/v1/dashboard/":
            assert reader.delete(f"{rule}{answer.json()['id']}").ok
    assert {rule for rule, *_ in passed} <= ALLOWED_WRITES, passed
    assert stack.counts() == before


def secrets_of(stack: Stack) -> list[str]:
    return [
        stack.environment["SUPERSET_SECRET_KEY"],
        stack.environment["PGPASSWORD"],
        stack.environment["SUPERSET_DATABASE_URI"].split(":")[2].split("@")[0],
        LOGIN["password"],
    ]


@pytest.mark.parametrize("kind", ["assets", "dashboard", "chart", "dataset", "database"])
def test_no_secret_is_exported(stack: Stack, admin: Api, kind: str) -> None:
    query = {} if kind == "assets" else {"q": "!(1)"}
    answer = admin.get(f"/api/v1/{kind}/export/", params=query)
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as exported:
        text = "".join(exported.read(name).decode() for name in exported.namelist())
    assert "sqlalchemy_uri: postgresql" in text
    assert [secret for secret in secrets_of(stack) if secret in text] == []


@pytest.mark.parametrize("path", ["", "/connection"])
def test_no_secret_is_in_an_answer(stack: Stack, admin: Api, path: str) -> None:
    answer = admin.get(f"/api/v1/database/1{path}")
    assert "database_name" in answer.text
    assert [secret for secret in secrets_of(stack) if secret in answer.text] == []


def test_the_events_of_the_login_page_do_not_replace_the_session_of_a_login(stack: Stack) -> None:
    visitor = with_token(Api(stack.address))
    answer = visitor.post("/superset/log/", data={"events": "[]"})
    assert answer.status_code == 204
    assert "Set-Cookie" not in answer.headers
    assert "/login" not in visitor.post("/login/", data=LOGIN).headers["Location"]
    assert visitor.post("/superset/log/", data={"events": "[]"}).status_code == 200


def test_the_session_is_closed_to_scripts_and_other_sites(stack: Stack) -> None:
    browser = with_token(Api(stack.address))
    done = browser.post("/login/", data=LOGIN)
    assert done.status_code == 302 and "/login" not in done.headers["Location"]
    flags = {part.strip().lower() for part in done.headers["Set-Cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax"} <= flags
    page = browser.get("/superset/welcome/").headers
    assert page["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in page["Content-Security-Policy"]
    assert page["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in page
