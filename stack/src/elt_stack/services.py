"""The services of a stack: Airflow and Superset, their addresses, and the run of the DAG."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests

from elt_stack import docker, tls
from elt_stack.airflow_api import Airflow
from elt_stack.errors import StackError
from elt_stack.ports import loopback_session
from elt_stack.setting_files import WELL_KNOWN
from elt_stack.settings import Settings
from elt_stack.supervisor import Supervisor

LONGEST_WAIT_FOR_ACME = 90  # seconds; after a failure, Caddy waits for a minute
DAG = "transactions_elt"
DASHBOARD = "/superset/dashboard/monitoring/"


def airflow_client(settings: Settings) -> Airflow:
    """Return a client of the stack's Airflow."""
    address = f"http://127.0.0.1:{settings['AIRFLOW_PORT']}"
    return Airflow(address, settings["AIRFLOW__API_AUTH__JWT_SECRET"])


def run_dag(settings: Settings, **params: object) -> dict[str, dict[str, Any]]:
    """Trigger the DAG, and print each task when it ends.

    Args:
        settings: the settings of the stack.
        **params: the fields of the trigger form.

    Returns:
        The task instances of the run by task id.
    """
    airflow = airflow_client(settings)
    run_id = airflow.trigger(DAG, **params)
    print(f"run {run_id}", flush=True)
    tasks = {}
    for task in airflow.watch(DAG, run_id):
        tasks[task["task_id"]] = task
        mark = "✓" if task["state"] == "success" else "✗"
        duration = f"{task['duration'] or 0:6.1f} s"
        print(f"  {mark} {task['task_id']:<26}{task['state']:<10}{duration}", flush=True)
    return tasks


def start(settings: Settings) -> None:
    """Start the stack's processes, and return when Airflow can run the DAG.

    Raises:
        StackError: a process did not start.
    """
    airflow, supervisor, began = airflow_client(settings), Supervisor(settings), time.monotonic()
    if supervisor.is_running() and airflow.is_healthy():
        return
    supervisor.check_tls()
    print("starting Postgres, Airflow and Superset …", flush=True)
    supervisor.up(airflow.answers)
    supervisor.wait_for("airflow-scheduler", lambda: airflow.is_healthy() and airflow.has_dag(DAG))
    print(f"Airflow is ready after {time.monotonic() - began:.0f} s", flush=True)


def superset_answers(settings: Settings) -> bool:
    """Return whether Superset answers. It does so once its dashboard is imported."""
    address = f"http://127.0.0.1:{settings['SUPERSET_PORT']}/health"
    try:
        return loopback_session().get(address, timeout=10).ok
    except requests.RequestException:
        return False


def wait_for_superset(settings: Settings) -> None:
    """Wait until the dashboard is available.

    Raises:
        StackError: Superset did not start.
    """
    Supervisor(settings).wait_for("superset", lambda: superset_answers(settings))


def wait_for_caddy(settings: Settings) -> None:
    """Wait until Caddy has a certificate for PUBLIC_HOST, which takes ACME some seconds.

    Raises:
        StackError: Caddy got none. The message contains Caddy's last error.
    """
    deadline = time.monotonic() + LONGEST_WAIT_FOR_ACME
    while not tls.is_served(settings):
        if time.monotonic() > deadline:
            raise StackError(
                f"Caddy has no certificate for {settings['PUBLIC_HOST']} yet: "
                f"{docker.last_error_of_caddy(settings)} (the stack runs, and Caddy tries again)"
            )
        time.sleep(0.5)


def addresses(settings: Settings) -> str:
    """Return the addresses and logins of the stack, as lines to print."""
    dashboard = settings.urls["SUPERSET_URL"] + DASHBOARD
    return "\n".join(
        [
            f"  Airflow    {settings.urls['AIRFLOW_URL']}   {_login(settings, 'AIRFLOW')}",
            f"  Warehouse  localhost:{settings['WAREHOUSE_PORT']}/warehouse   make psql",
            f"  Dashboard  {dashboard}   {_login(settings, 'SUPERSET')}",
        ]
    )


def _login(settings: Settings, program: str) -> str:
    """Return how to log in, with the password only if it is well known and allowed."""
    if settings["OIDC_ISSUER"]:
        return f"sign in with {urlsplit(settings['OIDC_ISSUER']).netloc}"
    password = settings[f"{program}_ADMIN_PASSWORD"]
    if settings["ALLOW_DEMO_LOGINS"] != "true" or password not in WELL_KNOWN:
        password = f"({program}_ADMIN_PASSWORD in .env)"
    return f"{settings[f'{program}_ADMIN_USER']} / {password}"
