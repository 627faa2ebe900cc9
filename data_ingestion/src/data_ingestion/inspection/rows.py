"""The rows and lines that are no transactions, and the keys of `skip` that leave them out."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from data_ingestion.inspection.layout import Row
from data_ingestion.inspection.statement import Statement
from data_ingestion.inspection.values import is_date, kind_of, number_in
from data_ingestion.inspection.words import fold, is_title, rank, words

MAX_UNDATED = 2  # rows, such as totals, that have an amount and no date
MAX_VALUE = 60  # characters of a value that can stand in other files, too
SIGNS = "+-−–(£€$¥₹"  # before a number
LOOSE_DATE = re.compile(r"(?<!\d)(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./-]\d\d[./-]\d\d)(?!\d)")
MIN_ROWS = 5  # that show what transactions have in common
LETTERS = 4  # at least, in the beginning of a line that is told by it
THIS_FILE = 9  # points of a value that other files hardly have
BRANDS = {"total", "primo", "ultimo"}  # shops have these names, too: a total is first or last


class Mark(NamedTuple):
    """A value in a column by which a row can be told: the fewer points, the better it is."""

    points: int
    column: int
    value: str


class Skip(NamedTuple):
    """What a declaration leaves out: values by column, beginnings of lines, and of the footer."""

    rows: dict[int, list[str]]
    lines: list[str]
    footer: list[str]


def leave_out_rows(statement: Statement) -> None:
    """Leave out rows that are not booked, and rows with a balance or a total."""
    for column in statement.columns:
        folded = {text: fold(text) for text in column.distinct}
        pending = {text for text, word in folded.items() if word in words().pending}
        booked = any(word in words().booked for word in folded.values())
        if not pending or not (booked or rank(column.name, "status") is not None):
            continue
        for row, text in zip(statement.rows, column.values, strict=True):
            if text in pending:
                statement.left_out[row] = f"{statement.label(column.index)} is {text!r}"
        statement.take_rows()
    for row in statement.rows:
        if found := _balance_text(statement, row) or _without_text(statement, row):
            statement.left_out[row] = found
    if len(statement.left_out) == len(statement.layout.data):
        statement.left_out.clear()
    statement.take_rows()


def _balance_text(statement: Statement, row: int) -> str | None:
    """Return why a row is a balance or a total, or None if it is a transaction."""
    known = words().balance_rows
    phrases = tuple(f"{text} " for text in known if " " in text)
    is_at_end = row in (statement.layout.data[0], statement.layout.data[-1])
    for index, cell in enumerate(statement.layout.rows[row].cells):
        text = fold(cell)
        if text in BRANDS and not is_at_end:
            continue
        if text in known or text.startswith(phrases):
            return f"{statement.label(index)} is {cell.strip()!r}"
    return None


def _without_text(statement: Statement, row: int) -> str | None:
    """Return why the first or last row of a file without a header is a summary, or None.

    It has no text in any column in which all other rows have one, but a value where they have none
    of its kind.
    """
    data = statement.layout.data
    if statement.has_titles or row not in (data[0], data[-1]) or len(data) < MIN_ROWS:
        return None
    cells = statement.layout.rows[row].cells
    others = [statement.layout.rows[other].cells for other in data if other != row]
    kinds = [set(map(kind_of, values)) for values in zip(*others, strict=True)]
    texts = [index for index, found in enumerate(kinds) if found == {"text"}]
    own = list(map(kind_of, cells))
    if not texts or any(own[index] == "text" for index in texts):
        return None
    is_summary = any(kind not in {*found, "empty"} for kind, found in zip(own, kinds, strict=True))
    return f"{statement.label(texts[0])} has no text" if is_summary else None


def skip_of(statement: Statement) -> Skip:
    """Return the keys of `skip`, and note what they leave out."""
    skip = Skip({}, [], [])
    layout = statement.layout
    last = statement.rows[-1]
    behind = [row for row in layout.others if row > last and row not in statement.left_out]
    body = [row.lines[0] for row in layout.rows[statement.rows[0] : behind[0]]] if behind else []
    if behind and (beginning := _beginning(statement, layout.rows[behind[0]], body)):
        skip.footer.append(beginning)
        statement.notes.append(f"The footer begins on line {layout.rows[behind[0]].line}.")
    else:
        behind = []
    above = (
        [] if statement.has_titles else [r for r in layout.preamble if not layout.rows[r].is_empty]
    )
    rest = [
        row for row in sorted({*above, *layout.others, *statement.left_out}) if row not in behind
    ]
    if skip.footer:
        rest = [row for row in rest if row < behind[0]]
    _ask_about_dates(statement, rest)
    _ask_about_more_than_dates(statement, rest)
    _skip_lines(statement, rest, skip)
    _skip_rows(statement, [row for row in rest if _has_width(statement, row)], skip)
    return skip


def _ask_about_dates(statement: Statement, rows: Iterable[int]) -> None:
    """Ask if many rows have an amount and no date: it may be that of the row above."""
    amounts = [role for role in ("amount", "withdrawal", "deposit") if role in statement.roles]
    columns = [statement.roles[role][0] for role in amounts]
    date = statement.roles["transaction_date"][0]
    undated = []
    for row in rows:
        cells = statement.layout.rows[row].cells
        if _has_width(statement, row) and row not in statement.left_out and not cells[date].strip():
            undated += [row] if any(number_in(cells[column]) for column in columns) else []
    if len(undated) > MAX_UNDATED:
        line = statement.layout.rows[undated[0]].line
        statement.ask(
            f"Dates: {len(undated)} rows have an amount and no date, the first on line {line}. "
            "These rows are left out. To keep a row, write its date into the file."
        )


def _ask_about_more_than_dates(statement: Statement, rows: Iterable[int]) -> None:
    """Ask if a row has more than one date where the others have one: it is a transaction, too."""
    date = statement.roles["transaction_date"][0]
    for row in rows:
        if row in statement.left_out or not _has_width(statement, row):
            continue
        line, text = statement.layout.rows[row].line, statement.layout.rows[row].cells[date].strip()
        if (found := LOOSE_DATE.search(text)) and not is_date(text):
            statement.ask(
                f"Dates: {text!r} on line {line} contains more than a date, so the row is left "
                f"out. To keep it, replace the text with one date, such as {found[0]}."
            )


def _has_width(statement: Statement, row: int) -> bool:
    cells = statement.layout.rows[row].cells
    return len(cells) == statement.layout.width and not _is_header(statement, row)


def _is_header(statement: Statement, row: int) -> bool:
    """Return whether a row repeats the header; the loader would count it as an error."""
    layout = statement.layout
    if layout.header is None:
        return False
    return layout.rows[row].cells == layout.rows[layout.header].cells


def _skip_lines(statement: Statement, rows: Iterable[int], skip: Skip) -> None:
    """Leave out lines of another width, and repeated headers, by their beginnings."""
    used = [statement.layout.rows[row].lines[0] for row in statement.rows]
    for row in rows:
        if _has_width(statement, row):
            continue
        line = statement.layout.rows[row]
        text = line.lines[0].rstrip("\r\n")
        if not _is_header(statement, row):
            text = _beginning(statement, line, used) or text
        if text and text not in skip.lines:
            skip.lines.append(text)
            statement.notes.append(f"Line {line.line} is left out: it is no row of the table.")


def _beginning(statement: Statement, line: Row, used: Iterable[str]) -> str | None:
    """Return the beginning of a line up to its first digit, if no line in use begins with it."""
    raw = line.lines[0].rstrip("\r\n")
    first = line.cells[0].strip()
    text = first if first and raw.lstrip(statement.layout.quotechar).startswith(first) else raw
    beginning = re.split(r"\d", text[:MAX_VALUE], maxsplit=1)[0]
    if beginning == text[:MAX_VALUE] and len(text) > MAX_VALUE:
        beginning = beginning.rpartition(" ")[0] or beginning
    if sum(map(str.isalpha, beginning)) < LETTERS:
        return None
    quote = statement.layout.quotechar
    # Next time, a sheet can have fewer empty cells on the right, and a total another sign.
    beginning = beginning.rstrip(f" {statement.layout.delimiter}{SIGNS}")
    if any(other.startswith((beginning, quote + beginning)) for other in used):
        return None
    return beginning


def _skip_rows(statement: Statement, rows: list[int], skip: Skip) -> None:
    """Leave out rows by the values that tell most of them from the transactions."""
    kept = [
        {statement.layout.rows[row].cells[index].strip() for row in statement.rows}
        for index in range(statement.layout.width)
    ]
    left = {row: _marks(statement, row, kept) for row in rows}
    counts = Counter(mark[1:] for found in left.values() for mark in found)
    for row in rows:
        if row not in left:
            continue
        if not left[row]:
            line = statement.layout.rows[row].line
            statement.ask(
                f"Line {line} is no transaction, but no value distinguishes it from one. Delete "
                "this line from the file."
            )
            continue
        best = min(left[row], key=lambda mark: (mark.points, -counts[mark[1:]]))
        told = [other for other, found in left.items() if best[1:] in {m[1:] for m in found}]
        left = {other: found for other, found in left.items() if other not in told}
        skip.rows.setdefault(best.column, []).append(best.value)
        _note_skipped(statement, best, len(told))


def _note_skipped(statement: Statement, mark: Mark, count: int) -> None:
    label = statement.label(mark.column)
    reason = f"{label} is {mark.value!r}" if mark.value else f"{label} is empty"
    verb = "row is" if count == 1 else "rows are"
    other = " Other files may need another value." if mark.points == THIS_FILE else ""
    statement.notes.append(f"{count} {verb} left out: {reason}.{other}")


def _marks(statement: Statement, row: int, kept: list[set[str]]) -> list[Mark]:
    """Return the values of a row that no transaction has in the same column."""
    dates = statement.roles.get("transaction_date", [])
    amounts = statement.roles.get("amount", [])
    known = words().pending | words().balance_rows | words().neutral
    found = []
    cells = statement.layout.rows[row].cells[: len(statement.layout.titles)]
    for index, cell in enumerate(cells):
        value = cell.strip()
        if value in kept[index]:
            continue
        if not value and "" not in kept[index]:
            points = 1 if index in dates or index in amounts else 4
        elif index in dates and not is_date(value):
            points = 1
        elif value and (fold(value) or value) in known:
            points = 0
        elif value and is_title(statement.name_of(index), "status"):
            points = 2
        elif re.search(r"\d", value) or len(value) > MAX_VALUE:
            points = THIS_FILE
        else:
            points = 3
        found.append(Mark(points, index, value))
    return found
