"""The account number: in a column, above the header, in the file's name, or nowhere."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import combinations

from data_ingestion.inspection.layout import Layout
from data_ingestion.inspection.statement import Column, Statement
from data_ingestion.inspection.values import clean, is_date
from data_ingestion.inspection.words import fold, is_title, rank, words

IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9 ]{10,34}")
PLAIN = re.compile(r"[\dXx*][\dXx* ./-]{4,}\d")
NUMBER = r"([A-Z]{0,6}[\dXx*][\dXx* ./-]*\d)"
ABBREVIATED = "(?:number|no|nr|n)"
MIN_DIGITS = 4
MAX_PLACE = 8  # of a number in a line below its label
UNNAMED = 50  # the rank of a column without a title whose values look like account numbers
# The forms of a number in a declaration; the narrowest one that finds the number is taken. Each
# needs a digit: the account of another file is no word.
FORMS = (
    r"((?=\S*\d)[A-Za-z\d]+)",
    r"((?=\S*\d)[\w./*-]+)",
    r"((?=.*\d)[\w./*-]+(?: [\w./*-]+)*)",
)


def find_account(statement: Statement) -> None:
    """Find out where the account number stands, or ask."""
    answer = statement.answers.get("account_number")
    if answer:
        named = [column for column in statement.columns if statement.label(column.index) == answer]
        statement.account = statement.label(named[0].index) if named else {"constant": answer}
        if named:
            statement.roles["account_number"] = [named[0].index]
        return
    for label, number in _above_header(statement):
        pattern = _pattern(statement.layout, label, number)
        if pattern and statement.has_titles:
            statement.account = {"preamble": pattern}
            statement.notes.append(f"Account: {number} stands above the header.")
            return
    columns = _column(statement) or _pair(statement)
    if columns:
        statement.roles["account_number"] = [column.index for column in columns]
        return
    statement.ask(
        "Account: the file does not say it. If the file's name does, write "
        "`account_number: {path: REGEX}` below `transaction`.",
        "account_number=NUMBER",
    )


def _column(statement: Statement) -> list[Column]:
    """Return the column of the account number."""
    found = []
    party = [c.index for c in statement.columns if is_title(c.name, "counterparty")]
    others = [c for c in statement.columns if _is_of_other(c) and c.index not in party]
    for column in statement.columns:
        if column.index in statement.used or not column.filled or not column.is_full:
            continue
        if _is_of_other(column):
            continue
        # The column after the other party's name has that party's account, unless a title names
        # another column for it.
        is_behind = column.index - 1 in party or (party and fold(column.name) == "iban")
        if is_behind and not others:
            continue
        if not all(_digits(value) >= MIN_DIGITS for value in column.distinct):
            continue
        place = rank(column.name, "account_number")
        if place is None and not statement.has_titles and len(column.distinct) == 1:
            place = _looks_like_account(column.distinct[0])
        if place is not None and len(column.distinct) <= max(1, len(column.values) // 3):
            found.append((place, column.index, column))
    return [min(found)[2]] if found else []


def _is_of_other(column: Column) -> bool:
    """Return whether a title says that a column belongs to the other party."""
    return any(word in fold(column.name) for word in words().not_own)


def _looks_like_account(value: str) -> int | None:
    if IBAN.fullmatch(value):
        return UNNAMED
    is_amount = re.search(r"[.,]\d\d$", value)
    return UNNAMED + 1 if PLAIN.fullmatch(value) and not is_amount and not is_date(value) else None


def _pair(statement: Statement) -> list[Column]:
    """Return two columns that have the same number, one for each direction."""
    for first, second in combinations([c for c in statement.columns if c.filled], 2):
        numbers = {*first.distinct, *second.distinct}
        pairs = zip(first.values, second.values, strict=True)
        if len(numbers) == 1 and _digits(*numbers) and all(bool(a) != bool(b) for a, b in pairs):
            return [first, second]
    return []


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _above_header(statement: Statement) -> Iterator[tuple[str, str]]:
    """Yield labels of account numbers above the header, as they stand, with their numbers."""
    rows = [
        [cell for cell in map(clean, statement.layout.rows[row].cells) if cell]
        for row in statement.layout.preamble
    ]
    for index, cells in enumerate(rows):
        after = rows[index + 1] if index + 1 < len(rows) else []
        is_table = len(after) == len(cells) > 2 and not any(map(_digits, cells))
        for place, cell in enumerate(cells):
            below = after[place : place + 1] if is_table else after[:1]
            label, mark, inside = (part.strip() for part in _split(cell))
            if fold(label) not in words().account_labels:
                continue
            behind = [] if is_table else cells[place + 1 : place + 2]
            behind = [inside] if mark and inside else behind or below
            for text in behind:
                if number := _number(text):
                    yield label, number
    for cells in rows:
        for cell in cells:
            yield from _in_sentence(cell)


def _split(cell: str) -> tuple[str, str, str]:
    match = re.match(r"([^:：]*)([:：])(.*)", cell, re.DOTALL)
    return match.groups() if match else (cell, "", "")  # type: ignore[return-value]


def _in_sentence(cell: str) -> Iterator[tuple[str, str]]:
    """Yield the label and the number in a text such as `Checking account XXXX-4177 as of …`."""
    plain = "".join(unicodedata.normalize("NFKD", character)[0] for character in cell)
    for label in sorted(words().account_labels, key=len, reverse=True):
        known = r"\W+".join(map(re.escape, label.split()))
        match = re.search(rf"(?<!\w){known}\W+(?:{ABBREVIATED}\W+)?{NUMBER}", plain, re.IGNORECASE)
        if match and _digits(match[1]) >= MIN_DIGITS and not is_date(match[1]):
            yield cell[match.start() : match.start(1)].strip(), match[1].strip()


def _number(text: str) -> str | None:
    """Return the account number in a text that follows a label."""
    text = clean(text)
    tail = re.search(r"(?:^|\s)([*Xx]*\d[\dXx*-]{3,}\d)$", text)
    begins = re.match(r"[\dXx*]|[A-Z]{2}\d\d", text)
    if tail and not begins:
        return tail[1]
    match = re.match(r"([A-Z]{0,4}[\dXx*_][\w *./-]*?\d[A-Z]?)(?:\s*[(\s-]\s*\D.*)?$", text)
    if match and _digits(match[1]) >= MIN_DIGITS and not is_date(match[1]):
        return match[1].strip()
    return None


def _pattern(layout: Layout, label: str, number: str) -> str | None:
    """Return a regular expression that finds the number behind its label in the lines above."""
    preamble, mark = layout.preamble_text(), re.escape(layout.delimiter)
    in_table = [rf".*\n(?:[^{mark}\n]*{mark}){{{place}}}\W*" for place in range(1, MAX_PLACE)]
    escaped = re.escape(label).replace("\\ ", " ")
    escaped = re.sub(r"^(?=\w)", r"\\b", escaped)
    escaped = re.sub(r"(?<=\w)$", r"\\b", escaped)
    for between in (r"\W*", r"[\W_]*", r".*?", *in_table):
        for form in FORMS:
            pattern = rf"{escaped}{between}{form}"
            match = re.search(pattern, preamble, re.MULTILINE)
            if match and clean(match[1]) == number:
                return pattern
    found = re.search(rf"{re.escape(label)}([^\n]*?){re.escape(number)}", preamble)
    if found is None:
        return None
    between = re.escape(found[1]).replace("\\ ", " ")
    pattern = rf"{escaped}{between}{FORMS[2]}"
    match = re.search(pattern, preamble, re.MULTILINE)
    return pattern if match and clean(match[1]) == number else None
