"""Counts beside what they may be: budget.json, and how far a count may be from it."""

import json
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("budget.json")
# What differs between runs, machines and versions of Python that are all right.
TOLERANCE = {
    "statements": 0.0,  # that reach the server
    "bytes_sent": 0.01,  # to the server
    "bytes_received": 0.05,
    "blocks_touched": 0.05,  # of the database, in the server's memory or read into it
    "log_bytes": 0.05,  # that the server writes to its log (WAL)
    "stored_bytes": 0.05,  # by which the database grows
    "instructions": 0.05,  # of Python's bytecode, in all threads
    "peak_bytes": 0.1,  # of objects of Python, numpy and Arrow
    "modules": 0.03,  # imported by a process of its own
}
# The server may write a page on its own account: so much more than a budget of nothing is nothing.
PAGE = {"log_bytes": 16_384, "stored_bytes": 16_384}


class Budget:
    """The budgets of all works, by the name of the work and of what is counted.

    `renew` writes what is counted instead of comparing it.
    """

    def __init__(self, renew: bool) -> None:
        self._renew = renew
        self._budgets: dict[str, dict[str, int]] = json.loads(FILE.read_text())

    def check(self, work: str, counts: dict[str, int]) -> None:
        """Fails the test with a line for each count that is off its budget."""
        if self._renew:
            self._budgets.setdefault(work, {}).update(counts)
            text = json.dumps(self._budgets, indent=2, sort_keys=True)
            FILE.write_text(text + "\n")
            return
        budgets = self._budgets[work]
        off = [_told(work, name, count, budgets[name]) for name, count in counts.items()]
        if any(off):
            pytest.fail("\n".join(filter(None, off)), pytrace=False)


def _told(work: str, name: str, count: int, budget: int) -> str:
    """What is to be done about a count; nothing where it is within its tolerance."""
    if abs(count - budget) <= max(budget * TOLERANCE[name], PAGE.get(name, 0)):
        return ""
    verb = "grew" if count > budget else "shrank"
    ratio = f"{count / budget - 1:+.1%}" if budget else "from nothing"
    meant = "if that was meant" if count > budget else "tighten the budget"
    return f"{work}: {name} {verb} from {budget:,} to {count:,} ({ratio}); {meant}: `make budget`"
