"""The settings: how .env is written, read and checked."""

import base64
import re
import shutil
import subprocess
import sys
from itertools import product

import pytest

from elt_stack import settings as module
from elt_stack.environments import airflow_environment
from elt_stack.errors import StackError
from elt_stack.settings import PROJECT, Settings

SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
ALERTS = "AIRFLOW_CONN_APPRISE_DEFAULT"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Create a project folder without .env, in a shell without settings."""
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


def settings_in_file(project) -> dict[str, str]:
    return dict(SETTING.findall((project / ".env").read_text()))


def test_each_empty_value_of_the_example_becomes_a_different_secret(project):
    make_env(project)
    example = dict(SETTING.findall((project / ".env.example").read_text()))
    secrets = [settings_in_file(project)[name] for name, value in example.items() if not value]
    assert len(secrets) >= 8
    assert len(set(secrets)) == len(secrets)
    assert all(len(base64.urlsafe_b64decode(secret)) in (32, 64) for secret in secrets)
    assert (
        len(base64.urlsafe_b64decode(settings_in_file(project)["AIRFLOW__CORE__FERNET_KEY"])) == 32
    )
    assert (project / ".env").stat().st_mode & 0o777 == 0o600


def test_make_env_adds_only_missing_settings(project):
    make_env(project)
    before = settings_in_file(project)
    assert make_env(project) == ""
    incomplete = re.sub(r"^REPORTER_PASSWORD=.*\n", "", (project / ".env").read_text(), flags=re.M)
    (project / ".env").write_text(incomplete)
    assert make_env(project) == ".env: added REPORTER_PASSWORD\n"
    after = settings_in_file(project)
    assert after.pop("REPORTER_PASSWORD") != before.pop("REPORTER_PASSWORD")
    assert after == before


def set_value(project, name: str, value: str = "") -> None:
    """Replace the value of a setting in .env."""
    text = (project / ".env").read_text()
    (project / ".env").write_text(re.sub(f"^{name}=.*$", f"{name}={value}", text, flags=re.M))


@pytest.mark.parametrize("value", ["", '""', "  ", "''"])
def test_make_env_fills_empty_values_in_place(project, value):
    make_env(project)
    before = settings_in_file(project)
    for name in before:
        set_value(project, name, value)
    assert make_env(project) == f".env: added {', '.join(before)}\n"
    lines = (project / ".env").read_text()
    assert [name for name, _ in SETTING.findall(lines)] == list(before)
    assert Settings.load()["LOADER_PASSWORD"] not in ("", before["LOADER_PASSWORD"])
    assert (project / ".env").stat().st_mode & 0o777 == 0o600
    assert not (project / ".env.part").exists()


@pytest.mark.parametrize("line", ["export DATA_DIR=/bank", "DATA_DIR = /bank", "  DATA_DIR=/bank"])
def test_make_env_keeps_a_setting_in_any_spelling_that_elt_reads(project, line):
    make_env(project)
    text = (project / ".env").read_text().replace("DATA_DIR=data_ingestion/data", line)
    (project / ".env").write_text(text)
    assert make_env(project) == ""
    assert (project / ".env").read_text() == text
    assert Settings.load()["DATA_DIR"] == "/bank"


@pytest.mark.parametrize("line", ["export LOADER_PASSWORD=", "LOADER_PASSWORD = ''"])
def test_make_env_fills_an_empty_setting_in_any_spelling(project, line):
    make_env(project)
    text = re.sub(r"^LOADER_PASSWORD=.*$", line, (project / ".env").read_text(), flags=re.M)
    (project / ".env").write_text(text)
    assert make_env(project) == ".env: added LOADER_PASSWORD\n"
    assert line not in (project / ".env").read_text()
    assert Settings.load()["LOADER_PASSWORD"]


def test_every_setting_but_the_alert_url_is_required(project):
    make_env(project)
    complete = (project / ".env").read_text()
    files = [PROJECT / "docker-compose.yaml", *PROJECT.glob("*/service.env")]
    required = {  # the settings that Compose requires
        name for path in files for name in re.findall(r"\$\{(\w+):\?", path.read_text())
    }
    assert len(required) >= 19
    for name in settings_in_file(project):
        set_value(project, name)
        if name == "ALERT_URL":
            assert '"path": "none"' in airflow_environment(Settings.load())[ALERTS]
            assert name not in required
        else:
            with pytest.raises(StackError, match=f"^{name} missing in .env: run `make env`"):
                Settings.load()
        (project / ".env").write_text(complete)


def test_an_empty_state_dir_is_not_the_project_folder(project, monkeypatch):
    make_env(project)
    monkeypatch.setenv("STATE_DIR", "")
    assert Settings.load().state == project / ".state"  # `make demo-reset` deletes it


def test_a_variable_of_the_shell_wins_over_env(project, monkeypatch):
    make_env(project)
    monkeypatch.setenv("AIRFLOW_PORT", "8090")
    assert Settings.load()["AIRFLOW_PORT"] == "8090"


def test_missing_settings_are_named_with_the_command_that_adds_them(project):
    with pytest.raises(StackError, match="run `make env`"):
        Settings.load()
    (project / ".env").write_text("ELT_ENV=dev\n")
    with pytest.raises(StackError, match=r"LOADER_PASSWORD.* missing in .env: run `make env`"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ELT_ENV", "production", "ELT_ENV is 'production': set it to one of dev"),
        ("AIRFLOW_PORT", "80 80", "AIRFLOW_PORT is '80 80', which is not a port"),
        ("WAREHOUSE_PORT", "65536", "WAREHOUSE_PORT is '65536', which is not a port"),
        ("LOADER_DUPLICATES", "Keep", "LOADER_DUPLICATES is 'Keep': set it to one of drop, keep"),
        ("LOADER_MAX_REJECTS", "-1", "LOADER_MAX_REJECTS is '-1': set it to a whole number of 0"),
        ("LOADER_MAX_REJECTS", "1.5", "LOADER_MAX_REJECTS is '1.5': set it to a whole number"),
    ],
)
def test_an_invalid_value_is_named(project, monkeypatch, name, value, message):
    make_env(project)
    monkeypatch.setenv(name, value)
    with pytest.raises(StackError, match=re.escape(message)):
        Settings.load()


@pytest.mark.parametrize("environment", ["dev", "test", "prod"])
def test_a_password_that_needs_escaping_is_refused_and_not_shown(project, monkeypatch, environment):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", environment)
    names = [name for name in settings_in_file(project) if name.endswith("_PASSWORD")]
    assert len(names) == 9
    for name in names:
        monkeypatch.setenv(name, "Longer.Than-12_chars~=")
    Settings.load()
    for name, unsafe in product(names, "$@:/\\\"'#% {ä\n"):
        with monkeypatch.context() as changed:
            changed.setenv(name, f"Longer.Than-{unsafe}12")
            with pytest.raises(StackError, match=f"^{name} may contain only letters") as refused:
                Settings.load()
        assert "Longer" not in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("environment", ["staging", "prod"])
@pytest.mark.parametrize("secret", ["airflow", "Admin", "short"])
def test_outside_dev_a_default_or_short_password_is_refused(
    project, monkeypatch, environment, secret
):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", environment)
    monkeypatch.setenv("SUPERSET_ADMIN_PASSWORD", "long-enough-and-unknown")
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", secret)
    with pytest.raises(StackError, match="AIRFLOW_ADMIN_PASSWORD is a default or too short"):
        Settings.load()
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", "long-enough-and-mine")
    assert Settings.load()["ELT_ENV"] == environment


@pytest.mark.parametrize("weak", ["changeme", "too short"])
def test_outside_dev_every_secret_is_checked(project, monkeypatch, weak):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", "prod")
    example = SETTING.findall((project / ".env.example").read_text())
    names = [name for name, _ in example if module.is_secret(name)]
    assert len(names) >= 12
    lengths = {name: 12 if name.endswith("_PASSWORD") else 32 for name in names}
    for name, length in lengths.items():
        monkeypatch.setenv(name, "x" * length)
    Settings.load()
    for name, length in lengths.items():
        monkeypatch.setenv(name, "x" * (length - 1) if weak == "too short" else weak)
        with pytest.raises(StackError, match=f"^{name} is a default or too short .* {length} char"):
            Settings.load()
        monkeypatch.setenv(name, "x" * length)


@pytest.mark.parametrize("url", ['json://a"b', "json://a\\b", "json://a\nb"])
def test_an_alert_url_that_needs_escaping_in_json_is_refused(project, monkeypatch, url):
    make_env(project)
    monkeypatch.setenv("ALERT_URL", url)
    with pytest.raises(StackError, match=r"^ALERT_URL contains a quotation mark"):
        Settings.load()


def test_airflow_gets_no_password_of_the_superuser_or_the_reporter(project):
    make_env(project)
    settings = Settings.load()
    values = " ".join(airflow_environment(settings).values())
    assert settings["LOADER_PASSWORD"] in values
    assert settings["POSTGRES_PASSWORD"] not in values
    assert settings["REPORTER_PASSWORD"] not in values
