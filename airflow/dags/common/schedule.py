"""The schedule of transactions_elt."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import CronTriggerTimetable


def schedule() -> CronTriggerTimetable | None:
    """Return the timetable of the setting DAG_SCHEDULE, in UTC; None if people trigger each run.

    The first scheduled run waits for the next point in time of the schedule.
    """
    expression = os.environ["DAG_SCHEDULE"]
    if expression == "none":
        return None
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))
