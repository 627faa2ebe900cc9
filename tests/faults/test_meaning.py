"""No statement is silently wrong: each one is read right, or a person is told."""

from __future__ import annotations

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby

import pytest
from meaning_files import Attempt, Transaction, attempts
from meaning_rows import CASES

from harness import DBT, FULL, publish
from support import PROJECT
from warehouse import Warehouse

RIGHT, TOLD, WRONG = "read right", "told", "silently wrong"
DATABASE = "meaning"
COLUMNS = ["kind of wrong meaning", "files", RIGHT, TOLD, WRONG]
PEERS = ("dlt", "pandas")
PEERS_PYTHON = PROJECT / "benchmarks" / ".venv" / "bin" / "python"
STAGED = """
    select _source_file, account_number, transaction_date, coalesce(withdrawal_amount, 0),
           coalesce(deposit_amount, 0), balance_amount, transaction_details, value_date
    from staging.transactions left join staging.loads using (source, _load_id)
"""
DAYS = """
    select account_number, transaction_date, coalesce(withdrawal_amount, 0),
           coalesce(deposit_amount, 0), closing_balance
    from marts.daily_account_flows
"""
MESSAGES = """
    select source_file, error from raw._loads where status = 'failed'
    union all
    select loads.source_file, format('line %s: %s', rejects.source_line, rejects.reason)
    from raw._rejects as rejects inner join raw._loads as loads using (table_name, load_id)
    where loads.status = 'loaded'
"""


@dataclass
class Found:
    """The parts of the warehouse that come from the files of an attempt."""

    staged: list[tuple] = field(default_factory=list)
    days: list[tuple] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)  # of the loader
    tests: set[str] = field(default_factory=set)  # of dbt, which did not pass

    def is_right(self, transactions: list[Transaction]) -> bool:
        """Return whether all transactions and the days of their accounts are right."""
        staged = [Transaction(*row[:-1]) for row in self.staged if row[-1] == row[1]]
        same = sorted(staged) == sorted(transactions) and len(staged) == len(self.staged)
        return same and sorted(self.days) == sorted(days_of(transactions))

    def outcome(self, transactions: list[Transaction]) -> str:
        if self.messages or self.tests:
            return TOLD
        return RIGHT if self.is_right(transactions) else WRONG


def days_of(transactions: list[Transaction]) -> Iterator[tuple]:
    """Yield account, date, withdrawals, deposits and closing balance of each day."""
    for (account, day), rows in groupby(transactions, key=lambda row: row[:2]):
        *_, last = rows = list(rows)
        sums = (sum(row.withdrawal for row in rows), sum(row.deposit for row in rows))
        yield (account, day, *sums, last.balance)


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> list[Attempt]:
    return attempts(CASES, tmp_path_factory.mktemp("meaning"))


@pytest.fixture(scope="module")
def found(shared_warehouse, tried, tmp_path_factory) -> list[Found]:
    """Load the files of all attempts, and return what the warehouse has of each.

    The last of several files is loaded after the first run of dbt.
    """
    for statement in (
        f"create database {DATABASE} template warehouse",
        f"grant connect, temporary on database {DATABASE} to loader, transformer",
    ):
        shared_warehouse.query(statement, "postgres")
    target = tmp_path_factory.mktemp("dbt")
    late = {attempt.files[-1] for attempt in tried if len(attempt.files) > 1}
    for is_late in (False, True):
        groups = defaultdict(list)
        for attempt in tried:
            groups[attempt.options] += [path for path in attempt.files if (path in late) == is_late]
        for options, paths in groups.items():
            if paths:
                process = shared_warehouse.load(*options, *paths, PGDATABASE=DATABASE)
                printed = process.communicate(timeout=120)
                assert process.returncode in (0, 2), printed
        run_dbt(shared_warehouse, target, "run")
    results = run_dbt(shared_warehouse, target, "test", "--exclude-resource-type", "unit_test")
    return list(collect(shared_warehouse, tried, results))


def run_dbt(warehouse: Warehouse, target, *arguments: str) -> list[dict]:
    """Run dbt and return the results of its nodes. Failing tests are no error."""
    folders = {"DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(target)}
    process = subprocess.run(
        [DBT, *arguments], cwd=PROJECT / "dbt", capture_output=True, text=True,
        env=warehouse.environment("transformer", PGDATABASE=DATABASE, **folders),
    )  # fmt: skip
    results = json.loads((target / "run_results.json").read_text())["results"]
    broken = [result for result in results if result["status"] in ("error", "skipped")]
    assert process.returncode in (0, arguments[0] == "test") and not broken, process.stdout
    return results


def collect(warehouse: Warehouse, tried: list[Attempt], results: list[dict]) -> Iterator[Found]:
    """Yield the part of each attempt. Fail if a report belongs to no attempt."""
    staged, messages, days = (
        by_first(warehouse.query(query, DATABASE)) for query in (STAGED, MESSAGES, DAYS)
    )
    reports = {
        (result["unique_id"].split(".")[2], text)
        for result in results
        if result["status"] in ("fail", "warn")
        for (text,) in warehouse.query(
            f"select to_jsonb(failing)::text from {result['relation_name']} as failing", DATABASE
        )
    }
    named = set()
    for attempt in tried:
        names = [path.name for path in attempt.files]
        marks = (*names, *attempt.accounts)
        own = {report for report in reports if any(mark in report[1] for mark in marks)}
        named |= own
        yield Found(
            staged=[row for name in names for row in staged[name]],
            days=[(account, *day) for account in accounts_of(attempt) for day in days[account]],
            messages={text for name in names for (text,) in messages[name]},
            tests={test for test, _ in own},
        )
    assert reports == named, f"reports of no file: {reports - named}"


def accounts_of(attempt: Attempt) -> list[str]:
    """Return the accounts of an attempt, also as they are with zeros before them."""
    return [zeros + account for account in attempt.accounts for zeros in ("", "00")]


def by_first(rows: Iterable[tuple]) -> dict[str, list[tuple]]:
    """Group rows by their first column."""
    groups = defaultdict(list)
    for first, *others in rows:
        groups[first].append(tuple(others))
    return groups


def test_no_file_is_silently_wrong(tried, found):
    problems = []
    for attempt, part in zip(tried, found, strict=True):
        outcome = part.outcome(attempt.transactions)
        expected = attempt.case.told
        unseen = [text for text in expected if not is_told(text, part)]
        by_dbt = {text for text in expected if text.isidentifier()}
        more = part.tests if not by_dbt else set()
        if outcome != (TOLD if expected else RIGHT) or unseen or more:
            problems.append(f"{attempt.name}: {outcome}, unseen {unseen}, {part}")
        elif expected and not by_dbt and part.staged and not part.is_right(attempt.transactions):
            problems.append(f"{attempt.name}: the other rows are wrong, {part}")
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems)


def is_told(text: str, part: Found) -> bool:
    """Return whether a dbt test has this name, or a message of the loader contains the text."""
    return text in part.tests or any(text in message for message in part.messages)


@pytest.mark.skipif(not FULL, reason="the table of docs/reliability.md needs it, no other test")
def test_other_tools_read_the_same_files(tried, found, shared_warehouse):
    """Publish the outcomes of the stack and of other tools. The stack's own are tested above."""
    files = [[list(map(str, attempt.files)), attempt.delimiter] for attempt in tried]
    process = subprocess.run(
        [PEERS_PYTHON, PROJECT / "tests" / "faults" / "meaning_peers.py"], input=json.dumps(files),
        env=peers_environment(shared_warehouse), capture_output=True, text=True, check=True,
    )  # fmt: skip
    peers = json.loads(process.stdout)
    counts = defaultdict(Counter)
    for number, attempt in enumerate(tried):
        truth = attempt.transactions
        for name in (attempt.case.kind, "all"):
            counts[name]["files"] += len(attempt.files)
            counts[name]["ours", found[number].outcome(truth)] += len(attempt.files)
            for tool in PEERS:
                outcome = outcome_of_rows(peers[tool][number], truth)
                counts[name][tool, outcome] += len(attempt.files)
    outcomes = [(tool, outcome) for tool in ("ours", *PEERS) for outcome in (RIGHT, TOLD, WRONG)]
    words = ("right", TOLD, "wrong")
    columns = [*COLUMNS, *(f"{tool}: {word}" for tool in PEERS for word in words)]
    kinds = [*dict.fromkeys(attempt.case.kind for attempt in tried), "all"]
    publish(
        "wrong_meaning",
        [[kind, counts[kind]["files"], *(counts[kind][key] for key in outcomes)] for kind in kinds],
        columns,
    )


def peers_environment(warehouse: Warehouse) -> dict[str, str]:
    """Return the environment of a process that may create schemas in a database of its own."""
    warehouse.query("create database peers", "postgres")
    server = warehouse.server
    return warehouse.environment(
        PGDATABASE="peers", PGUSER="postgres", PGPASSWORD=server.password, PYTHONWARNINGS="ignore"
    )


def outcome_of_rows(rows: list[list[str | None]] | str, truth: list[Transaction]) -> str:
    """Judge the rows that a tool has read. The balance of the last row closes a day."""
    if isinstance(rows, str):
        return TOLD
    if any(value in (None, "NaN") for row in rows for value in row):
        return WRONG
    read = [
        Transaction(account, date.fromisoformat(day), *map(Decimal, amounts), details)
        for account, day, _, *amounts, details in rows
    ]
    staged = [(*new, date.fromisoformat(row[2])) for new, row in zip(read, rows, strict=True)]
    days = list(days_of(sorted(read, key=lambda transaction: transaction[:2])))
    return RIGHT if Found(staged, days).is_right(truth) else WRONG
