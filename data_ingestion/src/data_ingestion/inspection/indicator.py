"""The column that says which rows are withdrawals: S and H, Debit and Credit, Af and Bij."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from data_ingestion.errors import printable
from data_ingestion.inspection.chain import directions
from data_ingestion.inspection.numbers import mark_of
from data_ingestion.inspection.statement import AnswerError, Column, Statement
from data_ingestion.inspection.values import amount
from data_ingestion.inspection.words import fold, rank, words

DIRECTIONS = 2
MAX_VALUES = 6
UNKNOWN = 999  # the rank of a title that says nothing


class Indicator(NamedTuple):
    """A column, and its values for withdrawals, deposits and neither."""

    column: Column
    withdrawal: list[str]
    deposit: list[str]
    neutral: list[str]

    def signed(self, values: Sequence[Decimal]) -> list[Decimal]:
        """Return amounts in which withdrawals are negative, and what is neither is 0."""
        signs = dict.fromkeys(self.withdrawal, -1) | dict.fromkeys(self.neutral, 0)
        return [
            signs.get(text, 1) * abs(value)
            for text, value in zip(self.column.values, values, strict=True)
        ]

    @property
    def is_complete(self) -> bool:
        """Whether the values of both directions are known."""
        return bool(self.withdrawal and self.deposit)

    def ask(self, statement: Statement) -> None:
        """Ask for the value of the direction that the file does not have."""
        seen = (self.withdrawal or self.deposit)[0]
        statement.ask(
            f"Direction: {statement.label(self.column.index)} is {seen!r} in all rows; the value "
            "of the other direction is unknown.",
            f"indicator={seen}/VALUE" if self.withdrawal else f"indicator=VALUE/{seen}",
        )

    def take(self, statement: Statement) -> None:
        """Give the column its meaning, and leave out the rows that are neither."""
        label = statement.label(self.column.index)
        statement.roles["indicator"] = [self.column.index]
        statement.indicator = self.withdrawal, self.deposit
        for row, text in zip(statement.rows, self.column.values, strict=True):
            if text in self.neutral:
                statement.left_out[row] = f"{label} is {text!r}"
        statement.notes.append(
            f"Direction: {label} is {_listed(self.withdrawal)} for withdrawals and "
            f"{_listed(self.deposit)} for deposits."
        )
        statement.take_rows()


def find_indicator(statement: Statement, amounts: Column) -> Indicator | None:
    """Return the column whose values tell withdrawals from deposits."""
    answer = statement.answers.get("indicator")
    if answer:
        return _answered(statement, answer)
    found: list[tuple[int, int, Indicator]] = []
    for column in statement.columns:
        if column.kind == "number" or column.index == amounts.index or not all(column.values):
            continue
        values = list(dict.fromkeys(column.values))
        folded = {text: fold(text) or text for text in values}
        out, into = (
            [text for text in values if text in learned or folded[text] in known]
            for learned, known in zip(
                statement.learned, (words().withdrawal, words().deposit), strict=True
            )
        )
        neutral = [text for text in values if folded[text] in words().neutral]
        if not (out or into) or len({*out, *into, *neutral}) < len(values) > 0:
            continue
        if len(values) > MAX_VALUES:
            continue
        title = rank(column.name, "indicator")
        key = UNKNOWN if title is None else title
        found.append((key, column.index, Indicator(column, out, into, neutral)))
    return min(found, key=lambda item: item[:2])[2] if found else None


def _answered(statement: Statement, answer: str) -> Indicator:
    """Return the indicator whose values for withdrawals and deposits an answer names."""
    out, _, into = answer.partition("/")
    for column in statement.columns:
        others = [text for text in dict.fromkeys(column.values) if text not in (out, into)]
        known = all((fold(text) or text) in words().neutral for text in others)
        if column.filled and known and len(others) < len(set(column.values)):
            return Indicator(column, [out], [into], others)
    raise AnswerError(f"--answer indicator={printable(answer, 40)}: no column has these values")


def possible_indicators(statement: Statement) -> list[str]:
    """Return the answers that name the two values of a column as those of the directions."""
    found = []
    for column in statement.columns:
        if column.kind != "text" or not column.is_full or len(column.distinct) != DIRECTIONS:
            continue
        first, second = column.distinct
        if "/" not in first + second:
            found += [f"indicator={first}/{second}", f"indicator={second}/{first}"]
    return found[:MAX_VALUES]


def learn_directions(
    statement: Statement, amounts: Sequence[Decimal], balances: Sequence[Decimal | None]
) -> bool:
    """Learn from the balances which values of a column mark withdrawals, in any language.

    Returns:
        Whether a column has such values, for both directions.
    """
    for newest_first in directions(statement):
        raised = _raised(amounts, balances, newest_first)
        for column in statement.columns:
            if column.kind != "text" or not column.is_full or len(column.distinct) > MAX_VALUES:
                continue
            found: dict[str, set[bool | None]] = {}
            for text, is_raised in zip(column.values, raised, strict=True):
                found.setdefault(text, set()).add(is_raised)
            seen = [values - {None} for values in found.values()]
            if all(len(values) == 1 for values in seen) and len(set.union(*seen)) == 2:
                for text, (is_raised,) in zip(found, seen, strict=True):
                    statement.learned[bool(is_raised)].add(text)
                return True
    return False


def _raised(
    amounts: Sequence[Decimal], balances: Sequence[Decimal | None], newest_first: bool
) -> list[bool | None]:
    """Return for each row whether it raises the balance, None where that is unknown.

    The result has no other value if some step is not the amount of its row.
    """
    order = range(len(amounts) - 1, -1, -1) if newest_first else range(len(amounts))
    found: list[bool | None] = [None] * len(amounts)
    last: Decimal | None = None
    for row in order:
        balance = balances[row]
        if balance is None or (last is not None and abs(balance - last) != abs(amounts[row])):
            return [None] * len(amounts)
        if last is not None and amounts[row]:
            found[row] = balance > last
        last = balance
    return found


def sign_in_words(statement: Statement, amounts: Column) -> int | None:
    """Return 1 or -1 if words beside signed amounts agree with their sign, or with its opposite."""
    mark = mark_of(statement, amounts)
    for column in statement.columns:
        if column.index == amounts.index or column.kind != "text":
            continue
        if not {fold(text) for text in column.distinct} <= words().withdrawal | words().deposit:
            continue
        signs: dict[bool, set[bool]] = {True: set(), False: set()}
        for text, value in zip(column.values, amounts.values, strict=True):
            read, folded = amount(value, mark), fold(text)
            if read and read.value and folded in words().withdrawal | words().deposit:
                signs[folded in words().withdrawal].add(read.value < 0)
        if signs == {True: {True}, False: {False}} or signs == {True: {False}, False: {True}}:
            sign = 1 if signs[True] == {True} else -1
            which = "a minus" if sign == 1 else "no minus"
            statement.notes.append(
                f"Sign: {statement.label(column.index)} says that withdrawals have {which}."
            )
            return sign
    return None


def _listed(values: Sequence[str]) -> str:
    return " or ".join(map(repr, values))
