"""Compare measured counts with the budgets in budget.json, each within a tolerance."""

import json
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("budget.json")
# Relative differences that are normal between runs, machines and versions of Python.
TOLERANCE = {
    "statements": 0.0,  # statements that reach the server
    "bytes_sent": 0.01,  # bytes to the server
    "bytes_received": 0.05,  # bytes from the server
    "blocks_touched": 0.05,  # blocks of the database, found in the server's cache or read
    "log_bytes": 0.05,  # bytes that the server writes to its write-ahead log (WAL)
    "stored_bytes": 0.05,  # growth of the database
    "instructions": 0.05,  # Python bytecode instructions, in all threads
    "peak_bytes": 0.1,  # peak memory of Python, numpy and Arrow objects
    "modules": 0.03,  # modules imported by a fresh process
}
# Differences that are always allowed: the server's own housekeeping may write two pages of 8 KB,
# which would exceed a budget near zero.
MIN_TOLERANCE = {"log_bytes": 16_384, "stored_bytes": 16_384}


class Budget:
    """The budgets by scenario and metric.

    Args:
        renew: Write the counts to budget.json instead of comparing them.
    """

    def __init__(self, renew: bool) -> None:
        self._renew = renew
        self._budgets: dict[str, dict[str, int]] = json.loads(FILE.read_text())

    def check(self, scenario: str, counts: dict[str, int]) -> None:
        """Fail the test with one line for each count that is outside its budget."""
        if self._renew:
            self._budgets.setdefault(scenario, {}).update(counts)
            text = json.dumps(self._budgets, indent=2, sort_keys=True)
            FILE.write_text(text + "\n")
            return
        budgets = self._budgets[scenario]
        problems = [
            _problem(scenario, name, count, budgets[name]) for name, count in counts.items()
        ]
        if any(problems):
            pytest.fail("\n".join(filter(None, problems)), pytrace=False)


def _problem(scenario: str, name: str, count: int, budget: int) -> str:
    """Return a line with the change and a remedy, or an empty text within the tolerance."""
    if abs(count - budget) <= max(budget * TOLERANCE[name], MIN_TOLERANCE.get(name, 0)):
        return ""
    verb = "grew" if count > budget else "shrank"
    ratio = f"{count / budget - 1:+.1%}" if budget else "from zero"
    advice = "if this is intended" if count > budget else "tighten the budget"
    change = f"{name} {verb} from {budget:,} to {count:,} ({ratio})"
    return f"{scenario}: {change}; {advice}: `make budget`"
