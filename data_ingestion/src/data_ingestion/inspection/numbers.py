"""The decimal mark and the mark between groups of digits of columns of numbers."""

import re
from collections import Counter
from decimal import Decimal

from data_ingestion.inspection.statement import Column, Statement
from data_ingestion.inspection.values import BLANKS, amount, decimal_marks, number_in

MARKS = {".": "a point", ",": "a comma", " ": "a blank", "'": "an apostrophe"}


def settle_marks(statement: Statement, columns: list[Column]) -> None:
    """Set the decimal mark of columns of numbers, and ask if nothing tells it."""
    found = {column.index: marks_of(column) for column in columns if column.filled}
    certain = Counter(next(iter(marks)) for marks in found.values() if len(marks) == 1)
    default = certain.most_common(1)[0][0] if certain else None
    answer = statement.answers.get("decimal_mark")
    for column in columns:
        marks = found.get(column.index, set())
        if len(marks) == 1:
            statement.marks[column.index] = next(iter(marks))
        elif answer or default:
            statement.marks[column.index] = answer or default or "."
    unknown = [c for c in columns if c.filled and c.index not in statement.marks]
    if unknown:
        statement.ask(
            f"Numbers: the mark in {unknown[0].filled[0]} can separate thousands or decimals.",
            "decimal_mark=.",
            "decimal_mark=,",
        )
    elif shown := [column for column in columns if column.filled]:
        statement.notes.append(_note(statement, shown))


def marks_of(column: Column) -> set[str]:
    """Return the possible decimal marks of a column of numbers."""
    counts = Counter(mark for value in column.filled for mark in decimal_marks(value))
    numbers = [match["number"] for match in map(number_in, column.filled) if match]
    most = max(counts.values(), default=0)
    marks = {mark for mark, count in counts.items() if count == most} or {"."}
    if len(marks) == 1:
        return marks
    marked = [number for number in numbers if re.search("[.,]", number)]
    if not marked:
        return {"."}  # whole numbers: any mark will do
    plain = [number for number in numbers if number not in marked]
    mark = "," if "," in marked[0] else "."
    if any(len(re.sub(r"\D", "", number)) > 3 for number in plain):
        return {mark}  # long numbers have no groups here
    return {"." if mark == "," else ","} if plain else marks


def mark_of(statement: Statement, column: Column) -> str:
    """Return the decimal mark of a column, or the likelier one: sums add up under both."""
    return statement.marks.get(column.index) or min(marks_of(column), key=".,".index)


def group_of(statement: Statement, column: Column) -> str | None:
    """Return the mark between groups of digits, if this column or a similar one shows it."""
    mark = statement.marks.get(column.index)
    if mark is None:
        return None
    own = _groups(column, mark)
    if own or any(_size(value, mark) >= 1000 for value in column.filled):
        return own
    similar = [
        _groups(statement.columns[index], mark)
        for index, other in statement.marks.items()
        if other == mark
    ]
    return next(filter(None, similar), None)


def _groups(column: Column, mark: str) -> str | None:
    for match in map(number_in, column.filled):
        found = re.search(
            rf"\d([.,'’{BLANKS}])\d", (match["number"] if match else "").replace(mark, "")
        )
        if found:
            return " " if found[1] in BLANKS else "'" if found[1] in "'’" else found[1]
    return None


def _size(value: str, mark: str) -> Decimal:
    read = amount(value, mark)
    return abs(read.value) if read else Decimal(0)


def _note(statement: Statement, columns: list[Column]) -> str:
    """Return a sentence about the marks, with the longest number as the example."""
    column = max(columns, key=lambda column: max(map(len, column.filled), default=0))
    example = max(column.filled, key=len)
    group = group_of(statement, column)
    groups = f", and {MARKS[group]} stands between groups of digits" if group else ""
    mark = MARKS[statement.marks[column.index]]
    return f"Numbers: the decimal mark is {mark}{groups}, as in {example}."
