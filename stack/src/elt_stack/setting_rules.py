"""The rules that the settings obey. Each function yields the rules that are broken, as messages.

A message is one line that names the setting and the remedy. It never contains a secret.
"""

from __future__ import annotations

import difflib
import filecmp
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from elt_stack.setting_files import (
    PROJECT,
    WELL_KNOWN,
    declared_names,
    environment_file,
    is_private,
    is_secret,
    read_file,
    required_names,
    shortest_secret,
)

if TYPE_CHECKING:
    from elt_stack.settings import Settings

SAMPLE = PROJECT / "data_ingestion" / "data" / "transactions_data.csv"
# Settings that have one of a few values.
BOOLEAN = ("true", "false")
SEVERITY = ("error", "warn")
CHOICES = {
    "LOADER_DUPLICATES": ("drop", "keep"),
    "BACKDATED_TRANSACTIONS": SEVERITY,
    "UNRECONCILED_BALANCES": SEVERITY,
    "LOG_LEVEL": ("DEBUG", "INFO", "WARN", "ERROR"),
    "TLS": ("0", "1"),
    "COOKIE_SECURE": BOOLEAN,
    "ALLOW_DEMO_LOGINS": BOOLEAN,
    "ALLOW_SAMPLE": BOOLEAN,
    "REQUIRE_ALERTS": BOOLEAN,
}
# The sign-in with OpenID Connect needs these settings, and one of the lists of groups.
OIDC = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")
OIDC_GROUPS = ("OIDC_ADMIN_GROUPS", "OIDC_EDITOR_GROUPS", "OIDC_VIEWER_GROUPS")
# Settings whose values have a form: the form as a regular expression, and in words.
NUMBER = (r"[0-9]+", "a whole number of 0 or more")
GROUPS = (r".*[^, ].*", "names of groups, separated by commas")
MEMORY = (r"[1-9][0-9]*[kmg]", "a whole number with the unit k, m or g, such as 2g")
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # of a host name
FORMS = {
    # The last label begins with a letter, so that no address is a host name.
    "PUBLIC_HOST": (
        rf"(?i)(?=.{{1,253}}$)(?:{LABEL}\.)*(?=[a-z]){LABEL}",
        "a host name, such as elt.example.com",
    ),
    "ACME_CA": (r"https://\S+", "the address of a CA's directory, which begins with https://"),
    "LOADER_MAX_REJECTS": NUMBER,
    "TASK_RETRIES": NUMBER,
    "DBT_THREADS": (r"[1-9][0-9]?", "a whole number from 1 to 99"),
    "TASK_MEMORY": MEMORY,
    "WAREHOUSE_MEMORY": MEMORY,
    "COMPOSE_PROJECT_NAME": (r"[a-z0-9][a-z0-9_-]*", "a name of a-z, 0-9, - and _"),
    # Programs that the DAG starts get it as a part of NAMESPACE/JOB/RUN.
    "OPENLINEAGE_NAMESPACE": (r"[A-Za-z0-9._:-]+", "a name of letters, digits and . _ : -"),
    "ALERT_REMINDER_DAYS": NUMBER,
    "OTEL_EXPORTER_OTLP_ENDPOINT": (r"https?://[^\s/@]+(/\S*)?", "an address of http or https"),
    "OIDC_ISSUER": (
        r"https://[^\s?#@]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/[^\s?#]*)?",
        "the provider's issuer, an address that begins with https:// and has no ? and no #",
    ),
    **dict.fromkeys(OIDC_GROUPS, GROUPS),
    "OIDC_SCOPES": (r"(.* )?openid( .*)?", "scopes, separated by blanks, with openid among them"),
    "OIDC_SESSION_MINUTES": (r"[1-9][0-9]{0,3}", "a whole number from 1 to 9999"),
    "SCHEMA_PREFIX": (
        r"[a-z][a-z0-9_]{0,30}_",
        "a name of a-z, 0-9 and _ that ends in _, as alice_",
    ),
}
# Passwords are written unescaped into .env files, database addresses and JSON. These characters
# need no escaping in any of the three. "=" is one, because secrets of `make env` end in it.
PASSWORD = re.compile(r"[A-Za-z0-9._~=-]+")
RECEIVER = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
API_KEY = re.compile(r"[A-Za-z0-9._~+/=-]+")  # what RFC 6750 allows in an HTTP header
# A variable of the shell that is this similar to a setting is a misspelt setting. The limit is
# high, because the shell has many other variables, such as WAREHOUSE_HOST.
MISSPELT = 0.9
OTHER_PROGRAMS = ("AIRFLOW__", "COMPOSE_", "DOCKER_", "OTEL_")  # their variables may look similar


def nearest(name: str, names: Iterable[str], similarity: float = 0.6) -> str:
    """Return the end of a message: the name that a misspelt one probably stands for, if any."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=similarity)
    return f"; did you mean {found[0]}?" if found else ""


def invalid_settings(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with the settings in every environment."""
    yield from _unknown_names(settings)
    yield from _secrets_in_config(settings)
    yield from _missing_values(settings)
    yield from _incomplete_sign_in(settings)
    for name, value in settings.values.items():
        if value:
            yield from _invalid_value(name, value)
    if settings["TLS"]:
        yield from _incomplete_tls(settings)


def unmet_needs(settings: Settings) -> Iterator[str]:
    """Yield what is missing for a start in the environment of the settings."""
    environment = f"ELT_ENV={settings['ELT_ENV']}"
    if settings["ALLOW_DEMO_LOGINS"] != "true":
        for name in filter(is_secret, settings.values):
            value, length = settings[name], shortest_secret(name)
            if value and (value.lower() in WELL_KNOWN or len(value) < length):
                yield (
                    f"{name} is a default or too short for {environment}: "
                    f"choose one of at least {length} characters in .env"
                )
    if settings["ALLOW_SAMPLE"] != "true":
        copy = settings.data_dir / SAMPLE.name
        if copy.is_file() and filecmp.cmp(copy, SAMPLE, shallow=False):
            yield (
                f"DATA_DIR is {settings.data_dir}, which contains the sample, and {environment} is "
                "for the bank's files only: set DATA_DIR in .env to another folder"
            )
    if settings["REQUIRE_ALERTS"] == "true" and settings["ALERT_URL"] == "none":
        yield (
            f"ALERT_URL is none, and {environment} needs somebody who hears of failures: set it "
            "in .env"
        )
    if settings["TLS"] and not any(_incomplete_tls(settings)):
        from elt_stack import certificate  # only here, because it takes 0.1 s

        yield from certificate.problems(settings)


def _incomplete_tls(settings: Settings) -> Iterator[str]:
    if not settings["PUBLIC_HOST"]:
        yield "PUBLIC_HOST is missing: set it in .env to the host name that users type"
    if bool(settings["TLS_CERT_FILE"]) != bool(settings["TLS_KEY_FILE"]):
        yield "TLS_CERT_FILE and TLS_KEY_FILE belong together: set both, or none for ACME"


def _unknown_names(settings: Settings) -> Iterator[str]:
    names = declared_names()
    for file, values in settings.files.items():
        for name in values.keys() - set(names):
            yield f"{name} in {file} is no setting: correct or remove it{nearest(name, names)}"
    for name in os.environ.keys() - set(names):
        if name.startswith(OTHER_PROGRAMS):
            continue
        if meant := nearest(name, names, MISSPELT):
            yield f"{name} in the shell is no setting: correct or unset it{meant}"


def _secrets_in_config(settings: Settings) -> Iterator[str]:
    for file, values in settings.files.items():
        if file != ".env":
            for name in filter(is_private, values):
                yield f"{name} in {file} is a secret, and Git would publish it: move it to .env"


def _missing_values(settings: Settings) -> Iterator[str]:
    missing = [name for name in required_names() if not settings[name]]
    if missing:
        yield f"{', '.join(missing)} missing in .env: run `make env`, which adds it"
    if not settings["ELT_ENV"]:
        return
    for name in read_file(environment_file("dev")):  # all environments set the same names
        if not settings.values.get(name, "unknown"):
            file = f"config/{settings['ELT_ENV']}.env"
            yield f"{name} missing in {file}: add it, as in config/dev.env"


def _incomplete_sign_in(settings: Settings) -> Iterator[str]:
    if not any(value for name, value in settings.values.items() if name.startswith("OIDC_")):
        return
    missing = [name for name in OIDC if not settings[name]]
    if not any(settings[name] for name in OIDC_GROUPS):
        missing.append(f"one of {', '.join(OIDC_GROUPS)}")
    if missing:
        yield (
            f"the sign-in with OpenID Connect also needs {' and '.join(missing)}: set it in .env, "
            "or remove all settings that begin with OIDC_"
        )


def _invalid_value(name: str, value: str) -> Iterator[str]:
    """Yield what is wrong with a setting that has a value."""
    if name in CHOICES and value not in CHOICES[name]:
        yield f"{name} is {value!r}: set it to one of {', '.join(CHOICES[name])}"
    if name in FORMS and not re.fullmatch(FORMS[name][0], value):
        yield f"{name} is {value!r}: set it to {FORMS[name][1]}"
    if name.endswith("_PORT") and not (value.isdecimal() and 0 < int(value) < 65536):
        yield f"{name} is {value!r}, which is not a port: correct it in .env"
    if name.endswith("_PASSWORD") and not PASSWORD.fullmatch(value):
        yield (
            f"{name} may contain only letters (A-Z, a-z), digits and - . _ ~ =, which need no "
            "escaping in files and addresses: choose another one in .env"
        )
    if name == "PROXY_SUBNET" and not _is_subnet(value):
        yield (
            f"PROXY_SUBNET is {value!r}: set it to an IPv4 network of 8 or more addresses, such as "
            "198.18.1.0/24"
        )
    if name == "ALERT_URL" and re.search(r'["\\\x00-\x1f]', value):
        yield (
            "ALERT_URL contains a quotation mark, a backslash or a control character: "
            "percent-encode it (%22, %5C)"
        )
    if name == "OPENLINEAGE_URL" and not RECEIVER.fullmatch(value):
        yield (
            "OPENLINEAGE_URL is not an address such as http://localhost:5000: correct it, and put "
            "a login or a key into OPENLINEAGE_API_KEY"
        )
    if name == "OPENLINEAGE_API_KEY" and not API_KEY.fullmatch(value):
        yield "OPENLINEAGE_API_KEY may contain only letters, digits and - . _ ~ + / =: correct it"
    if name == "AIRFLOW_ADMIN_USER" and value == "elt-commands":
        yield "AIRFLOW_ADMIN_USER is the account of the command elt: choose another name in .env"
    if name == "DAG_SCHEDULE" and value != "none" and not _is_cron(value):
        yield (
            f"DAG_SCHEDULE is {value!r}: set it to a cron expression such as '0 6 * * *', or none"
        )


def _is_subnet(value: str) -> bool:
    """Return whether a value is an IPv4 network with room for three services and a gateway."""
    try:
        return ipaddress.IPv4Network(value).num_addresses >= 8
    except ValueError:
        return False


def _is_cron(value: str) -> bool:
    """Return whether a value is a cron expression of five fields, as Airflow reads it."""
    from croniter import croniter  # only here, because `make down` and `make ps` check no value

    return len(value.split()) == 5 and bool(croniter.is_valid(value))
