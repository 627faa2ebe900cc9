"""The settings of TLS and the checks of a certificate, without an engine."""

import os
import re
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from elt_stack import docker, environments, services
from elt_stack.errors import StackError
from elt_stack.settings import PROJECT, Settings
from elt_stack.supervisor import Supervisor
from support import elt

HOST = "elt.example.com"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path, monkeypatch):
    """Set TLS, with a certificate that fits. Return the folder of its files."""
    monkeypatch.setenv("TLS", "1")
    monkeypatch.setenv("PUBLIC_HOST", HOST)
    monkeypatch.setenv("TLS_CERT_FILE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("TLS_KEY_FILE", str(tmp_path / "key.pem"))
    write(tmp_path, authority.issue_cert(HOST))
    return tmp_path


def write(folder, issued: trustme.LeafCert) -> None:
    issued.private_key_pem.write_to_path(folder / "key.pem")
    chain = [each.bytes() for each in issued.cert_chain_pems]
    (folder / "certificate.pem").write_bytes(b"".join(chain))


def refusal() -> str:
    """Return the line with which a start is refused."""
    with pytest.raises(StackError) as refused:
        Settings.load(to_start=True)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("names", [[HOST], ["*.example.com"], ["other.org", HOST.upper()]])
def test_a_certificate_that_fits_is_accepted(files, authority, names):
    write(files, authority.issue_cert(*names))
    assert Settings.load(to_start=True)["TLS"] == "1"


@pytest.mark.parametrize(
    "name", ["example.com", "*.elt.example.com", "*.com", "elt.example.org", "192.0.2.1"]
)
def test_a_certificate_of_another_host_is_refused(files, authority, name):
    write(files, authority.issue_cert(name))
    shown = "no host name" if name == "192.0.2.1" else name
    assert f"certificate.pem is for {shown}, not for PUBLIC_HOST {HOST}: correct" in refusal()


def test_the_common_name_of_a_certificate_does_not_count(files, authority):
    write(files, authority.issue_cert("other.org", common_name=HOST))
    assert "is for other.org, not for" in refusal()


def test_a_certificate_that_is_not_valid_now_is_refused(files, authority):
    past, future = NOW - timedelta(days=9), NOW + timedelta(days=9)
    write(files, authority.issue_cert(HOST, not_before=past - timedelta(days=1), not_after=past))
    assert f"certificate.pem expired on {past:%d %B %Y}: renew" in refusal()
    write(files, authority.issue_cert(HOST, not_before=future))
    assert f"is not valid before {future:%d %B %Y, %H:%M} UTC: check the clock" in refusal()


def test_a_key_of_another_certificate_is_refused(files, authority):
    authority.issue_cert(HOST).private_key_pem.write_to_path(files / "key.pem")
    assert re.search(r"key\.pem is not the key of TLS_CERT_FILE .*certificate\.pem", refusal())


def test_a_key_with_a_password_is_refused(files):
    key = load_pem_private_key((files / "key.pem").read_bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (files / "key.pem").write_bytes(content)
    assert "key.pem has a password: give Caddy a key without one" in refusal()


@pytest.mark.parametrize("name", ["TLS_CERT_FILE", "TLS_KEY_FILE", "ACME_CA_ROOT"])
@pytest.mark.parametrize("content", ["", "no PEM", None])
def test_an_unreadable_file_is_named(files, monkeypatch, name, content):
    bad = files / "bad"
    monkeypatch.setenv(name, str(bad))
    if content is None:
        assert refusal().startswith(f"{name} {bad} cannot be read (No such file or directory)")
        bad.mkdir()
        assert refusal().startswith(f"{name} {bad} cannot be read (Is a directory)")
    else:
        bad.write_text(content)
        kind = "private key" if name == "TLS_KEY_FILE" else "certificate"
        assert refusal().startswith(f"{name} {bad} contains no {kind} in PEM format")


@pytest.mark.parametrize("host", [
    "https://elt.example.com", "elt.example.com:443", "elt example", "192.0.2.1", "::1", "-a.de",
    "a_b.example.com", "elt.example.com.", "a..b", "a" * 64, "a." * 127 + "com", "{$HOME}",
])  # fmt: skip
def test_an_address_that_is_no_host_name_is_refused(files, monkeypatch, host):
    monkeypatch.setenv("PUBLIC_HOST", host)
    with pytest.raises(StackError, match=f"PUBLIC_HOST is {re.escape(repr(host))}: set it to a h"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PUBLIC_HOST", "", "PUBLIC_HOST is missing: set it in .env to the host name"),
        ("TLS_KEY_FILE", "", "TLS_CERT_FILE and TLS_KEY_FILE belong together: set both"),
        ("TLS_CERT_FILE", "", "TLS_CERT_FILE and TLS_KEY_FILE belong together: set both"),
        ("TLS", "yes", "TLS is 'yes': set it to one of 0, 1"),
        ("HTTPS_PORT", "https", "HTTPS_PORT is 'https', which is not a port"),
        ("ACME_CA", "http://ca.example.com", "ACME_CA is 'http://ca.example.com': set it to the"),
        ("PROXY_SUBNET", "198.18.0.1/24", "PROXY_SUBNET is '198.18.0.1/24': set it to an IPv4"),
        ("PROXY_SUBNET", "198.18.0.0/30", "PROXY_SUBNET is '198.18.0.0/30': set it to an IPv4"),
        ("PROXY_SUBNET", "fd00::/64", "PROXY_SUBNET is 'fd00::/64': set it to an IPv4"),
    ],
)
def test_settings_of_tls_are_checked(files, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    assert refusal().startswith(message)


@pytest.mark.parametrize("value", ["", "0"])
def test_without_tls_no_certificate_is_read(files, monkeypatch, value):
    monkeypatch.setenv("TLS", value)
    monkeypatch.setenv("TLS_CERT_FILE", "/nowhere")
    settings = Settings.load(to_start=True)
    assert settings["COOKIE_SECURE"] == "false"
    assert "docker-compose.tls.yaml" not in str(docker.compose_environment(settings))


def test_tls_makes_cookies_secure_in_every_environment(files, monkeypatch):
    monkeypatch.setenv("COOKIE_SECURE", "false")
    settings = Settings.load()
    assert settings["COOKIE_SECURE"] == "true"
    assert settings.origin("COOKIE_SECURE") == "TLS"
    assert docker.compose_environment(settings)["COOKIE_SECURE"] == "true"


@pytest.mark.parametrize(
    ("port", "public"), [("443", f"https://{HOST}"), ("8443", f"https://{HOST}:8443")]
)
def test_each_program_has_one_public_address(files, monkeypatch, port, public):
    monkeypatch.setenv("PUBLIC_HOST", HOST.upper())
    monkeypatch.setenv("HTTPS_PORT", port)
    settings = Settings.load()
    shown = services.addresses(settings)
    assert f"  Airflow    {public}/airflow   " in shown
    assert f"  Dashboard  {public}/superset/dashboard/monitoring/   " in shown
    compose = docker.compose_environment(settings)
    assert (compose["AIRFLOW_URL"], compose["SUPERSET_URL"]) == (f"{public}/airflow", public)
    airflow = environments.service_environment(settings, "airflow")
    assert airflow["AIRFLOW__API__BASE_URL"] == f"{public}/airflow"
    superset = environments.service_environment(settings, "superset")
    assert superset["SUPERSET_URL"] == public


def test_without_tls_the_addresses_are_those_of_this_machine(monkeypatch):
    settings = Settings.load()
    assert settings.urls == {
        "AIRFLOW_URL": f"http://localhost:{settings['AIRFLOW_PORT']}",
        "SUPERSET_URL": f"http://localhost:{settings['SUPERSET_PORT']}",
    }


def test_compose_gets_absolute_paths_and_the_address_of_caddy(files, monkeypatch):
    monkeypatch.setenv("PROXY_SUBNET", "198.18.7.0/24")
    monkeypatch.setenv("TLS_CERT_FILE", os.path.relpath(files / "certificate.pem", PROJECT))
    compose = docker.compose_environment(Settings.load(to_start=True))
    assert compose["COMPOSE_FILE"] == "docker-compose.yaml:docker-compose.tls.yaml"
    assert os.path.realpath(compose["TLS_CERT_FILE"]) == str(files / "certificate.pem")
    assert compose["TLS_CERT_FILE"].startswith("/")
    assert compose["PROXY_ADDRESS"] == "198.18.7.254"
    assert compose["CERTIFICATE"] == "files"


def test_a_renewed_certificate_changes_what_compose_compares(files, authority):
    before = docker.compose_environment(Settings.load())["CHECKSUM"]
    assert docker.compose_environment(Settings.load())["CHECKSUM"] == before
    write(files, authority.issue_cert(HOST))
    assert docker.compose_environment(Settings.load())["CHECKSUM"] != before


def test_a_stack_with_invalid_settings_can_be_stopped(files, monkeypatch):
    """`make down` sets TLS, whether the stack has it or not."""
    monkeypatch.setenv("PROXY_SUBNET", "nonsense")
    monkeypatch.setenv("TLS_CERT_FILE", "/nowhere")
    compose = docker.compose_environment(Settings.read())
    assert compose["COMPOSE_FILE"].endswith(":docker-compose.tls.yaml")


def test_tls_is_added_to_the_files_of_the_shell(files, monkeypatch):
    """`make up DEV=1 TLS=1` uses three files."""
    monkeypatch.setenv("COMPOSE_FILE", "docker-compose.yaml:docker-compose.dev.yaml")
    compose = docker.compose_environment(Settings.load())
    assert compose["COMPOSE_FILE"] == (
        "docker-compose.yaml:docker-compose.dev.yaml:docker-compose.tls.yaml"
    )


def test_tls_needs_docker(files, monkeypatch, tmp_path):
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    with pytest.raises(StackError, match=r"^TLS needs Docker: start the stack with `make up`, or"):
        Supervisor(Settings.load()).start_postgres()
    assert not (tmp_path / "state").exists()
    assert elt("up").output.count("\n") == 1
