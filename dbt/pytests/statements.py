"""Bank statements whose truth is known, and ways to spoil them. All amounts are in cents."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
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
        written = {name: amount.format(cents / 100) for name, cents in text.items() if cents is not None}
        for name in ("deposit_amt", "withdrawal_amt"):
            if not text[name] and self.amount:
                written[name] = ""
        written |= {"date": self.day.strftime(day), "value_date": self.day.strftime(day)}
        return written | {"account_no": f"{self.account}'", "details": self.details}


@dataclass
class Spoiled:
    """A statement after a mutation.

    Attributes:
        rows: The rows that are left, in the order of the statement.
        touched: The true rows that are gone, and the wrong rows that are there.
        cut: The position at which one file must end and another begin.
    """

    rows: list[Row]
    touched: list[Row]
    cut: int | None = None
    kind: str = field(default="")


def edges_by_day(rows: Iterable[Row]) -> dict[date, list[chain_oracle.Edge]]:
    """Return the edges of the rows that have a balance."""
    days: dict[date, list[chain_oracle.Edge]] = defaultdict(list)
    for row in rows:
        if row.balance is not None:
            days[row.day].append(row.edge)
    return dict(days)


def statement(rng: random.Random, account: str, days: int = 0) -> list[Row]:
    """Return a whole statement, oldest row first.

    A third of the accounts are swept to the same balance each night. A third have so few distinct amounts
    that balances often coincide.
    """
    swept, few = rng.random() < 0.35, rng.random() < 0.35
    opening = balance = rng.choice((0, rng.randrange(-50_000_00, 50_000_00)))
    zeros = rng.choice((0, 0, 0.1))
    day, rows = date(2024, 1, 1) + timedelta(rng.randrange(300)), []

    def add(amount: int) -> None:
        nonlocal balance
        balance += amount
        rows.append(Row(account, day, amount, balance, f"transfer {len(rows)}"))

    for _ in range(days or rng.randint(2, 9)):
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            size = rng.choice((100_00, 100_00, 200_00)) if few else rng.randrange(1, 9_999_99)
            add(0 if rng.random() < zeros else rng.choice((-size, size)))
        if swept and balance != opening:
            add(opening - balance)
        day += timedelta(rng.choice((1, 1, 1, 2, 4, 40)))
    return rows


def displace(rng: random.Random, rows: list[Row]) -> list[Row]:
    """Mix the rows of two days, as a bank does that orders them by another date.

    At least one of the days then has several starts. Both days together are one path.
    """
    while True:
        days = sorted({row.day for row in rows})
        first = rng.randrange(len(days) - 1)
        two = days[first : first + 2]
        mixed = [replace(row, day=rng.choice(two)) if row.day in two else row for row in rows]
        edges = edges_by_day(mixed)
        in_order = [edges[day] for day in sorted(edges)]
        if chain_oracle.first_failing_day(edges) and chain_oracle.is_whole_with_merged_days(in_order):
            return mixed
        rows = statement(rng, rows[0].account)


def files(
    rng: random.Random, rows: Sequence[Row], cuts: Iterable[int] = (), most: int = 4
) -> list[list[Row]]:
    """Cut a statement into files, at random places and at `cuts`.

    Either the files overlap, or the rows of each file are shuffled. Overlapping files are all oldest first
    or all newest first.
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


def remove(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """A row is missing."""
    gone = rng.choice(rows)
    return Spoiled([row for row in rows if row is not gone], [gone])


def remove_two(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Two rows are missing. Often they follow each other, so that they may cancel out."""
    first = rng.randrange(len(rows))
    second = rng.choice((first + 1, rng.randrange(len(rows)))) % len(rows)
    gone = [rows[first], rows[second]]
    return Spoiled([row for row in rows if row not in gone], gone)


def double(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """A row is there twice, the second time in another notation or with other details."""
    position = rng.randrange(len(rows))
    row = rows[position]
    copy = rng.choice((replace(row, notation=1), replace(row, details=row.details.upper() + " ")))
    place = rng.choice((position + 1, rng.randint(0, len(rows))))
    return Spoiled([*rows[:place], copy, *rows[place:]], [copy])


def change(rows: list[Row], position: int, wrong: Row) -> Spoiled:
    """Put a wrong row in the place of a right one."""
    return Spoiled([*rows[:position], wrong, *rows[position + 1 :]], [rows[position], wrong])


def misread(rng: random.Random, number: int) -> int:
    """Return a number as somebody might misread it."""
    digits = str(abs(number))
    swapped = digits[:-2][::-1] + digits[-2:]
    wrong = rng.choice((number * 10, number * 100, -number, int(swapped), number + rng.randint(1, 99)))
    return wrong if wrong != number else number + 1


def alter_amount(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """The amount of a row is misread."""
    position = rng.randrange(len(rows))
    row = rows[position]
    return change(rows, position, replace(row, amount=misread(rng, row.amount)))


def alter_balance(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """The balance of a row is misread."""
    position = rng.randrange(len(rows))
    row = rows[position]
    return change(rows, position, replace(row, balance=misread(rng, row.balance or 0)))


def insert_foreign(rng: random.Random, rows: list[Row], others: list[Row]) -> Spoiled:
    """A row of another account has this account's number."""
    position = rng.randrange(len(rows))
    row = replace(rng.choice(others), account=rows[0].account, day=rows[position].day, details="foreign")
    return Spoiled([*rows[:position], row, *rows[position:]], [row])


def swap_in_foreign(rng: random.Random, rows: list[Row], others: list[Row]) -> Spoiled:
    """A row of another account is in the place of a row of this account."""
    position = rng.randrange(len(rows))
    row = replace(rng.choice(others), account=rows[0].account, day=rows[position].day, details="foreign")
    return change(rows, position, row)


def add_totals(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """A row with the totals of a day or of the statement has an account number and a date."""
    last = rng.choice(rows[-1:] * 2 + rows)
    summed = [row for row in rows if row.day <= last.day]
    if rng.random() < 0.5:
        summed = [row for row in rows if row.day == last.day]
    last = summed[-1]
    amount = sum(row.amount for row in summed)
    turnover = sum(abs(row.amount) for row in summed) - abs(amount)
    total = replace(last, amount=amount, turnover=turnover // 2, details="TOTAL")
    position = rows.index(last) + 1
    return Spoiled([*rows[:position], total, *rows[position:]], [total])


def drop_days(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """The file with the rows of some days is missing."""
    days = sorted({row.day for row in rows})
    first = rng.choice(days[1:-1] or days)
    last = rng.choice([day for day in days[:-1] if day >= first][:3] or [first])
    kept = [row for row in rows if not first <= row.day <= last]
    gone = [row for row in rows if first <= row.day <= last]
    return Spoiled(kept, [gone[0], gone[-1]], cut=sum(row.day < first for row in rows))


Mutation = Callable[[random.Random, list[Row], list[Row]], Spoiled]
MUTATIONS: dict[str, Mutation] = {
    "row removed": remove,
    "two rows removed": remove_two,
    "row doubled": double,
    "amount altered": alter_amount,
    "balance altered": alter_balance,
    "row of another account added": insert_foreign,
    "row of another account instead of a row": swap_in_foreign,
    "row of totals": add_totals,
    "file missing": drop_days,
}


def spoil(rng: random.Random, kind: str, rows: list[Row], others: list[Row]) -> Spoiled:
    """Apply a mutation to a statement."""
    while not (spoiled := MUTATIONS[kind](rng, rows, others)).rows:
        pass
    spoiled.kind = kind
    return spoiled


def why_invisible(true: list[Row], spoiled: Spoiled) -> str:
    """Name the limit that makes a mutation invisible."""
    gone = Counter(true) - Counter(spoiled.rows)
    wrong = Counter(spoiled.rows) - Counter(true)
    changed = [*gone, *wrong]
    if all(row.amount == 0 for row in changed):
        return "amount zero"
    if set(changed) & {true[0], true[-1]}:
        return "first or last row"
    starts, _ = chain_oracle.starts_and_ends(row.edge for row in changed)
    if not starts:
        return "rows that cancel out"
    return "the other rows are a whole statement"
