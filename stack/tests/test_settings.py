"""The settings: how .env is written, read and checked."""

import base64
import re
import shutil
import subprocess
import sys
from itertools import product

import pytest

from elt_stack import setting_files
from elt_stack.environments import airflow_environment
from elt_stack.errors import StackError
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings
from support import use_project

SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
ALERTS = "AIRFLOW_CONN_APPRISE_DEFAULT"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Create a project folder without .env, in a shell without settings."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts" / "make_env.py", tmp_path / "scripts")
    use_project(tmp_path, monkeypatch)
    return tmp_path


def make_env(project) -> str:
    command = [sys.executable, project / "scripts" / "make_env.py"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def settings_in_file(project, file: str = ".env") -> dict[str, str]:
    return dict(SETTING.findall((project / file).read_text()))


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


def set_value(project, name: str, value: str = "", file: str = ".env") -> None:
    """Replace the value of a setting in a file."""
    text = (project / file).read_text()
    (project / file).write_text(re.sub(f"^{name}=.*$", f"{name}={value}", text, flags=re.M))


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


def test_every_setting_but_the_alert_url_and_optional_ones_is_required(project):
    make_env(project)
    complete = (project / ".env").read_text()
    files = [PROJECT / "docker-compose.yaml", *PROJECT.glob("*/service.env")]
    required = {  # the settings that Compose requires
        name for path in files for name in re.findall(r"\$\{(\w+):\?", path.read_text())
    }
    in_config = set(settings_in_file(project, "config/dev.env"))
    assert len(required - in_config) >= 16
    assert required <= {*settings_in_file(project), *in_config}
    for name in settings_in_file(project):
        set_value(project, name)
        if name == "ALERT_URL":
            assert '"path": "none"' in airflow_environment(Settings.load())[ALERTS]
            assert name not in required
        else:
            with pytest.raises(StackError, match=f"^{name} missing in .env: run `make env`"):
                Settings.load()
        (project / ".env").write_text(complete)
    for name in in_config:
        set_value(project, name, file="config/dev.env")
        (project / "config" / "staging.env").write_text((project / "config/dev.env").read_text())
        shutil.copy(PROJECT / "config" / "dev.env", project / "config")
        with pytest.MonkeyPatch.context() as shell:
            shell.setenv("ELT_ENV", "staging")
            with pytest.raises(StackError, match=f"^{name} missing in config/staging.env: add it"):
                Settings.load()


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
        ("TASK_RETRIES", "many", "TASK_RETRIES is 'many': set it to a whole number of 0 or more"),
        ("DBT_THREADS", "0", "DBT_THREADS is '0': set it to a whole number from 1 to 99"),
        ("TASK_MEMORY", "2 GB", "TASK_MEMORY is '2 GB': set it to a whole number with the unit"),
        ("LOG_LEVEL", "verbose", "LOG_LEVEL is 'verbose': set it to one of DEBUG, INFO"),
        ("COOKIE_SECURE", "yes", "COOKIE_SECURE is 'yes': set it to one of true, false"),
        ("DAG_SCHEDULE", "daily", "DAG_SCHEDULE is 'daily': set it to a cron expression"),
        ("DAG_SCHEDULE", "0 25 * * *", "DAG_SCHEDULE is '0 25 * * *': set it to a cron"),
        ("DAG_SCHEDULE", "0 0 1 * * *", "DAG_SCHEDULE is '0 0 1 * * *': set it to a cron"),
        ("COMPOSE_PROJECT_NAME", "Elt", "COMPOSE_PROJECT_NAME is 'Elt': set it to a name of"),
        ("OPENLINEAGE_NAMESPACE", "elt/dev", "OPENLINEAGE_NAMESPACE is 'elt/dev': set it to a"),
        ("SCHEMA_PREFIX", "alice", "SCHEMA_PREFIX is 'alice': set it to a name of"),
        ("ALERT_REMINDER_DAYS", "weekly", "ALERT_REMINDER_DAYS is 'weekly': set it to a whole"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "set it to an address of http or https"),
        ("OIDC_ISSUER", "http://login.example.com", "OIDC_ISSUER is 'http://login.example.com'"),
        ("OIDC_ISSUER", "http://localhost:1@example.com/", "OIDC_ISSUER is 'http://localhost:1@"),
        ("OIDC_ISSUER", "http://localhost.example.com/", "OIDC_ISSUER is 'http://localhost.ex"),
        ("OIDC_ISSUER", "https://login.example.com?a=b", "OIDC_ISSUER is 'https://login.exam"),
        ("OIDC_ISSUER", "login.example.com", "OIDC_ISSUER is 'login.example.com': set it to"),
        ("OIDC_ADMIN_GROUPS", " , ", "OIDC_ADMIN_GROUPS is ' , ': set it to names of groups"),
        ("OIDC_SCOPES", "profile", "OIDC_SCOPES is 'profile': set it to scopes, separated"),
        ("OIDC_SESSION_MINUTES", "0", "OIDC_SESSION_MINUTES is '0': set it to a whole number"),
    ],
)
def test_an_invalid_value_is_named(project, monkeypatch, name, value, message):
    make_env(project)
    monkeypatch.setenv(name, value)
    with pytest.raises(StackError, match=re.escape(message)):
        Settings.load()


SIGN_IN = {
    "OIDC_ISSUER": "https://login.example.com/realms/bank",
    "OIDC_CLIENT_ID": "elt",
    "OIDC_CLIENT_SECRET": "not-a-real-secret-but-a-long-one",
    "OIDC_VIEWER_GROUPS": "staff",
}


def test_the_sign_in_is_configured_completely_or_not_at_all(project, monkeypatch):
    make_env(project)
    assert not Settings.load()["OIDC_ISSUER"]
    for name, value in SIGN_IN.items():
        monkeypatch.setenv(name, value)
    assert Settings.load()["OIDC_ISSUER"] == SIGN_IN["OIDC_ISSUER"]
    for name in SIGN_IN:
        with monkeypatch.context() as changed:
            changed.delenv(name)
            missing = r"one of .*OIDC_VIEWER_GROUPS" if name.endswith("GROUPS") else name
            expected = rf"^the sign-in with OpenID Connect also needs {missing}: set it in .env"
            with pytest.raises(StackError, match=expected) as refused:
                Settings.load()
            assert SIGN_IN["OIDC_CLIENT_SECRET"] not in str(refused.value)


def test_the_secret_of_the_sign_in_may_be_short_but_not_well_known(ready, monkeypatch):
    monkeypatch.setenv("ELT_ENV", "prod")
    for name in ("AIRFLOW_ADMIN_PASSWORD", "SUPERSET_ADMIN_PASSWORD"):
        monkeypatch.setenv(name, "long-enough-and-mine")
    for name, value in SIGN_IN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OIDC_CLIENT_SECRET", "short")
    Settings.load(to_start=True)
    monkeypatch.setenv("OIDC_CLIENT_SECRET", "secret")
    with pytest.raises(StackError, match=r"^OIDC_CLIENT_SECRET is a default or too short"):
        Settings.load(to_start=True)


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


@pytest.fixture
def ready(project, monkeypatch):
    """Give a project what a start in prod needs, beside strong passwords of the administrators."""
    make_env(project)
    (project / "bank").mkdir()
    monkeypatch.setenv("DATA_DIR", "bank")
    monkeypatch.setenv("ALERT_URL", "json://localhost")
    return project


@pytest.mark.parametrize("environment", ["staging", "prod"])
@pytest.mark.parametrize("secret", ["airflow", "Admin", "short"])
def test_outside_dev_a_default_or_short_password_is_refused(
    ready, monkeypatch, environment, secret
):
    monkeypatch.setenv("ELT_ENV", environment)
    monkeypatch.setenv("SUPERSET_ADMIN_PASSWORD", "long-enough-and-unknown")
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", secret)
    with pytest.raises(StackError, match="AIRFLOW_ADMIN_PASSWORD is a default or too short"):
        Settings.load(to_start=True)
    assert Settings.load()["ELT_ENV"] == environment  # a running stack can be stopped
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", "long-enough-and-mine")
    assert Settings.load(to_start=True)["ELT_ENV"] == environment


@pytest.mark.parametrize("weak", ["changeme", "too short"])
def test_outside_dev_every_secret_is_checked(ready, monkeypatch, weak):
    monkeypatch.setenv("ELT_ENV", "prod")
    names = [name for name in setting_files.required_names() if setting_files.is_secret(name)]
    assert len(names) >= 12
    lengths = {name: 12 if name.endswith("_PASSWORD") else 32 for name in names}
    for name, length in lengths.items():
        monkeypatch.setenv(name, "x" * length)
    Settings.load(to_start=True)
    for name, length in lengths.items():
        monkeypatch.setenv(name, "x" * (length - 1) if weak == "too short" else weak)
        with pytest.raises(StackError, match=f"^{name} is a default or too short .* {length} char"):
            Settings.load(to_start=True)
        monkeypatch.setenv(name, "x" * length)


def test_all_that_prod_needs_is_named_at_once(project, monkeypatch):
    make_env(project)
    (project / "bank").mkdir()
    shutil.copy(PROJECT / "data_ingestion/data/transactions_data.csv", project / "bank")
    monkeypatch.setenv("ELT_ENV", "prod")
    monkeypatch.setenv("DATA_DIR", "bank")
    Settings.load()
    with pytest.raises(StackError) as refused:
        Settings.load(to_start=True)
    first, *needs = str(refused.value).splitlines()
    assert first == "4 changes are necessary for ELT_ENV=prod:"
    assert [need.split()[:2] for need in needs] == [
        ["-", "AIRFLOW_ADMIN_PASSWORD"], ["-", "SUPERSET_ADMIN_PASSWORD"], ["-", "DATA_DIR"],
        ["-", "ALERT_URL"],
    ]  # fmt: skip
    monkeypatch.setenv("ELT_ENV", "dev")
    Settings.load(to_start=True)


def test_only_the_unchanged_sample_is_refused(ready, monkeypatch):
    monkeypatch.setenv("ELT_ENV", "staging")
    for program in ("AIRFLOW", "SUPERSET"):
        monkeypatch.setenv(f"{program}_ADMIN_PASSWORD", "long-enough-and-mine")
    (ready / "bank" / "transactions_data.csv").write_text("the bank's own file of this name")
    Settings.load(to_start=True)


def test_env_wins_over_config_and_each_origin_is_known(project, monkeypatch):
    make_env(project)
    with (project / ".env").open("a") as file:
        file.write("TASK_MEMORY=3g\nLOG_LEVEL=WARN\n")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    settings = Settings.load()
    found = {name: (settings[name], settings.origin(name)) for name in settings.values}
    assert found["DBT_THREADS"] == ("2", "config/dev.env")
    assert found["TASK_MEMORY"] == ("3g", ".env")
    assert found["LOG_LEVEL"] == ("DEBUG", "the shell")
    assert found["SCHEMA_PREFIX"] == ("", "")
    set_value(project, "ALERT_URL")
    settings = Settings.load()
    assert (settings["ALERT_URL"], settings.origin("ALERT_URL")) == ("none", "default")


def test_all_environments_set_the_same_names_and_no_secret():
    files = {path.stem: settings_in_file(path.parent, path.name)
             for path in (PROJECT / "config").glob("*.env")}  # fmt: skip
    assert set(files) == {"dev", "test", "staging", "prod"}
    (names,) = {tuple(values) for values in files.values()}
    assert set(names) <= set(setting_files.declared_names()) - set(setting_files.required_names())
    assert not [name for name in names if setting_files.is_secret(name)]
    # Two environments on one machine never share names, and the pairs that meet share no port.
    for name in ("COMPOSE_PROJECT_NAME", "IMAGE_TAG", "STATE_DIR"):
        assert len({values[name] for values in files.values()}) == 4
    for one, other in (("dev", "test"), ("dev", "staging"), ("staging", "prod"), ("test", "prod")):
        for name in ("WAREHOUSE_PORT", "AIRFLOW_PORT", "SUPERSET_PORT"):
            assert files[one][name] != files[other][name]


@pytest.mark.parametrize("place", [".env", "config/dev.env", "the shell"])
@pytest.mark.parametrize(
    ("wrong", "right"), [("AIRFLOW_PROT", "AIRFLOW_PORT"), ("TASKS_MEMORY", "TASK_MEMORY")]
)
def test_a_misspelt_setting_is_named_with_the_nearest_name(
    project, monkeypatch, place, wrong, right
):
    make_env(project)
    if place == "the shell":
        monkeypatch.setenv(wrong, "8090")
    else:
        with (project / place).open("a") as file:
            file.write(f"{wrong}=8090\n")
    with pytest.raises(StackError, match=f"^{wrong} in {place} is no .*; did you mean {right}"):
        Settings.load()


def test_other_variables_of_the_shell_are_no_settings(project, monkeypatch):
    make_env(project)
    for name in (
        "WAREHOUSE_HOST",
        "SSL_CERT_FILE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "AIRFLOW_HOME",
        "PGPASSWORD",
    ):
        monkeypatch.setenv(name, "other")
    Settings.load()


def test_an_unknown_environment_is_named_with_the_nearest_name(project, monkeypatch):
    make_env(project)
    monkeypatch.setenv("ELT_ENV", "stagging")
    with pytest.raises(StackError, match=r"^ELT_ENV is 'stagging': .*; did you mean staging\?"):
        Settings.read()


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "SUPERSET_SECRET_KEY", "ALERT_URL"])
def test_a_secret_in_config_is_refused_and_not_shown(project, name):
    make_env(project)
    with (project / "config" / "dev.env").open("a") as file:
        file.write(f"{name}=json://only-in-the-file\n")
    with pytest.raises(StackError, match=f"^{name} in config/dev.env is a secret") as refused:
        Settings.load()
    assert "only-in-the-file" not in str(refused.value)


def test_the_table_masks_each_secret_and_shows_all_else(project, monkeypatch):
    make_env(project)
    monkeypatch.setenv("ALERT_URL", "slack://token-of-the-team")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "key-of-the-receiver")
    for name, value in SIGN_IN.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    rows = {row.split()[0]: row.split(maxsplit=1)[1] for row in settings.table().splitlines()}
    assert list(rows) == setting_files.declared_names()
    for name, value in settings.values.items():
        if not value:
            assert rows[name].strip() == "(not set)"
        elif setting_files.is_secret(name) or name == "ALERT_URL":
            assert value not in settings.table() or value in ("airflow", "admin")
            assert rows[name].startswith("********  ")
        else:
            assert rows[name].startswith(value)
    assert rows["DAG_SCHEDULE"].split("  ")[0] == "0 0 * * *"
    assert not settings["SCHEMA_PREFIX"]


@pytest.mark.parametrize("url", ['json://a"b', "json://a\\b", "json://a\nb"])
def test_an_alert_url_that_needs_escaping_in_json_is_refused(project, monkeypatch, url):
    make_env(project)
    monkeypatch.setenv("ALERT_URL", url)
    with pytest.raises(StackError, match=r"^ALERT_URL contains a quotation mark"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENLINEAGE_URL", "receiver.example:5000"),
        ("OPENLINEAGE_URL", "ftp://receiver.example"),
        ("OPENLINEAGE_URL", "https://user:key-of-the-receiver@receiver.example"),
        ("OPENLINEAGE_URL", "https://receiver.example?key=key-of-the-receiver"),
        ("OPENLINEAGE_API_KEY", "key-of-the-receiver\nX-Header: 1"),
    ],
)
def test_a_wrong_receiver_of_lineage_is_refused_and_not_shown(project, monkeypatch, name, value):
    make_env(project)
    monkeypatch.setenv(name, value)
    with pytest.raises(StackError, match=f"^{name} ") as refused:
        Settings.load()
    assert value not in str(refused.value)
    assert "key-of-the-receiver" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://localhost:5000", "https://lineage.example/receiver/"])
def test_the_key_of_a_receiver_may_be_short_outside_dev(ready, monkeypatch, url):
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "short")
    Settings.load(to_start=True)


def test_airflow_gets_no_password_of_the_superuser_or_the_reporter(project):
    make_env(project)
    settings = Settings.load()
    values = " ".join(airflow_environment(settings).values())
    assert settings["LOADER_PASSWORD"] in values
    assert settings["POSTGRES_PASSWORD"] not in values
    assert settings["REPORTER_PASSWORD"] not in values
