"""Run dbt's commands in the throwaway warehouse and check their results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from steps import PROJECT
from warehouse import role

DBT = PROJECT / "dbt" / ".venv" / "bin" / "dbt"


class Dbt:
    """Runs dbt with a separate folder for its target and its logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
        self.environment = role("transformer") | paths

    def run(self, *arguments: str, may_fail: bool = False) -> float:
        """Run one dbt command and return its seconds.

        Raises:
            SystemExit: The command failed and `may_fail` is false; the message is its output.
        """
        start = time.monotonic()
        process = subprocess.run(
            [DBT, *arguments], cwd=PROJECT / "dbt", env=self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        seconds = time.monotonic() - start
        if process.returncode != 0 and not may_fail:
            sys.exit(f"dbt {' '.join(arguments)} failed:\n{process.stdout}{process.stderr}")
        return seconds

    def test(self, *expected: str) -> float:
        """Run `dbt test` as the DAG does and return its seconds.

        Args:
            expected: The tests that must fail, and no other.

        Raises:
            SystemExit: Other tests failed, or there are no results.
        """
        seconds = self.run("test", "--exclude-resource-type", "unit_test", may_fail=True)
        results = json.loads((self.folder / "run_results.json").read_text())["results"]
        names = (r["unique_id"] for r in results if r["status"] not in ("pass", "success"))
        failed = {name.split(".")[2] for name in names}
        if failed != set(expected):
            sys.exit(f"dbt test: {', '.join(sorted(failed)) or 'no failures'}")
        return seconds

    def casts(self) -> str:
        """Return the select of staging.transactions that dbt compiles for a first run."""
        self.run("compile", "--full-refresh", "--select", "transactions")
        (file,) = self.folder.glob("compiled/*/models/staging/transactions.sql")
        return file.read_text()
