"""Send messages about problems to the service that ALERT_URL names.

After each task, a callback compares the problems with those that were reported before. It sends one
message per kind of problem when a problem is new, has changed or has ended, and as a reminder.
After a run that a person has triggered, it reports all problems, because that person waits for
them.

Airflow's variables `alert_<kind>` keep the reported problems across restarts. A variable is written
only after the service has accepted the message, so the next run repeats a lost message.

A callback never fails a task. It lasts at most NUMBERS_LIMIT + SENDING_LIMIT seconds, whatever the
warehouse and the service do.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseHook, Context, TaskInstanceState, Variable

from common.findings import FINDERS, Ended, Finding, look, many, without_numbers

log = logging.getLogger(__name__)

# airflow/service.env defines this connection from ALERT_URL in .env. The URL names a service that
# Apprise supports, such as mail, Slack or Teams.
CONNECTION = "apprise_default"
WAREHOUSE = "warehouse_transformer"
# Limits in seconds. Airflow ends a callback of a successful task after 20 s.
NUMBERS_LIMIT = 6
SENDING_LIMIT = 10
LONGEST_LINE = 400
MOST_LINES = 10


@dataclass(frozen=True)
class Message:
    """A message, and what is told once the service has accepted it."""

    type: str
    title: str
    lines: list[str]
    told: dict[str, Any]


def alert_callbacks() -> dict[str, Callable[[Context], None]]:
    """Return the callbacks of a task; none if ALERT_URL is `none`."""
    if not alerts_are_on():
        return {}
    return {"on_failure_callback": tell_changes, "on_success_callback": tell_changes}


def alerts_are_on() -> bool:
    """Return whether ALERT_URL names a service."""
    connection = json.loads(os.environ.get(f"AIRFLOW_CONN_{CONNECTION.upper()}", "{}"))
    addresses = [service["path"] for service in connection.get("extra", {}).get("config", [])]
    return any(address != "none" for address in addresses)


def log_retry(context: Context) -> None:
    """Log the failed try; for a task's `on_retry_callback`."""
    ti = context["ti"]
    log.warning(
        "try %d of %d failed; the next try starts after a pause, which doubles with each try",
        ti.try_number,
        ti.max_tries + 1,
    )


def tell_changes(context: Context) -> None:
    """Tell what the end of the task has changed; for its callbacks."""
    ended, ti = end_of(context), context["ti"]
    kinds = FINDERS[ended.task_id]
    told = {kind: Variable.get(f"alert_{kind}", {}, deserialize_json=True) for kind in kinds}
    known = {kind: told[kind].get("problems", {}).keys() for kind in kinds}
    warehouse, service = BaseHook.get_connection(WAREHOUSE), BaseHook.get_connection(CONNECTION)
    try:
        found = within(NUMBERS_LIMIT, lambda: look(warehouse, ended, known))
    except Exception as error:
        log.warning("the warehouse has no numbers for an alert: %s", error)
        found = without_numbers(ended, error)
    compared = {
        kind: compare(finding, told[kind], datetime.now(UTC), reminder(context))
        for kind, finding in found.items()
    }
    messages = {kind: message for kind, message in compared.items() if message}
    prefix = f"[{os.environ.get('ELT_ENV', 'dev')}] {ti.dag_id}: "
    delivered: list[str] = []

    def send_all() -> None:
        for kind, message in messages.items():
            lines = [*message.lines, f"Run: {ti.log_url}"]
            send(service, message.type, prefix + message.title, lines)
            delivered.append(kind)

    try:
        within(SENDING_LIMIT, send_all)
    except Exception as error:
        log.warning("an alert was not sent, the next run tries again: %s", error)
    for kind in delivered:
        Variable.set(f"alert_{kind}", messages[kind].told, serialize_json=True)


def end_of(context: Context) -> Ended:
    """Return the end of the task that called back."""
    ti, params, run = context["ti"], context.get("params") or {}, context.get("dag_run")
    # The DAG processor calls back, without a state and an error, if the task's process died.
    failed = getattr(ti, "state", None) != TaskInstanceState.SUCCESS
    reason = str(context.get("exception") or "the process of the task died") if failed else ""
    return Ended(
        ti.task_id,
        " ".join(reason.split()),
        (run and run.start_date) or ti.start_date or datetime.now(UTC),
        bool(params.get("file") or params.get("source")),
    )


def reminder(context: Context) -> timedelta | None:
    """Return how long a problem stays the same before it is told again; None for ever."""
    run = context.get("dag_run")
    if run and run.run_type == "manual":
        return timedelta()
    days = int(os.environ.get("ALERT_REMINDER_DAYS") or 7)
    return timedelta(days=days) if days else None


def compare(
    finding: Finding, told: dict[str, Any], now: datetime, remind: timedelta | None
) -> Message | None:
    """Return the message about the difference between what is and what was told.

    Args:
        finding: What is.
        told: The state as the last message has left it: `problems` by key, each with its `fact` and
            the time `since` when it is told, and the time `at` of the message.
        now: The time of the new message.
        remind: How long a problem stays the same before it is told again; None for ever.
    """
    before, stamp = told.get("problems", {}), now.isoformat(timespec="minutes")
    new = {
        key
        for key, problem in finding.problems.items()
        if before.get(key, {}).get("fact") != problem.fact
    }
    solved = [key for key in before if key in finding.solved]
    is_due = remind is not None and "at" in told and age(told["at"], now) >= remind
    if not (new or solved or (finding.problems and is_due)):
        return None
    problems = {key: value for key, value in before.items() if key not in solved}
    lines = []
    for key, problem in finding.problems.items():
        since = before.get(key, {}).get("since", stamp)
        problems[key] = {"fact": problem.fact, "since": since}
        lines.append(problem.line if key not in before else f"{problem.line} (since {day(since)})")
    lines = shorten(lines)
    for key in solved:
        lines.append(f"Fine again: {key}, after {words(age(before[key]['since'], now))}.")
    others = [key for key in problems if key not in finding.problems]
    if others:
        lines.append(f"Still open from earlier runs: {', '.join(others)}.")
    new_state = {"problems": problems, "at": stamp}
    if finding.problems:
        return Message("failure", finding.title, [*lines, *finding.notes], new_state)
    title = finding.fine if not others else f"fine again: {', '.join(solved)}"
    return Message("success", title, lines, new_state)


def shorten(lines: list[str]) -> list[str]:
    """Return the lines, cut to a length that every service accepts."""
    cut = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines]
    rest = len(cut) - MOST_LINES
    return cut if rest <= 0 else [*cut[:MOST_LINES], f"… and {rest} more"]


def day(stamp: str) -> str:
    """Return a stored time for people."""
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M} UTC"


def age(stamp: str, now: datetime) -> timedelta:
    """Return the time from a stored time to now."""
    return now - datetime.fromisoformat(stamp)


def words(duration: timedelta) -> str:
    """Return a duration for people."""
    hours = duration.total_seconds() / 3600
    if hours < 2:
        return many(max(1, round(hours * 60)), "minute")
    return many(round(hours), "hour") if hours < 48 else many(round(hours / 24), "day")


def within(seconds: float, function: Callable[[], Any]) -> Any:
    """Return the function's result.

    The function runs in a thread that is left alone when the time is up. Unlike the timeouts of
    sockets, this also limits slow answers and the resolution of names.

    Raises:
        TimeoutError: The time is up.
        Exception: The function raised it.
    """
    results: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((function(), None))
        except Exception as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds} s") from None
    if error is not None:
        raise error
    return result


class Muted(logging.Filter):
    """A filter that keeps the lines of a log for itself. They may name an address with tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the line, and let no handler see it."""
        self.lines.append(record.getMessage())
        return False


def send(connection: Any, kind: str, title: str, lines: list[str]) -> None:
    """Send a message through Apprise.

    Raises:
        ConnectionError: The service did not accept the message.
    """
    # Each parse of the DAG imports this module. Only a message needs Apprise, which takes long.
    from airflow.providers.apprise.hooks.apprise import AppriseHook
    from apprise import Apprise, NotifyFormat, NotifyType

    service, muted = Apprise(), Muted()
    # At the level DEBUG, urllib3 logs the path of the address, which may be a token.
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3.connectionpool")]
    for logger in loggers:
        logger.addFilter(muted)
    try:
        AppriseHook(CONNECTION).set_config_from_conn(connection, service)
        accepted = service.notify(
            body="\n".join(lines),
            title=title,
            notify_type=NotifyType(kind),
            body_format=NotifyFormat.TEXT,
        )
    finally:
        for logger in loggers:
            logger.removeFilter(muted)
    if not service:
        raise ConnectionError("ALERT_URL is no address that Apprise knows")
    if not accepted:
        status = re.search(r"error=(\d+)", "\n".join(muted.lines))
        answer = f"answered with status {status[1]}" if status else "did not accept the message"
        raise ConnectionError(f"the service of ALERT_URL {answer}")
