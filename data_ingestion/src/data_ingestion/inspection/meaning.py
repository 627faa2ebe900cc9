"""The meaning of the other columns: currency, details and reference."""

import re
from collections.abc import Iterator
from itertools import pairwise

from data_ingestion.inspection.numbers import mark_of
from data_ingestion.inspection.statement import MONEY, Column, Statement
from data_ingestion.inspection.values import CODES, SIGNS, amount, clean
from data_ingestion.inspection.words import PARTIAL, fold, is_in_own_currency, is_title, rank, words

FEW = 2  # texts that need not say more than the direction
MAIN = 6  # the first titles of details count as such even if they also name a type


def find_currency(statement: Statement) -> None:
    """Find the currency: a column, or else the code of all rows."""
    answer = statement.answers.get("currency")
    if answer:
        statement.currency = answer.upper()
        return
    money = [statement.roles[role][0] for role in MONEY if role in statement.roles]
    money = [*statement.undecided, *money]
    found = []
    amounts = [
        statement.columns[index].name
        for role in MONEY[:3]
        for index in statement.roles.get(role, [])
    ]
    named = set(filter(None, map(_code_in, amounts)))
    if len(named) == 1:
        statement.currency = named.pop()
        return
    for column in statement.columns:
        # The currency of a purchase abroad has a value only in some rows.
        is_foreign = is_in_own_currency(column.name) is False
        if is_foreign and len(column.distinct) > 1:
            continue
        if column.is_full and all(value.upper() in CODES for value in column.distinct):
            place = rank(column.name, "currency")
            points = 300 if place is None else min(place, 150)
            distance = abs(column.index - money[0]) if money else 99
            found.append((is_foreign, distance > 1, points, distance, column.index))
    if found:
        statement.roles["currency"] = [min(found)[4]]
        return
    statement.currency = next(_codes(statement, money), None)


def _codes(statement: Statement, money: list[int]) -> Iterator[str]:
    """Yield codes of the currency: in titles, above the header, and in amounts."""
    columns = [statement.columns[index] for index in money]
    yield from filter(None, (_code_in(column.name) for column in columns))
    rows = [statement.layout.rows[row].cells for row in statement.layout.preamble]
    for cells in rows:
        parts = [part.strip() for cell in map(clean, cells) for part in re.split("[:：]", cell)]
        parts = [clean(part) for part in parts if part]
        for label, value in pairwise(parts):
            code = value[:3].upper()  # of `SGD - Singapore Dollar`
            if (
                fold(label) in words().currency_labels
                and code in CODES
                and not value[3:4].isalpha()
            ):
                yield code
    alone = {match[1] or match[2] for cells in rows for cell in cells for match in _beside(cell)}
    if len(alone) == 1:
        yield alone.pop()
    for column in columns:
        mark = mark_of(statement, column)
        read = (amount(value, mark) for value in column.filled)
        yield from (item.currency for item in read if item and item.currency)
    for cells in rows:
        for cell in cells:
            match = re.search(r"\(\s*([A-Z]{3})\s*\)", cell)
            if match and match[1] in CODES:
                yield match[1]


def _beside(cell: str) -> list[re.Match[str]]:
    """Return where a cell above the header is a code, or has one beside an amount."""
    pattern = r"^\s*([A-Z]{3})\s*$|(?<![A-Z])([A-Z]{3})\s+[-+]?\d[\d.,' ]*[.,]\d\d(?!\d)"
    return [match for match in re.finditer(pattern, cell) if (match[1] or match[2]) in CODES]


def _code_in(name: str) -> str | None:
    """Return the code of a currency in a title such as `Amount (EUR)`."""
    for match in re.finditer(r"(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])", name):
        if match[0] in CODES:
            return match[0]
    for sign, code in SIGNS.items():
        # Ft and TL are signs only as words of their own.
        letters = r"[^\W\d_]" if re.match("[A-Za-zа-я]", sign) else "(?!)"
        if re.search(rf"(?<!{letters}){re.escape(sign)}(?!{letters})", name):
            return code
    return "EUR" if re.search(r"\beuro?[as]?\b", fold(name)) else None


def find_reference(statement: Statement) -> None:
    """Find the column of references, such as the number of a cheque."""
    answered = statement.answered("reference")
    if answered is not None:
        statement.roles |= {"reference": [answered[0].index]} if answered else {}
        return
    found = [
        (rank(column.name, "reference"), column.index)
        for column in statement.columns
        if column.filled
        and column.index not in statement.used
        and is_title(column.name, "reference")
    ]
    if found:
        statement.roles["reference"] = [min(found, key=lambda item: item[0] or 0)[1]]


def find_details(statement: Statement) -> None:
    """Find the columns whose texts say what a transaction is: the other party, and the purpose."""
    answered = statement.answered("details")
    if answered is not None:
        statement.roles |= {"details": [c.index for c in answered]} if answered else {}
        return
    texts = [
        column
        for column in statement.columns
        if column.kind == "text" and column.index not in statement.used
    ]
    parties = [column for column in texts if _is_party(column)]
    purposes = [column for column in texts if column not in parties and _is_purpose(column)]
    has_other = any(_has_words(c) and len(c.distinct) > FEW for c in texts)
    is_constant = has_other and all(len(c.distinct) == 1 for c in purposes)
    if not parties and (not purposes or is_constant):
        _take_longest(statement, texts)
        return
    if len(purposes) > 1:
        named = [c for c in purposes if fold(c.name) not in ("reference", "ref")]
        purposes = named or purposes
    purposes = _with_untitled(_without_sum(purposes), texts)
    chosen = [*parties[:1], *purposes]
    statement.roles["details"] = [column.index for column in _without_repetitions(chosen)]


def _with_untitled(columns: list[Column], texts: list[Column]) -> list[Column]:
    """Add columns without a title that go on behind a column of details."""
    found = list(columns)
    for column in texts:
        if not column.name and column.index - 1 in [before.index for before in found]:
            found.append(column)
    return found


def _take_longest(statement: Statement, texts: list[Column]) -> None:
    """Take the columns with words that differ from row to row, or ask which one has the details."""
    free = [column for column in texts if len(column.distinct) > 1]
    free.sort(key=lambda column: -sum(map(len, column.values)))
    if free:
        worded = [c for c in texts if _has_words(c) and 2 * len(c.distinct) > len(c.values)]
        chosen = _without_repetitions(worded) if worded else free[:1]
        statement.roles["details"] = [column.index for column in chosen]
        labels = " and ".join(statement.label(column.index) for column in chosen)
        statement.notes.append(f"Details: the texts of {labels} differ from row to row.")
        return
    names = [f"details={statement.label(column.index)}" for column in texts]
    statement.ask("Details: no column has texts that differ.", *names, "details=none")


def _has_words(column: Column) -> bool:
    """Return whether most values are words: several, or one without digits."""
    pattern = r".*[^\W\d_]{2}.* |\D*[^\W\d_]{3}\D*$"
    worded = sum(bool(re.match(pattern, value, re.DOTALL)) for value in column.filled)
    return 2 * worded > len(column.filled)


def _is_party(column: Column) -> bool:
    name, text = rank(column.name, "counterparty"), rank(column.name, "details")
    if name is None or (text is not None and (text < name or text < PARTIAL)):
        return False
    return not _says_little(column)


def _is_purpose(column: Column) -> bool:
    return rank(column.name, "details") is not None and not _says_little(column)


def _says_little(column: Column) -> bool:
    """Return whether a column has only a direction, a status, a kind or a reference."""
    text = rank(column.name, "details")
    exact = text is not None and text < PARTIAL
    if {fold(value) for value in column.distinct} <= words().withdrawal | words().deposit:
        return True
    if len(column.distinct) == 1 and len(column.values) > 2 and not exact:
        return True
    if is_title(column.name, "status") and not exact:
        return True
    is_main = exact and text is not None and text < MAIN
    is_repeated = len(column.distinct) <= max(3, len(column.values) // 2)
    if is_title(column.name, "type") and not is_main and is_repeated:
        return True
    return is_title(column.name, "reference") and not exact


def _without_sum(columns: list[Column]) -> list[Column]:
    """Leave out `Description` where `Description 1` and `Description 2` have its parts."""
    series = [column for column in columns if re.search(r"\d$", column.name)]
    if len(series) < 2:
        return columns
    base = {fold(re.sub(r"\W*\d+$", "", column.name)) for column in series}
    return [column for column in columns if fold(column.name) not in base]


def _without_repetitions(columns: list[Column]) -> list[Column]:
    """Leave out columns whose values another column contains in every row."""
    chosen = list(columns)
    for column in sorted(columns, key=lambda c: (sum(map(len, c.values)), c is columns[0])):
        others = [other for other in chosen if other is not column]
        if re.search(r"\d$", column.name):
            continue  # one of a series
        if any(_contains(other, column) for other in others):
            chosen = others
    return chosen


def _contains(whole: Column, part: Column) -> bool:
    pairs = zip(part.values, whole.values, strict=True)
    return all(fold(small) in fold(large) for small, large in pairs)
