"""How the stack is configured: .env, what may be in it, and what stops a start."""

import base64
import re
import shutil
import subprocess
import sys
from itertools import product

import pytest

from elt_stack import settings as module
from elt_stack.errors import StackError
from elt_stack.settings import PROJECT, Settings

SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
ALERTS = "AIRFLOW_CONN_APPRISE_DEFAULT"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with the example and the script that fills it; nothing of the shell."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / ".env.example", tmp_path)
    shutil.copy(PROJECT / "scripts" / "make_env.py", tmp_path / "scripts")
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    for name, _ in SETTING.findall((tmp_path / ".env.example").read_text()):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def make_env(project) -> str:
    command = [sys.executable, project / "scripts" / "make_env.py"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def written(project) -> dict[str, str]:
    return dict(SETTING.findall((project / ".env").read_text()))


def test_each_empty_value_of_the_example_becomes_a_secret_of_its_own(project):
    make_env(project)
    example = dict(SETTING.findall((project / ".env.example").read_text()))
    secrets = [written(project)[name] for name, value in example.items() if not value]
    assert len(secrets) >= 8
    assert len(set(secrets)) == len(secrets)
    assert all(len(base64.urlsafe_b64decode(secret)) in (32, 64) for secret in secrets)
    assert len(base64.urlsafe_b64decode(written(project)["AIRFLOW__CORE__FERNET_KEY"])) == 32
    assert (project / ".env").stat().st_mode & 0o777 == 0o600


def test_again_changes_nothing_and_adds_what_lacks(project):
    make_env(project)
    before = written(project)
    assert make_env(project) == ""
    lacking = re.sub(r"^REPORTER_PASSWORD=.*\n", "", (project / ".env").read_text(), flags=re.M)
    (project / ".env").write_text(lacking)
    assert make_env(project) == ".env: added REPORTER_PASSWORD\n"
    after = written(project)
    assert after.pop("REPORTER_PASSWORD") != before.pop("REPORTER_PASSWORD")
    assert after == before


def emptied(project, name: str, value: str = "") -> None:
    """Leave a setting of .env empty."""
    text = (project / ".env").read_text()
    (project / ".env").write_text(re.sub(f"^{name}=.*$", f"{name}={value}", text, flags=re.M))


@pytest.mark.parametrize("value", ["", '""', "  ", "''"])
def test_again_fills_what_is_empty_where_it_stands(project, value):
    make_env(project)
    before = written(project)
    for name in before:
        emptied(project, name, value)
    assert make_env(project) == f".env: added {', '.join(before)}\n"
    lines = (project / ".env").read_text()
    assert [name for name, _ in SETTING.findall(lines)] == list(before)
    assert Settings.load()["LOADER_PASSWORD"] not in ("", before["LOADER_PASSWORD"])
    assert (project / ".env").stat().st_mode & 0o777 == 0o600
    assert not (project / ".env.part").exists()


def test_an_empty_setting_is_missing_but_that_of_alerts_which_are_off_then(project):
    make_env(project)
    whole = (project / ".env").read_text()
    insisted = set(re.findall(r"\$\{(\w+):\?", (PROJECT / "docker-compose.yaml").read_text()))
    assert len(insisted) >= 12
    for name in written(project):
        emptied(project, name)
        if name == "ALERT_URL":
            assert '"path": "none"' in Settings.load().airflow_environment()[ALERTS]
            assert name not in insisted  # by Compose
        else:
            with pytest.raises(StackError, match=f"^{name} missing in .env: run `make env`"):
                Settings.load()
        (project / ".env").write_text(whole)


def test_the_state_is_never_the_project_itself(project, monkeypatch):
    make_env(project)
    monkeypatch.setenv("STATE_DIR", "")
    assert Settings.load().state == project / ".state"  # which `make demo-reset` removes


def test_the_shell_wins_over_the_file(project, monkeypatch):
    make_env(project)
    monkeypatch.setenv("AIRFLOW_PORT", "8090")
    assert Settings.load()["AIRFLOW_PORT"] == "8090"


def test_a_file_that_lacks_a_setting_is_named_with_what_to_do(project):
    with pytest.raises(StackError, match="run `make env`"):
        Settings.load()
    (project / ".env").write_text("ELT_ENV=dev\n")
    with pytest.raises(StackError, match=r"LOADER_PASSWORD.* missing in .env: run `make env`"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ELT_ENV", "production", "ELT_ENV is 'production'; it can be dev"),
        ("AIRFLOW_PORT", "80 80", "AIRFLOW_PORT is '80 80', which is no port"),
        ("WAREHOUSE_PORT", "65536", "WAREHOUSE_PORT is '65536', which is no port"),
    ],
)
def test_a_value_that_cannot_be_is_named(project, monkeypatch, name, value, message):
    make_env(project)
    monkeypatch.setenv(name, value)
    with pytest.raises(StackError, match=re.escape(message)):
        Settings.load()


@pytest.mark.parametrize("environment", ["dev", "test", "prod"])
def test_a_password_that_is_not_read_alike_by_all_is_refused_and_not_shown(
    project, monkeypatch, environment
):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", environment)
    names = [name for name in written(project) if name.endswith("_PASSWORD")]
    assert len(names) == 9
    for name in names:
        monkeypatch.setenv(name, "Longer.Than-12_chars~=")
    Settings.load()
    for name, unsafe in product(names, "$@:/\\\"'#% {ä\n"):
        with monkeypatch.context() as one:
            one.setenv(name, f"Longer.Than-{unsafe}12")
            with pytest.raises(StackError, match=f"^{name} may have only letters") as refused:
                Settings.load()
        assert "Longer" not in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("environment", ["staging", "prod"])
@pytest.mark.parametrize("secret", ["airflow", "Admin", "short"])
def test_outside_dev_a_default_or_short_secret_stops_the_start(
    project, monkeypatch, environment, secret
):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", environment)
    monkeypatch.setenv("SUPERSET_ADMIN_PASSWORD", "long-enough-and-nobody-s")
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", secret)
    with pytest.raises(StackError, match="AIRFLOW_ADMIN_PASSWORD is a default or too short"):
        Settings.load()
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", "long-enough-and-mine")
    assert Settings.load()["ELT_ENV"] == environment


@pytest.mark.parametrize("weak", ["changeme", "x" * 11])
def test_outside_dev_each_secret_is_looked_at(project, monkeypatch, weak):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", "prod")
    example = SETTING.findall((project / ".env.example").read_text())
    names = [name for name, _ in example if module.is_secret(name)]
    assert len(names) >= 12
    for name in names:
        monkeypatch.setenv(name, "long-enough-and-mine")
    Settings.load()
    for name in names:
        monkeypatch.setenv(name, weak)
        with pytest.raises(StackError, match=f"^{name} is a default or too short"):
            Settings.load()
        monkeypatch.setenv(name, "long-enough-and-mine")


def test_airflow_gets_neither_the_superusers_nor_the_reporters_password(project):
    make_env(project)
    settings = Settings.load()
    given = " ".join(settings.airflow_environment().values())
    assert settings["LOADER_PASSWORD"] in given
    assert settings["POSTGRES_PASSWORD"] not in given
    assert settings["REPORTER_PASSWORD"] not in given
