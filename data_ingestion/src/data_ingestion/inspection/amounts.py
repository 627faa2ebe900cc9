"""The columns of amounts and balances, and the sign of the amounts.

Titles make candidates. The candidate under which the balances add up wins. Without balances, the
titles decide, and the sign stays open unless the file shows it.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from typing import NamedTuple

from data_ingestion.inspection.chain import Proof, balances_of, proofs
from data_ingestion.inspection.dates import settle_order
from data_ingestion.inspection.indicator import (
    Indicator,
    find_indicator,
    learn_directions,
    possible_indicators,
    sign_in_words,
)
from data_ingestion.inspection.numbers import mark_of, settle_marks
from data_ingestion.inspection.statement import MONEY, AnswerError, Column, Statement
from data_ingestion.inspection.values import amount, kind_of, number_in
from data_ingestion.inspection.words import PARTIAL, is_in_own_currency, is_title, rank

# A minus marks withdrawals if at least MIN_MORE more amounts are negative than positive, and at
# least CLEAR times as many.
MIN_MORE, CLEAR = 2, 1.5
MIN_CHAIN = 4  # steps that must add up before a row that does not fit is left out
MOST = 0.7  # of the rows have an amount


class Candidate(NamedTuple):
    """One column of amounts, or a column of withdrawals and one of deposits.

    Attributes:
        columns: The column or the two columns.
        is_named: Whether titles or answers say so.
    """

    columns: tuple[Column, ...]
    is_named: bool

    @property
    def is_pair(self) -> bool:
        """Whether withdrawals and deposits have a column each."""
        return len(self.columns) == 2


class Proved(NamedTuple):
    """A candidate and a column of balances that add up."""

    candidate: Candidate
    balance: Column
    proof: Proof


def find_amounts(statement: Statement) -> None:
    """Find the amounts, their sign and the balances, and leave out the rows without an amount."""
    _leave_out_summary(statement)
    numbers = _numbers(statement)
    candidates = _candidates(statement, numbers)
    if not candidates:
        names = [statement.label(column.index) for column in numbers]
        statement.ask("Amounts: which column has the amounts?", *(f"amount={n}" for n in names))
        settle_order(statement, None)
        return
    balances = _balances(statement, numbers)
    proved = _proved(statement, candidates, balances)
    if not proved and _learn(statement, candidates, balances):
        proved = _proved(statement, candidates, balances)
    if proved:
        _take_proved(statement, proved)
        settle_order(statement, proved[0].proof.reading.newest_first)
    else:
        _take_unproved(statement, candidates)
        _ask_for_balance(statement, balances)
        settle_order(statement, None)
    used = [statement.roles[role][0] for role in MONEY if role in statement.roles]
    settle_marks(statement, [statement.columns[index] for index in [*used, *statement.undecided]])


def _numbers(statement: Statement) -> list[Column]:
    """Return the columns of numbers without a meaning."""
    return [
        column
        for column in statement.columns
        if column.index not in statement.used and (column.kind == "number" or _is_unused(column))
    ]


def _leave_out_summary(statement: Statement) -> None:
    """Leave out the first or last row if all balances but its own add up.

    Some files without a header have a row of data with the balances of the period. A row counts as
    one only if it has no text where all others have one.
    """
    if statement.has_titles or _has_chain(statement):
        return
    for row in (statement.rows[0], statement.rows[-1]):
        position = statement.rows.index(row)
        if not any(_is_alone(column, position) for column in statement.columns):
            continue
        statement.left_out[row] = "is a summary"
        statement.take_rows()
        if _has_chain(statement):
            line = statement.layout.rows[row].line
            statement.notes.append(f"Line {line} is a summary: all other balances add up.")
            return
        del statement.left_out[row]
        statement.take_rows()


def _has_chain(statement: Statement) -> bool:
    """Return whether all balances add up, in more than a few rows."""
    numbers = _numbers(statement)
    found = _proved(statement, _candidates(statement, numbers), _balances(statement, numbers))
    return any(item.proof.held == item.proof.steps >= MIN_CHAIN for item in found)


def _is_alone(column: Column, position: int) -> bool:
    """Return whether the row at a position is the only one without a text."""
    kinds = [kind_of(value) == "text" for value in column.values]
    own = kinds.pop(position)
    return all(kinds) and not own


def _candidates(statement: Statement, numbers: list[Column]) -> list[Candidate]:
    """Return the columns that can have the amounts, the likeliest first."""
    answered = _answered(statement, numbers)
    if answered:
        return answered
    refused = [key for key in ("amount", "withdrawal") if statement.answered(key) == []]
    found = _named(numbers) or _unnamed(numbers)
    return [item for item in found if ("withdrawal" if item.is_pair else "amount") not in refused]


def _unnamed(numbers: list[Column]) -> list[Candidate]:
    """Return the candidates among columns whose titles say nothing."""
    balances = [column for column in numbers if rank(column.name, "balance") is not None]
    rest = [column for column in numbers if column not in balances]
    rest = [column for column in rest if _looks_like_money(column)] or rest
    pairs = [pair for pair in permutations(rest, 2) if _are_exclusive(*pair)]
    singles = [column for column in rest if column.is_full]
    return [Candidate(columns, False) for columns in [*pairs, *((single,) for single in singles)]]


def _named(numbers: list[Column]) -> list[Candidate]:
    """Return the candidates that titles name."""
    withdrawals, deposits = _by_title(numbers, "withdrawal"), _by_title(numbers, "deposit")
    singles = [
        column
        for column in _by_title(numbers, "amount")
        if column.filled and len(column.filled) >= 0.95 * len(column.values)
    ]
    if not singles:  # the others may be rows with a balance only
        singles = [c for c in _by_title(numbers, "amount") if len(c.filled) >= MOST * len(c.values)]
    found = [Candidate((column,), True) for column in singles]
    if not withdrawals or not deposits or withdrawals[0] is deposits[0]:
        return found
    if not withdrawals[0].filled and not deposits[0].filled:
        return found
    pair = Candidate((withdrawals[0], deposits[0]), True)
    vague = not singles or (rank(singles[0].name, "amount") or 0) >= PARTIAL
    if vague or (_are_exclusive(*pair.columns) and not _is_signed(singles[0])):
        return [pair, *found]
    return [*found, pair]


def _is_unused(column: Column) -> bool:
    """Return whether a column of withdrawals or deposits has none in this file."""
    titles = ("withdrawal", "deposit")
    return column.kind == "empty" and any(is_title(column.name, role) for role in titles)


def _by_title(numbers: list[Column], role: str) -> list[Column]:
    order = (True, None, False)
    ranked = [
        (
            order.index(is_in_own_currency(column.name)),
            rank(column.name, role),
            column.index,
            column,
        )
        for column in numbers
    ]
    return [item[3] for item in sorted(item for item in ranked if item[1] is not None)]


def _answered(statement: Statement, numbers: list[Column]) -> list[Candidate]:
    """Return the candidate that answers name."""
    chosen: dict[str, Column] = {}
    for key in ("amount", "withdrawal", "deposit"):
        found = statement.answered(key)
        if found and found[0].index not in [column.index for column in numbers]:
            names = ", ".join(statement.label(column.index) for column in numbers) or "none"
            raise AnswerError(
                f"--answer {key}={statement.answers[key]}: has no numbers; these columns have: "
                f"{names}"
            )
        if found:
            chosen[key] = found[0]
    if "amount" in chosen:
        return [Candidate((chosen["amount"],), True)]
    if not chosen:
        return []
    known = next(iter(chosen.values()))
    partners = [c for c in numbers if c is not known and _are_exclusive(known, c)]
    if len(chosen) == 1 and len(partners) != 1:
        raise AnswerError("--answer withdrawal=… and deposit=… belong together: name both columns")
    withdrawal = chosen.get("withdrawal") or partners[0]
    return [Candidate((withdrawal, chosen.get("deposit") or partners[0]), True)]


def _balances(statement: Statement, numbers: list[Column]) -> list[Column]:
    """Return the columns that can have the balances, the likeliest first."""
    answered = statement.answered("balance")
    if answered is not None:
        return answered
    named = _by_title(numbers, "balance")
    if named:
        return named
    # No title names the balances. Each column of numbers is a candidate, and those that look like
    # money come first. Only a chain that adds up makes one of them the balance.
    return sorted(numbers, key=lambda column: not _looks_like_money(column))


def _proved(
    statement: Statement, candidates: list[Candidate], balances: list[Column]
) -> list[Proved]:
    """Return the readings of the amounts and the balance that add up best."""
    found = []
    for candidate in candidates:
        known = signed_amounts(statement, candidate)
        if known is None:
            continue
        for balance in balances:
            if balance in candidate.columns:
                continue
            values = balances_of(balance, mark_of(statement, balance))
            found += [
                Proved(candidate, balance, proof) for proof in proofs(statement, known, values)
            ]
    if not found:
        return []
    first = max(found, key=lambda item: item.proof.held / item.proof.steps)
    return [
        item
        for item in found
        if item.balance is first.balance
        and {column.index for column in item.candidate.columns}
        == {column.index for column in first.candidate.columns}
    ]


def _learn(statement: Statement, candidates: list[Candidate], balances: list[Column]) -> bool:
    """Learn the direction of amounts without a sign from the balances."""
    for candidate in candidates:
        if candidate.is_pair or _is_signed(candidate.columns[0]):
            continue
        known = signed_amounts(statement, candidate)
        for balance in balances:
            values = balances_of(balance, mark_of(statement, balance))
            if known and learn_directions(statement, known, values):
                return True
    return False


def signed_amounts(statement: Statement, candidate: Candidate) -> list[Decimal] | None:
    """Return the amounts, in which deposits are positive if the sign is the usual one.

    The result is None if a value is no amount.
    """
    if candidate.is_pair:
        out, into = (_unsigned(statement, column) for column in candidate.columns)
        return [b - a for a, b in zip(out, into, strict=True)]
    column = candidate.columns[0]
    mark = mark_of(statement, column)
    read = [amount(value, mark) for value in column.values]
    if any(item is None and value for item, value in zip(read, column.values, strict=True)):
        return None
    values = [item.value if item else Decimal(0) for item in read]
    indicator = _indicator(statement, candidate)
    return indicator.signed(values) if indicator else values


def _unsigned(statement: Statement, column: Column) -> list[Decimal]:
    """Return the amounts of one direction, 0 where there is none."""
    mark = mark_of(statement, column)
    read = [amount(_without_suffix(value), mark) for value in column.values]
    sign = -1 if is_negative(statement, column) else 1
    return [sign * item.value if item else Decimal(0) for item in read]


def is_negative(statement: Statement, column: Column) -> bool:
    """Return whether most amounts of a column have a minus."""
    mark = mark_of(statement, column)
    read = [amount(_without_suffix(value), mark) for value in column.filled]
    below = sum(item.value < 0 for item in read if item)
    return below > sum(item.value > 0 for item in read if item)


def _without_suffix(text: str) -> str:
    """Leave out a `Dr` or `Cr`: in a column of withdrawals, `Dr` is no minus."""
    match = number_in(text)
    return text[: text.rindex(match["suffix"])] if match and match["suffix"] else text


def _indicator(statement: Statement, candidate: Candidate) -> Indicator | None:
    """Return the column that tells withdrawals, if the amounts have no sign of their own."""
    if candidate.is_pair or _is_signed(candidate.columns[0]):
        return None
    return find_indicator(statement, candidate.columns[0])


def _take_proved(statement: Statement, proved: list[Proved]) -> None:
    """Take a candidate whose balances add up, and settle its sign or ask."""
    candidate, balance, _ = proved[0]
    indicator = _indicator(statement, candidate)
    if candidate.is_pair or indicator:
        usual = [item for item in proved if item.proof.reading.sign == 1]
        choices = {tuple(column.index for column in item.candidate.columns) for item in usual}
        is_clear = len(choices) == 1 and not _is_mostly_paid_in(statement, usual[0])
        if not indicator and not candidate.is_named and not is_clear:
            _ask_for_pair(statement, candidate)
            return
        candidate = usual[0].candidate if usual else candidate
        if _take(statement, candidate, indicator):
            _take_balance(statement, balance, [item.proof for item in usual])
        return
    _take_signed(statement, proved)


def _take_signed(statement: Statement, proved: list[Proved]) -> None:
    """Take one column of signed amounts with balances that add up."""
    candidate, balance, _ = proved[0]
    answer = statement.answers.get("sign")
    signs = {item.proof.reading.sign for item in proved}
    if answer:
        sign: int | None = -1 if answer == "inverted" else 1
    elif len(signs) == 1 and not _is_mostly_paid_in(statement, proved[0]):
        sign = signs.pop()
    else:
        sign = sign_in_words(statement, candidate.columns[0])
    if sign is None:
        _ask_for_sign(statement, candidate, balance)
        return
    _take(statement, candidate, None)
    statement.is_inverted = sign < 0
    _take_balance(statement, balance, [p.proof for p in proved if p.proof.reading.sign == sign])


def _is_mostly_paid_in(statement: Statement, proved: Proved) -> bool:
    """Return whether a reading has no more withdrawals than deposits.

    The balance of a card can be the amount owed, which grows with each purchase. People pay more
    often than they are paid, so such a reading proves nothing.
    """
    known = signed_amounts(statement, proved.candidate) or []
    signed = [proved.proof.reading.sign * value for value in known]
    return sum(value > 0 for value in signed) >= sum(value < 0 for value in signed)


def _take_balance(statement: Statement, balance: Column, found: Sequence[Proof]) -> None:
    """Take the balances, unless they rise with withdrawals."""
    label = statement.label(balance.index)
    readings = {proof.reading.is_before for proof in found}
    if not found:
        statement.notes.append(
            f"Balances: {label} rises with withdrawals, so it is an amount owed and left out."
        )
        return
    if len(readings) > 1:
        statement.notes.append(
            f"Balances: {label} can be that before or after the transaction, and is left out."
        )
        return
    statement.roles["balance"] = [balance.index]
    _leave_out_unbooked(statement, balance)
    reading, held, steps = found[0]
    statement.is_before = reading.is_before
    directions = {proof.reading.newest_first for proof in found}
    order = (
        ""
        if len(directions) > 1
        else ", newest first"
        if reading.newest_first
        else ", oldest first"
    )
    share = f"over {len(statement.rows)} rows" if held == steps else f"in {held} of {steps} steps"
    kind = " that stand before each transaction" if reading.is_before else ""
    statement.notes.append(f"Balances{kind} add up {share}{order}.")


def _leave_out_unbooked(statement: Statement, balance: Column) -> None:
    """Leave out the rows whose status says, in any language, that they have no balance yet."""
    for column in statement.columns:
        if not is_title(column.name, "status") or balance.is_full:
            continue
        pairs = list(zip(column.values, balance.values, strict=True))
        missing = {text for text, value in pairs if not value}
        if missing & {text for text, value in pairs if value}:
            continue
        for row, text in zip(statement.rows, column.values, strict=True):
            if text in missing:
                label = statement.label(column.index)
                statement.left_out[row] = f"{label} is {text!r}, and there is no balance"
        statement.take_rows()
        return


def _take_unproved(statement: Statement, candidates: list[Candidate]) -> None:
    """Take the candidate that titles name, or the only one."""
    candidate = candidates[0]
    if not candidate.is_named:
        singles = [item.columns[0] for item in candidates if not item.is_pair]
        pairs = {frozenset(c.index for c in item.columns) for item in candidates if item.is_pair}
        if len(singles) + len(pairs) > 1:
            labels = [statement.label(column.index) for column in singles]
            labels = labels or [
                statement.label(index) for index in sorted(frozenset().union(*pairs))
            ]
            key = "amount" if singles else "withdrawal"
            statement.ask(
                "Amounts: several columns can have them, and no balance adds up.",
                *(f"{key}={label}" for label in labels),
            )
            return
        if candidate.is_pair:
            _ask_for_pair(statement, candidate)
            return
    if rivals := _rivals(statement, candidates):
        labels = [statement.label(item.columns[0].index) for item in (candidate, *rivals)]
        statement.undecided += [item.columns[0].index for item in (candidate, *rivals)]
        statement.ask(
            f"Amounts: {' and '.join(labels)} differ, and no balance tells which one is booked.",
            *(f"amount={label}" for label in labels),
        )
        return
    indicator = _indicator(statement, candidate)
    if candidate.is_pair or indicator or _settle_sign(statement, candidate):
        _take(statement, candidate, indicator)


def _rivals(statement: Statement, candidates: list[Candidate]) -> list[Candidate]:
    """Return other columns whose titles say as well as the first one's that they are the amounts.

    With `Amount`, `Fee` and `Net`, a person must say which one changes the balance.
    """
    first = candidates[0]
    if first.is_pair or is_in_own_currency(first.columns[0].name):
        return []
    found, own = [], _sizes(statement, first.columns[0])
    for item in candidates[1:]:
        column = item.columns[0]
        is_equal = is_title(column.name, "amount") and is_in_own_currency(column.name) is None
        if not item.is_pair and is_equal and _sizes(statement, column) != own:
            found.append(item)
    return found


def _sizes(statement: Statement, column: Column) -> list[Decimal | None]:
    """Return the amounts of a column without their signs."""
    mark = mark_of(statement, column)
    read = [amount(value, mark) for value in column.values]
    return [abs(item.value) if item else None for item in read]


def _settle_sign(statement: Statement, candidate: Candidate) -> bool:
    """Settle the sign of amounts without balances, or ask; return whether it is settled."""
    column = candidate.columns[0]
    answer = statement.answers.get("sign")
    by_words = sign_in_words(statement, column)
    if answer or by_words:
        statement.is_inverted = answer == "inverted" if answer else by_words == -1
        return True
    mark = mark_of(statement, column)
    values = [item.value for item in (amount(value, mark) for value in column.filled) if item]
    below, above = sum(value < 0 for value in values), sum(value > 0 for value in values)
    if below - above >= MIN_MORE and below >= CLEAR * above:
        statement.notes.append(f"Sign: a minus marks withdrawals, {below} of {below + above}.")
        return True
    _ask_for_sign(statement, candidate, None)
    return False


def _take(statement: Statement, candidate: Candidate, indicator: Indicator | None) -> bool:
    """Give the columns of a candidate their meaning, unless the direction stays open."""
    indexes = [column.index for column in candidate.columns]
    negative = [is_negative(statement, column) for column in candidate.columns]
    if candidate.is_pair and all(negative):
        statement.undecided += indexes
        labels = " and ".join(map(statement.label, indexes))
        statement.ask(
            f"Amounts: both {labels} have a minus, which a declaration cannot express. Remove the "
            "minus signs of one of these columns from the file."
        )
        return False
    if candidate.is_pair:
        statement.roles |= {"withdrawal": indexes[:1], "deposit": indexes[1:]}
        statement.is_inverted, statement.has_negative_deposits = negative
    elif indicator and not indicator.is_complete:
        statement.undecided += indexes
        indicator.ask(statement)
        return False
    else:
        statement.roles["amount"] = indexes
        if indicator:
            indicator.take(statement)
    _leave_out_empty(statement, indexes)
    return True


def _leave_out_empty(statement: Statement, indexes: list[int]) -> None:
    """Leave out the rows without an amount: they have a balance only, or a note.

    A first or last row of 0 is an opening or closing balance.
    """
    ends = {statement.rows[0], statement.rows[-1]}
    labels = " and ".join(statement.label(index) for index in indexes)
    rows = zip(*(statement.columns[index].values for index in indexes), strict=True)
    for row, values in zip(statement.rows, list(rows), strict=True):
        if not any(map(_has_number if row in ends else number_in, values)):
            statement.left_out[row] = f"{labels} has no amount"
    statement.take_rows()


def _ask_for_sign(statement: Statement, candidate: Candidate, balance: Column | None) -> None:
    statement.undecided.append(candidate.columns[0].index)
    label = statement.label(candidate.columns[0].index)
    plain = [
        f", such as {value} on line {statement.line_of(position)},"
        for position, value in enumerate(candidate.columns[0].values)
        if re.match(r"[\d+]", value)
    ]
    example = f" in {label}{plain[0] if plain else ''}"
    reason = "the balance can be an amount owed" if balance else "no balance tells it"
    if not _is_signed(candidate.columns[0]) and (choices := possible_indicators(statement)):
        statement.ask(
            f"Sign: no amount{example} has a sign. Another column may mark the withdrawals. "
            "If none does, all amounts are deposits (usual), or all are withdrawals (inverted).",
            *choices,
            "sign=usual",
            "sign=inverted",
        )
        return
    statement.ask(
        f"Sign: an amount without a minus{example} can be a deposit (usual) or a withdrawal "
        f"(inverted): {reason}.",
        "sign=usual",
        "sign=inverted",
    )


def _ask_for_pair(statement: Statement, candidate: Candidate) -> None:
    labels = [statement.label(column.index) for column in candidate.columns]
    statement.undecided += [column.index for column in candidate.columns]
    shown = [
        f"{label} (such as {next(filter(_has_number, column.values))})"
        for label, column in zip(labels, candidate.columns, strict=True)
    ]
    statement.ask(
        f"Amounts: {' and '.join(sorted(shown))} have one direction each; which has withdrawals?",
        *(f"withdrawal={label}" for label in sorted(labels)),
    )


def _ask_for_balance(statement: Statement, balances: list[Column]) -> None:
    """Say why a column that is named like a balance is none, or ask."""
    answered = statement.answered("balance")
    if answered:
        statement.roles["balance"] = [answered[0].index]
        return
    for column in balances:
        label = statement.label(column.index)
        if rank(column.name, "balance") is None or not column.filled:
            continue
        if len(column.distinct) == 1 and len(column.values) > 1:
            statement.notes.append(f"Balances: {label} never changes, so it is no running balance.")
            continue
        statement.ask(
            f"Balances: {label} does not add up; is it the balance after each transaction?",
            f"balance={label}",
            "balance=none",
        )
        return


def _are_exclusive(first: Column, second: Column) -> bool:
    """Return whether each row has a number other than 0 in exactly one of two columns."""
    pairs = [
        (_has_number(a), _has_number(b)) for a, b in zip(first.values, second.values, strict=True)
    ]
    return all(a != b for a, b in pairs) and any(a for a, _ in pairs) and any(b for _, b in pairs)


def _has_number(text: str) -> bool:
    match = number_in(text)
    return bool(match and re.search("[1-9]", match["number"]))


def _is_signed(column: Column) -> bool:
    parts = ("sign1", "sign2", "sign3", "close", "suffix")
    return any(
        match and any(match[part] for part in parts) for match in map(number_in, column.filled)
    )


def _looks_like_money(column: Column) -> bool:
    """Return whether some values have one or two decimal places, or a sign."""
    matches = [match for match in map(number_in, column.filled) if match]
    return any(
        re.search(r"[.,]\d{1,2}\s*$", match["number"]) or match["sign1"] or match["sign2"]
        for match in matches
    )
