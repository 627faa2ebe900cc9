"""Errors that a user can fix are one line on the terminal."""

import http.server
import json
import threading

import pytest

from elt_stack import settings as module
from elt_stack.ports import PORTS
from elt_stack.settings import PROJECT
from support import elt


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Create a project folder with a complete .env."""
    text = (PROJECT / ".env.example").read_text()
    (tmp_path / ".env.example").write_text(text)
    filled = text.replace("PASSWORD=\n", "PASSWORD=a-password\n").replace("=\n", "=a-key\n")
    (tmp_path / ".env").write_text(filled)
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    for name in ("ELT_ENV", *PORTS):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_an_env_file_that_cannot_be_read_is_named(project, monkeypatch):
    read = module.dotenv_values

    def refuse(path):
        if path == project / ".env":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(module, "dotenv_values", refuse)  # root may read every file
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


class RefusesLogins(http.server.BaseHTTPRequestHandler):
    """An Airflow that refuses every login."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"detail": "Invalid credentials"}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_refused_login_names_the_user_and_the_setting(project, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RefusesLogins)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AIRFLOW_PORT", str(server.server_port))
    try:
        done = elt("trigger")
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 1
    assert done.output == (
        "elt: Airflow refuses the login 'airflow': correct AIRFLOW_ADMIN_PASSWORD in .env\n"
    )
