"""Announce failed tasks on the service that ALERT_URL names."""

from __future__ import annotations

import json
import logging
import os

from airflow.providers.apprise.notifications.apprise import AppriseNotifier
from airflow.sdk import Context
from apprise import NotifyType

log = logging.getLogger(__name__)

# airflow/service.env defines this connection from ALERT_URL in .env. The URL names a service that
# Apprise supports, such as mail, Slack or Teams.
CONNECTION = "apprise_default"


def failure_notifiers() -> list[AppriseNotifier]:
    """Return the notifiers for a task's `on_failure_callback`; empty if ALERT_URL is `none`."""
    connection = json.loads(os.environ.get(f"AIRFLOW_CONN_{CONNECTION.upper()}", "{}"))
    addresses = [service["path"] for service in connection.get("extra", {}).get("config", [])]
    if not addresses or addresses == ["none"]:
        return []
    return [
        AppriseNotifier(
            apprise_conn_id=CONNECTION,
            notify_type=NotifyType.FAILURE,
            title="{{ dag.dag_id }}: {{ ti.task_id }} failed",
            body="Run {{ run_id }}, try {{ ti.try_number }}. Log: {{ ti.log_url }}",
        )
    ]


def log_retry(context: Context) -> None:
    """Log the failed try; for a task's `on_retry_callback`."""
    ti = context["ti"]
    log.warning(
        "try %d of %d failed; the next try starts after a pause, which doubles with each try",
        ti.try_number,
        ti.max_tries + 1,
    )
