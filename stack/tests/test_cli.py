"""Errors that a user can fix are one line on the terminal."""

import http.server
import json
import threading
from typing import ClassVar

import jwt
import pytest

from elt_stack import setting_files
from support import elt, use_project, write_env


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Create a project folder with a complete .env."""
    use_project(tmp_path, monkeypatch)
    write_env(tmp_path)
    return tmp_path


def test_an_env_file_that_cannot_be_read_is_named(project, monkeypatch):
    read = setting_files.dotenv_values

    def refuse(path):
        if path == project / ".env":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(setting_files, "dotenv_values", refuse)  # root may read every file
    for command in (["trigger"], ["status"], ["compose", "ps"]):
        done = elt(*command)
        assert done.returncode == 1
        assert done.output == (
            f"elt: {project}/.env cannot be read (Permission denied): "
            "check its owner, mode and encoding\n"
        )


def test_an_env_file_of_another_encoding_is_named(project):
    (project / ".env").write_bytes("AIRFLOW_ADMIN_USER=Jörg\n".encode("latin-1"))
    done = elt("status")
    assert done.returncode == 1
    assert done.output.startswith(f"elt: {project}/.env cannot be read ('utf-8' codec")
    assert len(done.output.splitlines()) == 1


class Airflow(http.server.BaseHTTPRequestHandler):
    """An Airflow that runs a DAG without tasks.

    Attributes:
        key: the key that signs the tokens that it accepts.
        conf: the values of the form in the newest trigger.
    """

    key = ""
    conf: ClassVar[dict[str, object]] = {}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = self.headers["Authorization"].removeprefix("Bearer ")
        try:
            jwt.decode(token, self.key, algorithms=["HS512"], audience="apache-airflow")
        except jwt.InvalidSignatureError:
            self.answer(403, {"detail": "Invalid JWT token"})  # as Airflow says it
            return
        if body["conf"].get("max_rejects", 0) < 0:
            self.answer(400, {"detail": "-1 is less than 0\n\nFailed validating"})
        else:
            type(self).conf = body["conf"]
            self.answer(200, {"dag_run_id": "a run"})

    def do_GET(self):
        self.answer(200, {"task_instances": [], "state": "success"})

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def airflow(project, monkeypatch):
    """Start an Airflow at the project's port; return its class, which tests can configure."""
    handler = type("AnAirflow", (Airflow,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AIRFLOW_PORT", str(server.server_port))
    handler.key = "the key with which Airflow was started, of at least 64 characters"
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", handler.key)
    yield handler
    server.shutdown()
    server.server_close()


def test_a_refused_token_names_the_setting(airflow):
    airflow.key = "another key, with which Airflow was started, of at least 64 characters"
    done = elt("trigger")
    assert done.returncode == 1
    assert done.output == (
        "elt: Airflow refuses the token of elt: it was started with another "
        "AIRFLOW__API_AUTH__JWT_SECRET than the one in .env. Restart the stack\n"
    )


@pytest.mark.parametrize(
    ("arguments", "conf"),
    [
        ([], {}),
        (["--file", "may.csv", "--full-refresh"], {"file": "may.csv", "full_refresh": True}),
        (["--duplicates", "keep", "--max-rejects", "5"], {"duplicates": "keep", "max_rejects": 5}),
        (["--max-rejects", "0"], {"max_rejects": 0}),
        (["--backdated-transactions", "warn"], {"backdated_transactions": "warn"}),
        (["--unreconciled-balances", "warn"], {"unreconciled_balances": "warn"}),
    ],
)
def test_trigger_sends_only_the_fields_that_were_chosen(airflow, arguments, conf):
    done = elt("trigger", *arguments)
    assert done.returncode == 0, done.output
    assert airflow.conf == conf


@pytest.mark.usefixtures("airflow")
def test_a_value_that_airflow_refuses_is_reported_on_one_line():
    done = elt("trigger", "--max-rejects", "-1")
    assert done.returncode == 1
    assert done.output.endswith("with status 400: -1 is less than 0\n")
    assert len(done.output.splitlines()) == 1
