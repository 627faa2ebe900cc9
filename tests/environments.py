"""Checks that a running stack behaves as its environment's file in config/ says."""

from __future__ import annotations

import re
import urllib.request

from harness import TASKS, ExpectedRows, new_file
from support import PROJECT, Stack, airflow_api, task_states

SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def read(file: str) -> dict[str, str]:
    """Return the settings in a file of the project."""
    return dict(SETTING.findall((PROJECT / file).read_text()))


def expected_settings(stack: Stack) -> dict[str, tuple[str, str]]:
    """Return the value and the origin of each setting that the stack's environment sets."""
    file = f"config/{stack.environment['ELT_ENV']}.env"
    sources = {"the shell": stack.environment, ".env": read(".env"), file: read(file)}
    return {
        name: next((source[name], key) for key, source in sources.items() if name in source)
        for name in sources[file]
    }


def shown(stack: Stack) -> dict[str, tuple[str, str]]:
    """Return the value and the origin of each setting, as `make config` prints them."""
    config = stack.make("config")
    assert config.returncode == 0, config.stdout
    rows = re.findall(r"^([A-Z][A-Z0-9_]*)  +(.*?)  +(\S.*)$", config.stdout, re.MULTILINE)
    return {name: (value, origin) for name, value, origin in rows}


def cookies(port: str, path: str) -> list[str]:
    """Return the cookies that a page sets, with their attributes."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.headers.get_all("Set-Cookie") or []


def check_settings(stack: Stack) -> None:
    """Check that `make config` shows the values of the environment's file, and no secret."""
    found, expected = shown(stack), expected_settings(stack)
    assert {name: found[name] for name in expected} == expected
    for name in stack.passwords:
        assert found[name] == ("********", "the shell")


def check_programs(stack: Stack) -> None:
    """Check that Airflow and Superset run with the settings of the environment."""
    expected = {name: value for name, (value, _) in expected_settings(stack).items()}
    airflow = airflow_api(stack.environment)
    details = airflow("/api/v2/dags/transactions_elt/details")
    schedule = None if expected["DAG_SCHEDULE"] == "none" else expected["DAG_SCHEDULE"]
    assert details["timetable_summary"] == schedule
    tasks = airflow("/api/v2/dags/transactions_elt/tasks")["tasks"]
    retries = {task["task_id"]: int(task["retries"]) for task in tasks}
    assert retries == dict(zip(TASKS, [int(expected["TASK_RETRIES"])] * 2 + [0], strict=True))
    for port, page in (("AIRFLOW_PORT", "/auth/login/"), ("SUPERSET_PORT", "/login/")):
        found = cookies(stack.environment[port], page)
        assert found, page
        secure = ["; secure" in cookie.lower() for cookie in found]
        assert secure == [expected["COOKIE_SECURE"] == "true"] * len(found), found


def check_run(stack: Stack) -> None:
    """Run the DAG on a file that is not the sample, and compare all rows and sums with the file."""
    expected = ExpectedRows()
    expected.add(new_file(stack, seed=1, rows=1000))
    trigger = stack.make("trigger", "BACKDATED=warn")
    assert dict(task_states(trigger)) == dict.fromkeys(TASKS, "success"), trigger.stdout
    assert expected.compare(stack) == (0, 0)
    expected.assert_sums(stack)
