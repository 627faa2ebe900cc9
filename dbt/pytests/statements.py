"""Bank statements whose truth is known. All amounts are in cents."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import chain_oracle

NOTATIONS = (("%b %d, %y", "{:,.2f} "), ("%d-%b-%Y", "{:.2f}"), ("%Y-%m-%d", "{:,.2f}"))


@dataclass(frozen=True)
class Row:
    """A row of a statement.

    Attributes:
        amount: Deposit minus withdrawal.
        balance: The balance after the row, or None if the statement does not state it.
        turnover: An amount in both columns, as in a row of totals.
        notation: Index into NOTATIONS.
    """

    account: str
    day: date
    amount: int
    balance: int | None
    details: str
    turnover: int = 0
    notation: int = 0

    @property
    def edge(self) -> chain_oracle.Edge:
        """The balances before and after the row."""
        assert self.balance is not None
        return self.balance - self.amount, self.balance

    def values(self) -> dict[str, str]:
        """Return the row as a bank would write it."""
        day, amount = NOTATIONS[self.notation]
        deposit, withdrawal = max(self.amount, 0), max(-self.amount, 0)
        text = {
            "deposit_amt": deposit + self.turnover,
            "withdrawal_amt": withdrawal + self.turnover,
            "balance_amt": self.balance,
        }
        written = {
            name: amount.format(cents / 100) for name, cents in text.items() if cents is not None
        }
        for name in ("deposit_amt", "withdrawal_amt"):
            if not text[name] and self.amount:
                written[name] = ""
        written |= {"date": self.day.strftime(day), "value_date": self.day.strftime(day)}
        return written | {"account_no": f"{self.account}'", "details": self.details}


def edges_by_day(rows: Iterable[Row]) -> dict[date, list[chain_oracle.Edge]]:
    """Return the edges of the rows that have a balance."""
    days: dict[date, list[chain_oracle.Edge]] = defaultdict(list)
    for row in rows:
        if row.balance is not None:
            days[row.day].append(row.edge)
    return dict(days)


def statement(rng: random.Random, account: str) -> list[Row]:
    """Return a whole statement, oldest row first.

    A third of the accounts are swept to the same balance each night. A third have so few distinct
    amounts that balances often coincide.
    """
    swept, few = rng.random() < 0.35, rng.random() < 0.35
    opening = balance = rng.choice((0, rng.randrange(-50_000_00, 50_000_00)))
    zeros = rng.choice((0, 0, 0.1))
    day, rows = date(2024, 1, 1) + timedelta(rng.randrange(300)), []

    def add(amount: int) -> None:
        nonlocal balance
        balance += amount
        rows.append(Row(account, day, amount, balance, f"transfer {len(rows)}"))

    for _ in range(rng.randint(2, 9)):
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            size = rng.choice((100_00, 100_00, 200_00)) if few else rng.randrange(1, 9_999_99)
            add(0 if rng.random() < zeros else rng.choice((-size, size)))
        if swept and balance != opening:
            add(opening - balance)
        day += timedelta(rng.choice((1, 1, 1, 2, 4, 40)))
    return rows


def displace(rng: random.Random, account: str) -> tuple[list[Row], list[Row]]:
    """Mix the rows of two days, as a bank does that orders them by another date.

    Returns:
        A statement in which at least one of two days has several starts, and the same statement
        with one day instead of the two.
    """
    while True:
        rows = statement(rng, account)
        days = sorted({row.day for row in rows})
        first = rng.randrange(len(days) - 1)
        two = days[first : first + 2]
        mixed = [replace(row, day=rng.choice(two)) if row.day in two else row for row in rows]
        if chain_oracle.first_failing_day(edges_by_day(mixed), exact=False) is None:
            continue
        if chain_oracle.is_whole_with_merged_days(edges_by_day(mixed)):
            return mixed, [replace(row, day=two[1]) if row.day in two else row for row in rows]


def files(
    rng: random.Random, rows: Sequence[Row], cuts: Iterable[int] = (), most: int = 4
) -> list[list[Row]]:
    """Cut a statement into files, at random places and at `cuts`.

    Either the files overlap, or the rows of each file are shuffled. Overlapping files are all
    oldest first or all newest first.
    """
    places = {0, len(rows), *cuts} | {rng.randrange(len(rows)) for _ in range(rng.randrange(most))}
    overlap = rng.choice((0, 0, 3))
    order = rng.choice(("oldest first", "newest first", "shuffled"))
    pieces = []
    for begin, end in zip(sorted(places), sorted(places)[1:], strict=False):
        limit = min([cut for cut in cuts if cut >= end], default=len(rows))
        piece = list(rows[begin : min(end + overlap, limit)])
        if order == "newest first":
            piece.reverse()
        if order == "shuffled" and not overlap:
            rng.shuffle(piece)
        pieces.append(piece)
    return pieces
