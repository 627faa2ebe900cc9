"""Who hears of a failure: decided by configuration, not by a DAG."""

from __future__ import annotations

import json
import logging
import os

from airflow.providers.apprise.notifications.apprise import AppriseNotifier
from airflow.sdk import Context

log = logging.getLogger(__name__)

# Set from ALERT_URL of .env: an address of any service Apprise speaks to (mail, Slack, Teams, …).
CONNECTION = "apprise_default"


def failure_notifiers() -> list[AppriseNotifier]:
    """Notifiers for a task's `on_failure_callback`; none where ALERT_URL is `none`."""
    connection = json.loads(os.environ.get(f"AIRFLOW_CONN_{CONNECTION.upper()}", "{}"))
    addresses = [each["path"] for each in connection.get("extra", {}).get("config", [])]
    if not addresses or addresses == ["none"]:
        return []
    return [
        AppriseNotifier(
            apprise_conn_id=CONNECTION,
            notify_type="failure",
            title="{{ dag.dag_id }}: {{ ti.task_id }} failed",
            body="Run {{ run_id }}, try {{ ti.try_number }}. Its log: {{ ti.log_url }}",
        )
    ]


def say_that_it_is_tried_again(context: Context) -> None:
    """A task's `on_retry_callback`: its log says that this failure is not the end."""
    ti = context["ti"]
    log.warning(
        "try %d of %d failed; the next one begins after a pause, which doubles each time",
        ti.try_number,
        ti.max_tries + 1,
    )
