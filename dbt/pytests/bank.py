"""A warehouse with the statements of a bank, and the reports of the project about them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import count
from typing import NamedTuple

from conftest import Warehouse
from statements import Row

CLOSINGS = """
    select account_number, transaction_date, (closing_balance * 100)::bigint
    from marts.daily_account_flows
"""
BREAKS = """
    select account_number, kind, date_before, (balance_before * 100)::bigint, date_after,
           (balance_after * 100)::bigint, source_file_before, source_line_before,
           source_file_after, source_line_after
    from marts.balance_breaks
"""
STATES = """
    select account_number, state, (opening_balance * 100)::bigint, (closing_balance * 100)::bigint,
           (deposit_amount * 100)::bigint, (withdrawal_amount * 100)::bigint, transaction_count,
           break_count, first_transaction_date, last_transaction_date
    from marts.reconciliation
"""

Closings = dict[tuple[str, date], int | None]


class Break(NamedTuple):
    """A row of marts.balance_breaks. Amounts are in cents, lines are (file, line)."""

    kind: str
    date_before: date
    balance_before: int | None
    date_after: date
    balance_after: int | None
    line_before: tuple[str, int]
    line_after: tuple[str, int]


class Breaks(dict[str, list[Break]]):
    """The reported breaks by account; none for an account without an entry."""

    def __missing__(self, account: str) -> list[Break]:
        return []


class Bank:
    """Loads statements into a warehouse, and remembers which rows are in which file."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.files: dict[str, dict[str, Sequence[Row]]] = defaultdict(dict)
        self._load_ids = count(1)

    def load(self, pieces: Iterable[Sequence[Row]]) -> None:
        """Load each piece as a file, and run dbt."""
        loads = {}
        for piece in filter(None, pieces):
            load_id = next(self._load_ids)
            loads[load_id] = [row.values() for row in piece]
            for account in {row.account for row in piece}:
                self.files[account][f"file_{load_id}.csv"] = piece
        self.warehouse.load_files(loads)
        assert self.warehouse.dbt("run").success

    def breaks(self) -> Breaks:
        """Return the reported breaks by account."""
        found = Breaks()
        for account, *values, file, line, file_after, line_after in self._query(BREAKS):
            broken = Break(*values, (file, line), (file_after, line_after))
            found.setdefault(account, []).append(broken)
        return found

    def closings(self) -> Closings:
        """Return the closing balances by account and day."""
        return {(account, day): balance for account, day, balance in self._query(CLOSINGS)}

    def states(self) -> dict[str, tuple]:
        """Return marts.reconciliation by account."""
        return {account: tuple(values) for account, *values in self._query(STATES)}

    def reports(self) -> list[list[tuple]]:
        """Return all that the project says about the balances."""
        return [sorted(self._query(sql), key=str) for sql in (BREAKS, CLOSINGS, STATES)]

    def _query(self, sql: str) -> list[tuple]:
        return self.warehouse.query("reporter", sql)
