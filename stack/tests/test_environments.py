"""The environments of the components: declared once, for Docker and for plain processes."""

import configparser
import re

import pytest
import yaml
from dotenv import dotenv_values

from elt_stack.environments import (
    airflow_environment,
    service_environment,
    superset_environment,
)
from elt_stack.setting_files import PROJECT, SHORTEST_KEY, declared_names, is_secret
from elt_stack.settings import Settings
from elt_stack.supervisor import API_SERVER_ONLY

COMPONENTS = ("airflow", "superset", "data_ingestion", "dbt")


@pytest.fixture
def settings() -> Settings:
    """Return settings in which each value can be recognised."""
    values = dict.fromkeys(declared_names(), "")
    ports = {"WAREHOUSE_PORT": "15432", "AIRFLOW_PORT": "18080", "SUPERSET_PORT": "18088"}
    others = {"ELT_ENV": "test", "STATE_DIR": "state", "DATA_DIR": "data"}
    others |= {"ALERT_URL": "json://localhost"}
    return Settings({name: f"the-{name}" for name in values} | ports | others)


@pytest.mark.parametrize("component", COMPONENTS)
def test_both_runtimes_have_the_variables_of_service_env(settings, component):
    declared = set(dotenv_values(PROJECT / component / "service.env"))
    assert len(declared) >= 5
    assert declared <= service_environment(settings, component).keys()
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    image = f"elt/{component.replace('_', '-')}:"
    services = {
        name: service
        for name, service in compose["services"].items()
        if service["image"].startswith(image)
    }
    assert services
    for name, service in services.items():
        assert service["env_file"] == f"{component}/service.env", name
        assert not declared & service.get("environment", {}).keys(), f"{name} declares it again"


@pytest.mark.parametrize("component", COMPONENTS)
def test_processes_get_loopback_addresses_and_the_values_of_env(settings, component):
    environment = service_environment(settings, component)
    text = "\n".join(
        environment[name] for name in dotenv_values(PROJECT / component / "service.env")
    )
    assert "${" not in text
    assert not re.search(r"\b(warehouse|metadata|airflow-apiserver):\d", text)
    if component != "airflow":
        assert environment["PGHOST"] == "127.0.0.1"
        assert environment["PGPORT"] == "15432"


def test_each_secret_reaches_only_the_components_that_need_it(settings):
    airflow = " ".join(airflow_environment(settings).values())
    superset = " ".join(superset_environment(settings).values())
    loader = " ".join(service_environment(settings, "data_ingestion").values())
    dbt = " ".join(service_environment(settings, "dbt").values())
    found = {
        name: {
            component
            for component, values in (
                *(("airflow", airflow), ("superset", superset)),
                *(("data_ingestion", loader), ("dbt", dbt)),
            )
            if settings[name] in values
        }
        for name in filter(is_secret, settings.values)
    }
    assert {name: components for name, components in found.items() if components} == {
        "LOADER_PASSWORD": {"airflow", "data_ingestion"},
        "TRANSFORMER_PASSWORD": {"airflow", "dbt"},
        "REPORTER_PASSWORD": {"superset"},
        "AIRFLOW_DB_PASSWORD": {"airflow"},
        "AIRFLOW__API__SECRET_KEY": {"airflow"},
        "AIRFLOW__API_AUTH__JWT_SECRET": {"airflow"},
        "AIRFLOW__CORE__FERNET_KEY": {"airflow"},
        "SUPERSET_ADMIN_PASSWORD": {"superset"},
        "SUPERSET_DB_PASSWORD": {"superset"},
        "SUPERSET_SECRET_KEY": {"superset"},
        "OPENLINEAGE_API_KEY": {"airflow", "data_ingestion", "dbt"},
        # Airflow's api-server gets it too: see the next test.
        "OIDC_CLIENT_SECRET": {"superset"},
    }


@pytest.mark.parametrize("name", ["OIDC_CLIENT_SECRET", "AIRFLOW_METRICS_PASSWORD"])
def test_of_airflows_services_only_the_api_server_gets_its_secrets(name):
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    having = {service for service, each in compose.items() if name in each.get("environment", {})}
    assert having == {"airflow-apiserver"}
    assert name in API_SERVER_ONLY
    programs = configparser.RawConfigParser()
    programs.read(PROJECT / "stack" / "supervisord.conf")
    beginnings = {
        each: programs[each]["command"].split()[0]
        for each in programs.sections()
        if each.startswith("program:airflow-")
    }
    assert beginnings.pop("program:airflow-api-server") == "%(ENV_AS_API_SERVER)s"
    assert set(beginnings.values()) == {"%(ENV_AS_AIRFLOW)s"}


def test_superset_gets_the_length_that_elt_checks(settings):
    assert superset_environment(settings)["SHORTEST_KEY"] == str(SHORTEST_KEY) == "32"
