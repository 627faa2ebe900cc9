"""Dates and amounts as banks write them, with every reading that a text allows."""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from data_ingestion.inspection.words import words

Parts = tuple[str, str, int | str, str, str]  # order, year, month, day and format of a date
ORDERS = ("dmy", "mdy", "ymd")
YEARS = range(1950, 2101)
TIME = (
    r"(?:(?:[ T,]+|-)\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.:,]\d+)?)?(?: ?[AP]M)?"
    r"(?:Z| ?[+-]\d{2}:?\d{2}| [A-Z]{2,4})?)?"
)
NUMERIC = re.compile(rf"(\d{{1,4}})([./:-])(\d{{1,2}})\2(\d{{1,4}})(\.?){TIME}$", re.IGNORECASE)
COMPACT = re.compile(rf"(\d{{4}})(\d\d)(\d\d){TIME}$", re.IGNORECASE)
KANJI = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日")
DAY_MONTH = re.compile(
    rf"(\d{{1,2}})([ ./-]*)([^\W\d_]+)\.?([ ./,-]*)(\d{{4}}|\d{{2}}){TIME}$", re.IGNORECASE
)
MONTH_DAY = re.compile(
    rf"([^\W\d_]+)\.?([ ./-]*)(\d{{1,2}})(,?[ ./-]+)(\d{{4}}|\d{{2}}){TIME}$", re.IGNORECASE
)
SIGNS = {
    "£": "GBP",
    "€": "EUR",
    "円": "JPY",
    "₹": "INR",
    "zł": "PLN",
    "₽": "RUB",
    "руб": "RUB",
    "₺": "TRY",
    "TL": "TRY",
    "₴": "UAH",
    "грн": "UAH",
    "₪": "ILS",
    "₫": "VND",
    "฿": "THB",
    "₱": "PHP",
    "₩": "KRW",
    "원": "KRW",
    "Kč": "CZK",
    "Ft": "HUF",
    "R$": "BRL",
    "Rp": "IDR",
}
VAGUE_SIGNS = ("$", "US$", "¥", "￥", "R", "Rs", "kr", "元")  # of several currencies
CODES = frozenset(
    [
        "AED",
        "AUD",
        "BAM",
        "BDT",
        "BGN",
        "BHD",
        "BRL",
        "CAD",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CZK",
        "DKK",
        "EGP",
        "EUR",
        "GBP",
        "GEL",
        "GHS",
        "HKD",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "ISK",
        "JPY",
        "KES",
        "KRW",
        "KWD",
        "KZT",
        "LKR",
        "MAD",
        "MXN",
        "MYR",
        "NGN",
        "NOK",
        "NPR",
        "NZD",
        "OMR",
        "PEN",
        "PHP",
        "PKR",
        "PLN",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "RUR",
        "SAR",
        "SEK",
        "SGD",
        "THB",
        "TRY",
        "TWD",
        "TZS",
        "UAH",
        "UGX",
        "USD",
        "VND",
        "XAF",
        "XOF",
        "ZAR",
        "ZMW",
    ]
)
BLANKS = " \u00a0\u202f\u2009"
AMOUNT = re.compile(
    rf"""(?P<open>\()?\s*(?P<sign1>[-+−–])?\s*
    (?P<before>[A-Z]{{0,2}}\$|[A-Z]{{1,3}}[sp]?\.?|[£€¥￥₹₽₺₴₪₫฿₱₩])?\s*
    (?P<sign2>[-+−–])?\s*
    (?P<open2>\()?(?P<number>\d[\d.,'’{BLANKS}]*|[.,]\d+)\s*
    (?P<behind>[A-Z]{{3}}(?![A-Z])|[£€$¥₹₽₺₴₪₫฿₱₩円元원]|zł|kr\.?|TL|Kč|Ft|руб\.?|грн\.?)?\s*
    (?P<sign3>[-+−])?\s*(?P<close>\))?\s*
    (?P<suffix>CR|DR|Cr|Dr|cr|dr|(?:(?<=[.,]\d\d)|(?<=[.,]\d\d\ ))[DSCHK])?\.?$""",
    re.VERBOSE,
)
GROUPS = re.compile(rf"[{BLANKS}'’]")


class DateReading(NamedTuple):
    """A date, and the format under which the text is this date."""

    day: date
    format: str


class Amount(NamedTuple):
    """A number with what stands around it.

    Attributes:
        value: The number with its sign; a suffix `Dr`, `D` or `S` makes it negative.
        currency: The code of its currency, if one stands beside it.
        is_signed: Whether a sign, brackets or a suffix tell the direction.
    """

    value: Decimal
    currency: str | None
    is_signed: bool


def clean(text: str) -> str:
    """Strip blanks, and the marks with which spreadsheets and banks protect values."""
    text = text.strip(" \t\r\n\u00a0\ufeff\u200b")
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    if text.startswith("=") and len(text) > 1:
        text = text[1:]
    if len(text) > 1 and text[0] in "'_`":
        text = text[1:].removesuffix("'")
    return text.strip()


@lru_cache(maxsize=1 << 16)
def dates_of(text: str) -> dict[str, DateReading]:
    """Return the date for each order (`dmy`, `mdy`, `ymd`) under which a text is one."""
    text = clean(text)
    if not 6 <= len(text) <= 40 or not any(map(str.isdigit, text)):
        return {}
    if match := COMPACT.match(text):
        return _readings([("ymd", match[1], match[2], match[3], "%Y%m%d")])
    if match := KANJI.match(text):
        return _readings([("ymd", match[1], match[2], match[3], "%Y年%m月%d日")])
    if match := NUMERIC.match(text):
        return _readings(_numeric(match))
    if match := DAY_MONTH.match(text):
        day, first, name, second, year = match.groups()
        form = f"%d{first}%b{second}{_year(year)}"
        return _readings([("dmy", year, words().months.get(name.lower(), 0), day, form)])
    if match := MONTH_DAY.match(text):
        name, first, day, second, year = match.groups()
        form = f"%b{first}%d{second}{_year(year)}"
        return _readings([("mdy", year, words().months.get(name.lower(), 0), day, form)])
    return {}


def _numeric(match: re.Match[str]) -> list[Parts]:
    """Return the orders in which three numbers can be a date."""
    first, mark, second, third, end = match.groups()
    if mark == ":" and len(first) != 4:
        return []  # a time
    if len(first) == 4:
        return [("ymd", first, second, third, f"%Y{mark}%m{mark}%d{end}")]
    if len(first) == 3 or len(third) not in (2, 4):
        return []
    year = _year(third)
    found: list[Parts] = [
        ("dmy", third, second, first, f"%d{mark}%m{mark}{year}{end}"),
        ("mdy", third, first, second, f"%m{mark}%d{mark}{year}{end}"),
    ]
    if len(first) == len(third) == 2:
        found.append(("ymd", first, second, third, f"%y{mark}%m{mark}%d{end}"))
    return found


def _year(digits: str) -> str:
    return "%Y" if len(digits) == 4 else "%y"


def _readings(parts: list[Parts]) -> dict[str, DateReading]:
    found = {}
    for order, year, month, day, form in parts:
        number = int(year) + (2000 if len(year) == 2 else 0)
        try:
            read = date(number, int(month), int(day))
        except ValueError:
            continue
        if number in YEARS:
            found[order] = DateReading(read, form)
    return found


@lru_cache(maxsize=1 << 16)
def number_in(text: str) -> re.Match[str] | None:
    """Return the parts of a text that is an amount."""
    match = AMOUNT.match(clean(text))
    if match is None:
        return None
    currency = (match["before"] or match["behind"] or "").rstrip(".")
    known = not currency or currency in CODES or currency in SIGNS or currency in VAGUE_SIGNS
    return match if known else None


@lru_cache(maxsize=1 << 16)
def decimal_marks(text: str) -> frozenset[str]:
    """Return the decimal marks with which a text can be an amount."""
    match = number_in(text)
    if match is None:
        return frozenset()
    number = GROUPS.sub("", match["number"])
    return frozenset(
        mark for mark, group in ((".", ","), (",", ".")) if _is_number(number, mark, group)
    )


def _is_number(number: str, mark: str, group: str) -> bool:
    whole, _, rest = number.partition(mark)
    if mark in rest or group in rest:
        return False
    first, *others = whole.split(group)
    if not others:
        return True
    # In India the last group has three digits, and the others have two.
    is_grouped = all(len(digits) in (2, 3) for digits in others) and len(others[-1]) == 3
    return is_grouped and 1 <= len(first) <= 3 and first != "0"


def amount(text: str, mark: str) -> Amount | None:
    """Return the amount that a text is under a decimal mark."""
    match = number_in(text)
    if match is None or mark not in decimal_marks(text):
        return None
    number = GROUPS.sub("", match["number"]).replace("," if mark == "." else ".", "")
    value = Decimal(number.replace(mark, ".") or "0")
    sign = match["sign1"] or match["sign2"] or match["sign3"]
    brackets = (match["open"] or match["open2"]) and match["close"]
    suffix = (match["suffix"] or "").lower()
    if brackets or sign in ("-", "−", "–"):
        value = -value
    if suffix in ("dr", "d", "s"):
        value = -abs(value)
    code = (match["before"] or match["behind"] or "").rstrip(".")
    currency = code if code in CODES else SIGNS.get(code)
    return Amount(value, currency, bool(sign or brackets or suffix))


def is_date(text: str) -> bool:
    """Return whether a text is a date under any order."""
    return bool(dates_of(text))


def kind_of(text: str) -> str:
    """Return the kind of a value: `empty`, `date`, `number` or `text`."""
    value = clean(text)
    if not value or value == "-":
        return "empty"
    if is_date(value):
        return "date"
    return "number" if number_in(value) else "text"
