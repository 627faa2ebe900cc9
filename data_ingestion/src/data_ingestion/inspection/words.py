"""The words of bank statements in `words.yml`, without case, accents and marks."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

PARTIAL = 200  # the rank of a title that only contains a known one


@dataclass(frozen=True)
class Words:
    """The lists of `words.yml`.

    Attributes:
        titles: The usual titles of columns by meaning; the most telling ones stand first.
        months: The number of each name of a month.
        withdrawal: Values that mark a withdrawal.
        deposit: Values that mark a deposit.
        neutral: Values in their place that mark neither.
        pending: Values that mark a transaction that is not booked, or never will be.
        booked: Values that mark a booked transaction.
        balance_rows: Texts of rows with a balance or a total.
        account_labels: Labels of the account number above the header.
        currency_labels: Labels of the currency above the header.
        not_own: Parts of titles of the other party's account.
        foreign: Parts of titles of amounts in the currency of a purchase abroad.
        own_currency: Parts of titles of amounts in the currency of the account.
        every: All words, to tell which encoding gives readable text.
    """

    titles: Mapping[str, tuple[str, ...]]
    months: Mapping[str, int]
    withdrawal: frozenset[str]
    deposit: frozenset[str]
    neutral: frozenset[str]
    pending: frozenset[str]
    booked: frozenset[str]
    balance_rows: frozenset[str]
    account_labels: frozenset[str]
    currency_labels: frozenset[str]
    not_own: frozenset[str]
    foreign: frozenset[str]
    own_currency: frozenset[str]
    every: frozenset[str]


@cache
def words() -> Words:
    """Return the lists."""
    text = files(__package__).joinpath("words.yml").read_text("utf-8")
    # With this loader, `on` and `no` are texts.
    content = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes only texts
    titles = {role: tuple(map(fold, names)) for role, names in content.pop("titles").items()}
    months = {
        name.lower(): number
        for number, names in enumerate(content.pop("months"), start=1)
        for name in names
    }
    lists = {key: frozenset(fold(name) or name for name in names) for key, names in content.items()}
    known = [
        word
        for names in (*titles.values(), *lists.values())
        for name in names
        for word in name.split()
    ]
    every = frozenset(word for word in known if len(word) > 2 or not word.isascii())
    return Words(titles=titles, months=months, every=every, **lists)


def fold(text: str) -> str:
    """Return a text in lower case, without accents, and with one blank for all other marks."""
    text = text.lower().translate({ord("ß"): "ss", ord("ł"): "l", ord("ø"): "o", ord("ı"): "i"})
    text = unicodedata.normalize("NFKD", text)
    text = "".join(character for character in text if not unicodedata.combining(character))
    return re.sub(r"[\W_]+", " ", text).strip()


@cache
def rank(title: str, meaning: str) -> int | None:
    """Return how well a title says a meaning: 0 is best, None is not at all.

    A rank from `PARTIAL` on means that the title contains a known one among other words.
    """
    title = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[a-z]{4})(?=\d$)", " ", title)  # `ValueDate`, `Text1`
    folded = fold(re.sub(r"[(（][^)）]*[)）]", " ", title)) or fold(title)
    parts = folded.split()
    if meaning in ("withdrawal", "deposit") and (
        inside := re.search(r"[(（]([^)）]*)[)）]", title)
    ):
        # Of `Amount (debit)` and `Amount (credit)`, only what stands in brackets tells a direction.
        exact = fold(inside[1])
        if len(exact) > 1 and exact in words().titles[meaning]:
            return words().titles[meaning].index(exact)
    best: int | None = None
    for index, known in enumerate(words().titles[meaning]):
        if folded == known:
            return index
        if _contains(folded, parts, known):
            score = PARTIAL + index + 10 * (len(parts) - len(known.split()))
            best = score if best is None else min(best, score)
    return best


def is_title(title: str, meaning: str) -> bool:
    """Return whether a title is one of the known ones for a meaning."""
    found = rank(title, meaning)
    return found is not None and found < PARTIAL


def is_in_own_currency(title: str) -> bool | None:
    """Return True for the currency of the account, False for that of a purchase, else None."""
    folded = fold(title)
    if any(part in folded for part in words().own_currency):
        return True
    return False if any(part in folded for part in words().foreign) else None


def _contains(folded: str, parts: list[str], known: str) -> bool:
    wanted = known.split()
    starts = range(len(parts) - len(wanted) + 1)
    if any(parts[start : start + len(wanted)] == wanted for start in starts):
        return True
    # Chinese and Japanese have no blanks between words.
    return not known.isascii() and len(known) > 1 and known in folded
