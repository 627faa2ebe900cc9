"""`make demo`: start the stack, load the sample through the DAG, and show the result."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2.extras

from elt_stack.environments import embedded_server
from elt_stack.errors import StackError
from elt_stack.postgres import Server
from elt_stack.services import addresses, run_dag, start, wait_for_superset
from elt_stack.settings import Settings

SAMPLE = "transactions_data.csv"
FAILS_BY_DESIGN = "value_date_greater_than_transaction_date"

LOADS = """
    select coalesce(sum(rows_read), 0) as rows_read,
           coalesce(sum(rows_duplicate), 0) as rows_duplicate,
           coalesce(sum(rows_rejected), 0) as rows_rejected,
           coalesce(sum(rows_loaded), 0) as rows_loaded,
           array_agg(distinct source_file) filter (where status = 'loaded') as files
    from raw._loads
    where table_name = 'transactions'
"""
TESTS = """
    select test_name, status, failures, failing_rows
    from audit.test_results
    where executed_at >= %s
    order by test_name
"""
ACCOUNTS = """
    select account_number,
           count(*) as transactions,
           sum(withdrawal_amount) as withdrawals,
           sum(deposit_amount) as deposits
    from staging.transactions
    where source = 'transactions'
    group by account_number
"""
STAGING_ROWS = "select count(*) from staging.transactions where source = 'transactions'"


@dataclass
class Outcome:
    """The content of the warehouse after a run.

    Attributes:
        loads: row counts, summed over all loads of raw.transactions, and the names of the files.
        tests: the results of the newest `dbt test`, one row per test.
        accounts: staging's number of transactions and sums, one row per account of the sample.
        raw_rows: the number of rows in raw.transactions.
        staging_rows: the number of rows of the sample's source in staging.transactions.
    """

    loads: dict[str, Any]
    tests: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    raw_rows: int
    staging_rows: int

    @classmethod
    def read(cls, server: Server, since: datetime) -> Outcome:
        """Read the outcome from the warehouse.

        Args:
            server: the server of the warehouse.
            since: tests that ran before this time are left out.
        """
        with (
            contextlib.closing(server.connect()) as connection,
            connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
        ):

            def rows(statement: str, *values: object) -> list[dict[str, Any]]:
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()]

            return cls(
                loads=rows(LOADS)[0],
                tests=rows(TESTS, since),
                accounts=rows(ACCOUNTS),
                raw_rows=rows("select count(*) from raw.transactions")[0]["count"],
                staging_rows=rows(STAGING_ROWS)[0]["count"],
            )

    @property
    def failed_tests(self) -> list[dict[str, Any]]:
        """The tests that failed or ended with an error."""
        return [test for test in self.tests if test["status"] in ("fail", "error")]

    def table(self) -> str:
        """Return a summary, as lines to print."""
        passed = sum(test["status"] == "pass" for test in self.tests)
        lines = [
            ("rows read", self.loads["rows_read"]),
            ("  duplicates removed", self.loads["rows_duplicate"]),
            ("  rejected", self.loads["rows_rejected"]),
            ("  loaded into raw.transactions", self.loads["rows_loaded"]),
            ("rows of staging.transactions", self.staging_rows),
            ("tests passed", passed),
            ("tests failed", len(self.failed_tests)),
        ]
        text = [f"  {name:<34}{number:>10,}" for name, number in lines]
        for test in self.failed_tests:
            text.append(f"    ✗ {test['test_name']}: {test['failures']:,} rows")
            text.append(f"      look at them in {test['failing_rows']}")
            if test["test_name"] == FAILS_BY_DESIGN:
                text.append("      (meant to fail: it shows backdated transactions)")
        return "\n".join(text)

    def differences(self, truth: dict[str, Any]) -> list[str]:
        """Compare the outcome with the truth of the sample.

        Args:
            truth: the content of the sample's `.truth.json`.

        Returns:
            One line per difference.
        """
        accounts = {row["account_number"]: row for row in self.accounts}
        compared: list[tuple[str, Any, Any]] = [
            ("rows read", truth["rows"], self.loads["rows_read"]),
            ("duplicates", truth["duplicates"], self.loads["rows_duplicate"]),
            ("rejected", 0, self.loads["rows_rejected"]),
            ("raw rows", truth["rows"] - truth["duplicates"], self.raw_rows),
            ("staging rows", truth["rows"] - truth["duplicates"], self.staging_rows),
            ("accounts", sorted(truth["accounts"]), sorted(accounts)),
            (
                "failed tests",
                [(FAILS_BY_DESIGN, truth["backdated"])],
                [(test["test_name"], test["failures"]) for test in self.failed_tests],
            ),
        ]
        for number, account in truth["accounts"].items():
            for column in ("withdrawals", "deposits"):
                found = accounts.get(number, {}).get(column)
                compared.append((f"{column} of {number}", Decimal(account[column]), found))
        return [
            f"{name}: {found} instead of {expected}"
            for name, expected, found in compared
            if found != expected
        ]


def demo(settings: Settings) -> int:
    """Start the stack, run the DAG and print the result.

    Returns:
        0 if the result equals the sample's truth; otherwise 1, after a line for each difference.

    Raises:
        StackError: the stack did not start.
    """
    start(settings)
    server = embedded_server(settings)
    since = server.now()
    tasks = run_dag(settings)
    failed = [
        name for name, task in tasks.items()
        if task["state"] != "success" and name != "test_transformed_data"
    ]  # fmt: skip
    if failed:
        print(f"{failed[0]} failed: `make logs` and Airflow's UI show its log")
        print(addresses(settings))
        return 1
    outcome = Outcome.read(server, since)
    print(f"\n{outcome.table()}\n")
    status = _check(outcome, settings.data_dir / SAMPLE.replace(".csv", ".truth.json"))
    wait_for_superset(settings)
    print(addresses(settings))
    return status


def _check(outcome: Outcome, truth_file: Path) -> int:
    """Return 1 if a test failed unexpectedly, or if the loaded sample differs from its truth."""
    if not truth_file.exists() or outcome.loads["files"] != [SAMPLE]:
        return int(any(test["test_name"] != FAILS_BY_DESIGN for test in outcome.failed_tests))
    try:
        differences = outcome.differences(json.loads(truth_file.read_text()))
    except (ValueError, KeyError) as error:
        raise StackError(
            f"{truth_file} cannot be read ({error}): restore it with `git checkout`"
        ) from None
    for line in differences:
        print(f"  differs from the sample's truth: {line}")
    if not differences:
        print(f"  equal to the sample's truth: {len(outcome.accounts)} accounts, to the cent\n")
    return 1 if differences else 0
