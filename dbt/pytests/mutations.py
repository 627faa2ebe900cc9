"""Ways to spoil a bank statement."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import chain_oracle
from statements import Row, edges_by_day


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


def remove(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Leave out a row."""
    gone = rng.choice(rows)
    return Spoiled([row for row in rows if row is not gone], [gone])


def remove_two(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Leave out two rows. Often they follow each other, so that they may cancel out."""
    first = rng.randrange(len(rows))
    second = rng.choice((first + 1, rng.randrange(len(rows)))) % len(rows)
    gone = [rows[first], rows[second]]
    return Spoiled([row for row in rows if row not in gone], gone)


def double(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Add a copy of a row in another notation or with other details."""
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
    wrong = rng.choice(
        (number * 10, number * 100, -number, int(swapped), number + rng.randint(1, 99))
    )
    return wrong if wrong != number else number + 1


def alter_amount(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Misread the amount of a row."""
    position = rng.randrange(len(rows))
    row = rows[position]
    return change(rows, position, replace(row, amount=misread(rng, row.amount)))


def alter_balance(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Misread the balance of a row."""
    position = rng.randrange(len(rows))
    row = rows[position]
    return change(rows, position, replace(row, balance=misread(rng, row.balance or 0)))


def adopt(foreign: Row, own: Row) -> Row:
    """Give a row of another account the account number and the date of one of this account."""
    return replace(foreign, account=own.account, day=own.day, details="foreign")


def insert_foreign(rng: random.Random, rows: list[Row], others: list[Row]) -> Spoiled:
    """Add a row of another account."""
    position = rng.randrange(len(rows))
    row = replace(
        rng.choice(others), account=rows[0].account, day=rows[position].day, details="foreign"
    )
    return Spoiled([*rows[:position], row, *rows[position:]], [row])


def swap_in_foreign(rng: random.Random, rows: list[Row], others: list[Row]) -> Spoiled:
    """Put a row of another account in the place of a row."""
    position = rng.randrange(len(rows))
    row = replace(
        rng.choice(others), account=rows[0].account, day=rows[position].day, details="foreign"
    )
    return change(rows, position, row)


def add_totals(rng: random.Random, rows: list[Row], _: list[Row]) -> Spoiled:
    """Add the totals of a day or of all days so far, with account number and date."""
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
    """Leave out the rows of some days, as if their file were missing."""
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


def stated_limit(true: list[Row], spoiled: Spoiled) -> str | None:
    """Name the limit by which no check of balances can see a mutation, or None if one can."""
    days = edges_by_day(spoiled.rows)
    gone, wrong = Counter(true) - Counter(spoiled.rows), Counter(spoiled.rows) - Counter(true)
    changed = [*gone, *wrong]
    is_whole = chain_oracle.first_failing_day(days, exact=False) is None
    if is_whole and all(row.amount == 0 for row in changed):
        return "rows of amount zero"
    if chain_oracle.first_failing_day(days) is not None:
        return None
    if set(changed) & {true[0], true[-1]}:
        return "first or last row"
    starts, _ = chain_oracle.starts_and_ends(row.edge for row in changed)
    return "the other rows are a whole statement" if starts else "rows that cancel out"
