"""The chain of balances: each balance is the one before it, plus or minus one transaction."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import NamedTuple

from data_ingestion.inspection.dates import contradictions
from data_ingestion.inspection.statement import Column, Statement
from data_ingestion.inspection.values import amount
from data_ingestion.inspection.words import is_title

Pair = tuple[Decimal, Decimal | None]  # an amount and its balance

MIN_STEPS = 2  # that must add up
MIN_SHARE = 0.8  # of the steps: a file may lack rows, and a fee may have a column of its own
CLEAR = 3  # times as many days must run in one direction to tell which one it is


class Reading(NamedTuple):
    """A way to read amounts and balances.

    Attributes:
        sign: 1 if a positive amount raises the balance, else -1.
        is_before: Whether the balance is that before the transaction.
        newest_first: Whether the last transaction stands in the first row.
    """

    sign: int
    is_before: bool
    newest_first: bool


class Proof(NamedTuple):
    """A reading under which the balances add up, in `held` of `steps` steps."""

    reading: Reading
    held: int
    steps: int


def proofs(
    statement: Statement, amounts: Sequence[Decimal], balances: Sequence[Decimal | None]
) -> list[Proof]:
    """Return the readings under which the balances add up best; there can be several or none."""
    pairs = list(zip(amounts, balances, strict=True))
    enough = min(MIN_STEPS, len(pairs) - 1) or MIN_STEPS
    for chains in _chains(statement, pairs):
        found = []
        for parts in product((1, -1), (False, True), directions(statement)):
            reading = Reading(*parts)
            counts = [_held(chain, reading) for chain in chains]
            held, steps = (sum(numbers) for numbers in zip(*counts, strict=True))
            if held >= enough and held >= MIN_SHARE * steps:
                found.append(Proof(reading, held, steps))
        most = max((proof.held for proof in found), default=0)
        if found:
            return [proof for proof in found if proof.held == most]
    return []


def _chains(statement: Statement, pairs: list[Pair]) -> Iterator[list[list[Pair]]]:
    """Yield all rows as one chain, and then as one chain for each account or currency."""
    yield [pairs]
    for column in statement.columns:
        named = is_title(column.name, "account_number") or is_title(column.name, "currency")
        if named and 1 < len(column.distinct) <= len(pairs) / 2:
            chains: dict[str, list[Pair]] = {}
            for key, pair in zip(column.values, pairs, strict=True):
                chains.setdefault(key, []).append(pair)
            yield list(chains.values())


def directions(statement: Statement) -> list[bool]:
    """Return the directions that the days allow: False is oldest first, True is newest first."""
    allowed: set[bool] = set()
    for order in statement.orders:
        down, up = contradictions(statement, order)
        is_up, is_down = up >= CLEAR * down, down >= CLEAR * up
        allowed |= {False, True} if is_up == is_down else {is_down}
    return sorted(allowed)


def balances_of(column: Column, mark: str) -> list[Decimal | None]:
    """Return the balances of a column, None where there is none."""
    found = [amount(value, mark) for value in column.values]
    return [read and read.value for read in found]


def _held(pairs: list[Pair], reading: Reading) -> tuple[int, int]:
    """Return how many steps from one balance to the next add up, and how many there are.

    Some banks write only the last balance of a day: a step can have several transactions.
    """
    last: Decimal | None = None
    total = Decimal(0)
    held = steps = 0
    for step, balance in reversed(pairs) if reading.newest_first else pairs:
        if not reading.is_before:
            total += reading.sign * step
        if balance is not None:
            if last is not None and (total or balance != last):
                steps += 1
                held += last + total == balance
            last, total = balance, Decimal(0)
        if reading.is_before:
            total += reading.sign * step
    return held, steps
