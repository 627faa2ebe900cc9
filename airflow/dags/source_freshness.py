"""The DAG that tells late loads. It exists only if ALERT_URL names a service."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from common.alerts import alert_callbacks, alerts_are_on
from common.component import component_task

DOCS = """
### Source freshness

Checks every hour when each source was loaded last, and tells people once if it is late. This DAG
is independent of `transactions_elt`, so it also notices that no run happens: because the DAG is
paused, or because a run hangs. It exists only if `ALERT_URL` is set.

`dbt source freshness` compares the time of the last load in `raw._loads` with the limits in
`dbt/models/staging/_sources.yml`. For `transactions`, a load is late after 36 hours, and the task
fails after 3 days. The table `audit.source_freshness` holds the newest outcome.

**When the task fails**, a source is late: look whether the bank has sent its file, and whether
`transactions_elt` has loaded it.
"""

if alerts_are_on():
    with DAG(
        "source_freshness",
        description="Tells when no new file was loaded for too long",
        doc_md=DOCS,
        schedule=CronTriggerTimetable("30 * * * *", timezone="UTC", run_immediately=timedelta(0)),
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": "data-engineering",
            "execution_timeout": timedelta(minutes=10),
            **alert_callbacks(),
        },
        tags=["elt", "alerts"],
    ):
        component_task(
            "check_source_freshness",
            component="dbt",
            arguments=["source", "freshness"],
            connection="warehouse_transformer",
        )
