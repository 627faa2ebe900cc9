"""What a task's end says about the state of the data, with numbers from the warehouse.

Each function of FINDERS looks at one kind of problem. The queries read only, and they are cheap:
the load log, the history of test results, and the breaks that the last run has stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from warehouse import connect

# The key of a problem that concerns a whole task, because the warehouse has no detail of it.
TASK = "the task"
BALANCES = "balances_reconcile"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        line: The line of the message, with numbers.
        fact: What makes the problem a different one if it changes. Unlike `line`, it must not
            contain ages.
    """

    line: str
    fact: str


@dataclass(frozen=True)
class Finding:
    """The outcome of a task for one kind of problem.

    Attributes:
        title: The title of a message about `problems`.
        fine: The title of a message that nothing is wrong any more.
        problems: What is wrong, by a key that is the same in later runs.
        solved: The keys of earlier problems that this run has shown to be solved. A key in neither
            `problems` nor `solved` was not looked at.
        notes: More lines for the message.
    """

    title: str
    fine: str
    problems: Mapping[str, Problem] = field(default_factory=dict)
    solved: Collection[str] = ()
    notes: Collection[str] = ()


@dataclass(frozen=True)
class Ended:
    """The end of a task.

    Attributes:
        task_id: Name of the task.
        reason: The error of the task; empty if it succeeded.
        began: When the run began.
        is_partial: Whether the run was limited to a file or a source.
    """

    task_id: str
    reason: str
    began: datetime
    is_partial: bool


# Rows of the warehouse as named tuples, given a query and its parameters.
Query = Callable[..., list[Any]]
Finder = Callable[[Ended, Collection[str], Query], Finding]


def look(connection: Any, ended: Ended, known: Mapping[str, Collection[str]]) -> dict[str, Finding]:
    """Return the findings of a task's end by kind.

    Args:
        connection: Airflow's connection to the warehouse.
        ended: The end of the task.
        known: By kind, the keys of the problems that were told and are not known to be solved.

    Raises:
        psycopg2.Error: The warehouse does not answer in time, or lacks a table.
    """
    with closing(connect(connection)) as session, session.cursor() as cursor:

        def query(statement: str, *parameters: object) -> list[Any]:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

        return {
            kind: finder(ended, known[kind], query)
            for kind, finder in FINDERS[ended.task_id].items()
        }


def without_numbers(ended: Ended, error: Exception) -> dict[str, Finding]:
    """Return the findings if the warehouse does not tell more: none, unless the task failed."""
    if not ended.reason:
        return {}
    kind = next(iter(FINDERS[ended.task_id]))
    note = f"This message has no numbers of the warehouse: {' '.join(str(error).split())}"
    return {kind: task_failed(ended, [note])}


def task_failed(ended: Ended, notes: Collection[str] = ()) -> Finding:
    """Return the finding of a task that failed without a detail in the warehouse."""
    problem = Problem(ended.reason, ended.reason)
    return Finding(f"{ended.task_id} failed", "", {TASK: problem}, notes=notes)


def many(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def load(ended: Ended, known: Collection[str], query: Query) -> Finding:
    """Look at the files that the run tried to load."""
    loads = query(
        "select distinct on (table_name, source_file) * from raw._loads where finished_at >= %s"
        " order by table_name, source_file, load_id desc",
        ended.began,
    )
    problems = {
        each.source_file: Problem(
            f"{each.source_file}: {each.error.rstrip('.')}. None of its rows were loaded"
            f" ({many(each.rows_read, 'row')} read, {each.rows_rejected:,} rejected).",
            each.error,
        )
        for each in loads
        if each.status == "failed"
    }
    loaded = [each for each in loads if each.status == "loaded"]
    rows = sum(each.rows_loaded for each in loaded)
    note = f"This run has loaded {many(len(loaded), 'other file')}, with {many(rows, 'new row')}."
    if not loaded:
        note = "This run has loaded no other file."
    if ended.reason and not problems:
        return task_failed(ended, [note])
    if ended.is_partial:  # the run says nothing about the other files
        newest = query(
            "select distinct on (source_file) source_file, status from raw._loads"
            " where source_file = any(%s) order by source_file, finished_at desc",
            list(known),
        )
        solved = {each.source_file for each in newest if each.status == "loaded"} | {TASK}
    else:
        solved = set(known) - problems.keys()
    return Finding(
        f"{ended.task_id} failed: {many(len(problems), 'bad file')}",
        "all files are loaded again",
        problems,
        solved,
        [note],
    )


def transform(ended: Ended, known: Collection[str], query: Query) -> Finding:  # noqa: ARG001
    """Look at the task itself: a failed model leaves nothing in the warehouse."""
    if ended.reason:
        return task_failed(ended)
    return Finding("", f"{ended.task_id} succeeds again", solved=known)


def tests(ended: Ended, known: Collection[str], query: Query) -> Finding:
    """Look at the results of the tests, apart from that of the balances."""
    results = newest_results(ended, query)
    failed = [each for each in results if each.status in ("fail", "error")]
    if ended.reason and not failed:
        return task_failed(ended)
    passed = {each.test_name for each in results if each.status == "pass"}
    gone = set(known) - {each.test_name for each in results}
    problems = {
        each.test_name: Problem(
            f"{each.test_name}: {many(each.failures, 'row')}, in {each.failing_rows}"
            if each.status == "fail"
            else f"{each.test_name}: {each.message}",
            str(each.failures),
        )
        for each in failed
        if each.test_name != BALANCES
    }
    return Finding(
        f"{ended.task_id} failed: {len(problems)} of {many(len(results), 'test')}",
        f"all {many(len(results), 'test')} pass again",
        problems,
        passed | gone,
    )


def newest_results(ended: Ended, query: Query) -> list[Any]:
    """Return the results of the newest `dbt test` since the run began."""
    return query(
        "select * from audit.test_results where invocation_id = (select invocation_id"
        " from audit.test_results where executed_at >= %s order by executed_at desc limit 1)"
        " order by test_name",
        ended.began,
    )


def balances(ended: Ended, known: Collection[str], query: Query) -> Finding:
    """Look at the breaks of the balance chain."""
    results = [each for each in newest_results(ended, query) if each.test_name == BALANCES]
    state = results[0].status if results else ""
    solved = known if state == "pass" else ()
    if state != "fail":
        return Finding("", "all balances add up again", solved=solved)
    breaks = query(
        "select source_file_after as file, source_line_after as line, date_after::text as day,"
        " account_id, currency, coalesce(abs(difference), 0) as amount, hint"
        " from marts.balance_breaks where accepted_reason is null and kind <> 'gap'"
        " order by date_after, source_file_after, source_line_after",
    )
    amounts: dict[str, Any] = {}
    for each in breaks:
        currency = each.currency or "without a currency"
        amounts[currency] = amounts.get(currency, 0) + each.amount
    total = " and ".join(f"{amount:,.2f} {currency}" for currency, amount in amounts.items())
    first = breaks[0]
    size = (
        f"{many(len(breaks), 'break')} in"
        f" {many(len({each.account_id for each in breaks}), 'account')}, {total}"
    )
    line = (
        f"{size}. The first one is at line {first.line} of {first.file} ({first.day}): {first.hint}"
    )
    return Finding(
        f"balances do not add up: {size}",
        "all balances add up again",
        {BALANCES: Problem(line, size)},
        notes=[f"All of them are in audit.{BALANCES}, and on the dashboard."],
    )


def freshness(ended: Ended, known: Collection[str], query: Query) -> Finding:
    """Look at the time since the last load of each source that declares a freshness."""
    checks = query(
        "select *, now() - last_load_at as age from audit.source_freshness"
        " where checked_at >= %s order by source_name",
        ended.began,
    )
    if not checks:
        return task_failed(ended)
    problems = {
        each.source_name: Problem(late(each), each.status)
        for each in checks
        if each.status != "pass"
    }
    fresh = {each.source_name for each in checks if each.status == "pass"}
    return Finding(
        f"{', '.join(problems)} is late" if len(problems) == 1 else f"{len(problems)} sources late",
        f"{', '.join(sorted(fresh & set(known))) or 'the check'} is on time again",
        problems,
        fresh | {TASK},
    )


def late(check: Any) -> str:
    """Return the line about a late source."""
    if check.status == "runtime error":
        return f"{check.source_name}: the check failed: {check.message}"
    limits = [
        f"{limit.total_seconds() / 3600:.0f} hours ({name})"
        for name, limit in (("late", check.warn_after), ("error", check.error_after))
        if limit
    ]
    expected = f"Expected: a new file within {', '.join(limits)}."
    if check.last_load_at is None:
        return f"{check.source_name}: no file was ever loaded. {expected}"
    return (
        f"{check.source_name}: the last file was loaded {check.last_load_at:%Y-%m-%d %H:%M} UTC,"
        f" {check.age.total_seconds() / 3600:,.0f} hours ago. {expected}"
    )


# The kinds of problems that the end of a task can reveal, by the task's name.
FINDERS: Mapping[str, Mapping[str, Finder]] = {
    "parse_and_populate_csv": {"load": load},
    "transform_data": {"transform": transform},
    "test_transformed_data": {"tests": tests, "balances": balances},
    "check_source_freshness": {"freshness": freshness},
}
