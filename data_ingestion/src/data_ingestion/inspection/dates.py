"""The columns of dates, and the order of day, month and year with its evidence."""

import re
from collections import Counter
from datetime import date
from itertools import pairwise

from data_ingestion.errors import InputError
from data_ingestion.inspection.statement import AnswerError, Column, Statement
from data_ingestion.inspection.values import ORDERS, dates_of
from data_ingestion.inspection.words import PARTIAL, is_title, rank

UNKNOWN = 999  # the rank of a title that says nothing
MAX_SPAN = 400  # days that a statement may cover before another reading is more likely
NAMES = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
LOOSE = re.compile(r"(?<!\d)\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?!\d)")


def find_dates(statement: Statement) -> None:
    """Find the date of the transaction, the value date and the order of day, month and year."""
    columns = [column for column in statement.columns if column.kind == "date"]
    orders = {column.index: _orders(column) for column in columns}
    columns = [column for column in columns if orders[column.index]]
    if not columns:
        raise InputError("has dates that have no order of day, month and year in common")
    transaction, value = _chosen(statement, columns)
    statement.roles["transaction_date"] = [transaction.index]
    if value:
        statement.roles["value_date"] = [value.index]
        if rank(value.name, "value_date") is None:
            label = statement.label(value.index)
            statement.notes.append(
                f"Value date: {label} is the last column of dates; no title says so."
            )
    common = set.intersection(*(orders[column.index] for column in columns))
    _settle(statement, columns, common or orders[transaction.index])
    _ask_about_formats(statement, transaction)
    for row, text in zip(statement.rows, transaction.values, strict=True):
        if not text:
            statement.left_out[row] = f"{statement.label(transaction.index)} is empty"
    statement.take_rows()


def format_of(statement: Statement, column: Column) -> str | None:
    """Return the format of the dates in a column, or None if the order is unknown."""
    readings = [dates_of(value) for value in column.filled]
    formats = Counter(
        reading[statement.orders[0]].format
        for reading in readings
        if len(statement.orders) == 1 and statement.orders[0] in reading
    )
    return formats.most_common(1)[0][0] if formats else None


def _orders(column: Column) -> set[str]:
    readings = [set(dates_of(value)) for value in column.filled]
    return set.intersection(*(reading for reading in readings if reading))


def _chosen(statement: Statement, columns: list[Column]) -> tuple[Column, Column | None]:
    """Return the column of the transaction date, and the one of the value date."""
    full = max(len(column.filled) for column in columns)
    usable = [column for column in columns if 2 * len(column.filled) >= full]
    answered = _answered(statement, "transaction_date", columns)
    transaction = answered or min(
        usable,
        key=lambda column: (
            len(column.filled) < full,
            _transaction_rank(column.name),
            column.index,
        ),
    )
    others = [column for column in columns if column is not transaction]
    if "value_date" in statement.answers:
        return transaction, _answered(statement, "value_date", others)
    named = [column for column in others if rank(column.name, "value_date") is not None]
    if named:
        return transaction, min(named, key=lambda column: _rank(column.name, "value_date"))
    # A date with its time repeats the first one.
    later = [column for column in others if not any(":" in text[10:] for text in column.filled)]
    if any(_rank(column.name, "transaction_date") < UNKNOWN for column in columns):
        later = [column for column in later if column.is_full and len(others) == 1]
        later = [column for column in later if column.values != transaction.values]
    return transaction, later[-1] if later else None


def _transaction_rank(name: str) -> int:
    """Return how well a title says the date of the transaction: `Valuta Date` hardly does."""
    found = _rank(name, "transaction_date")
    return UNKNOWN + 1 if found >= PARTIAL and is_title(name, "value_date") else found


def _rank(name: str, role: str) -> int:
    found = rank(name, role)
    return UNKNOWN if found is None else found


def _answered(statement: Statement, key: str, columns: list[Column]) -> Column | None:
    found = statement.answered(key)
    if not found:
        return None
    if found[0].index not in [column.index for column in columns]:
        names = ", ".join(statement.label(column.index) for column in columns) or "none"
        raise AnswerError(
            f"--answer {key}={statement.answers[key]}: has no dates; these columns have: {names}"
        )
    return found[0]


def _settle(statement: Statement, columns: list[Column], orders: set[str]) -> None:
    """Set the possible orders, with the evidence if there is only one."""
    possible = [order for order in ORDERS if order in orders]
    answer = statement.answers.get("date_order")
    if answer:
        if answer not in possible:
            choices = ", ".join(possible)
            raise AnswerError(f"--answer date_order={answer}: the dates can only be {choices}")
        statement.orders = [answer]
        return
    evidence = _evidence(statement, columns, possible) if len(possible) == 1 else ""
    if len(possible) > 1:
        possible, evidence = _without_decades(statement, columns, possible)
    if len(possible) > 1:
        possible, evidence = _from_preamble(statement, columns, possible)
    statement.orders = possible
    if len(possible) == 1:
        statement.notes.append(f"Dates: {NAMES[possible[0]]}, {evidence}.")


def _ask_about_formats(statement: Statement, column: Column) -> None:
    """Ask if the dates of a column are written in several ways; a field has one format."""
    if len(statement.orders) > 1:
        return
    lines: dict[str, tuple[str, int]] = {}
    for position, value in enumerate(column.values):
        if read := dates_of(value).get(statement.orders[0]):
            lines.setdefault(read.format, (value, statement.line_of(position)))
    if len(lines) > 1:
        (first, _), (other, line), *_ = lines.values()
        statement.ask(
            f"Dates: {other} on line {line} is written in another way than {first}. Write all "
            "dates in one way."
        )


def settle_order(statement: Statement, newest_first: bool | None) -> None:
    """Keep the orders under which the days run as the balances do, and ask if several remain."""
    if len(statement.orders) == 1:
        return
    if newest_first is not None:
        running = [
            order
            for order in statement.orders
            if not contradictions(statement, order)[newest_first]
        ]
        if len(running) == 1:
            statement.orders = running
            name = NAMES[running[0]]
            statement.notes.append(f"Dates: {name}, the only order that agrees with the balances.")
            return
    column = statement.columns[statement.roles["transaction_date"][0]]
    statement.ask(
        f"Dates: {column.filled[0]} can be read in several orders, and so can all others.",
        *(f"date_order={order}" for order in statement.orders),
    )


def contradictions(statement: Statement, order: str) -> tuple[int, int]:
    """Return how often a day precedes the day above it, and how often it follows it."""
    days = [day for day in statement.days(order) if day]
    steps = list(pairwise(days))
    return sum(a > b for a, b in steps), sum(a < b for a, b in steps)


def _evidence(statement: Statement, columns: list[Column], possible: list[str]) -> str:
    """Return how the values prove the only possible order."""
    for column in columns:
        for position, value in enumerate(column.values):
            read = dates_of(value)
            if list(read) != possible:
                continue
            line = statement.line_of(position)
            reading = read[possible[0]]
            if "%b" in reading.format:
                return f"the month is a word on line {line}"
            if possible == ["ymd"]:
                return f"the year has four digits on line {line}"
            place = "first" if possible == ["dmy"] else "second"
            return f"{reading.day.day} stands in {place} place on line {line}"
    return "only this order reads all columns"


def _without_decades(
    statement: Statement, columns: list[Column], possible: list[str]
) -> tuple[list[str], str]:
    """Return the orders under which two digits of a year are not read as days, with evidence."""
    spans = {order: _span(columns, order) for order in possible}
    others = [order for order in possible if order != "ymd"]
    if "ymd" not in possible or not others or len(statement.rows) == 1:
        return possible, ""
    near = min(spans[order] for order in others)
    if spans["ymd"] <= MAX_SPAN < near:
        return ["ymd"], f"the only order with all dates within {spans['ymd'] + 1} days"
    if near <= MAX_SPAN < spans["ymd"]:
        return others, f"the only order with all dates within {near + 1} days"
    return possible, ""


def _from_preamble(
    statement: Statement, columns: list[Column], possible: list[str]
) -> tuple[list[str], str]:
    """Return the order of a date above the header that has only one, with evidence."""
    for row in statement.layout.preamble:
        text = " ".join(statement.layout.rows[row].cells)
        for match in LOOSE.finditer(text):
            read = [order for order in possible if order in dates_of(match[0])]
            if len(read) == 1 and match[1] in columns[0].filled[0]:
                return read, f"as in {match[0]} on line {statement.layout.rows[row].line}"
    return possible, ""


def _span(columns: list[Column], order: str) -> int:
    days: list[date] = [
        reading[order].day
        for column in columns
        for reading in map(dates_of, column.filled)
        if order in reading
    ]
    return (max(days) - min(days)).days
