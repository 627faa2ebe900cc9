"""Render a cell's value with its number format, as a spreadsheet shows it and saves it as CSV.

The formats are those of ECMA-376 part 1, section 18.8.31. This module supports the ones that tables
of data use: literals, digits, grouping, scaling, per cent, currency, sections by sign, dates and
times. It refuses all others (fractions, exponents, conditions, elapsed time). It renders built-in
format 14, the "short date" of the reader's country, as in the United States.

One result differs from a spreadsheet's on purpose: General keeps all digits of a number
(409000611074, not 4.09001E+11).
"""

import re
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
SHORT_DATE = "mm-dd-yy"  # openpyxl's code for built-in format 14

TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>General)|(?P<am_pm>AM/PM|A/P)|(?P<date>y+|m+|d+|h+|s+)"
    r"|(?P<digits>[0#?,.]*[0#?][0#?,.]*)|(?P<section>;)|(?P<refused>E[+-]|/(?=[0-9#?]))"
    r"|(?P<other>.)",
    re.IGNORECASE,
)
COLOURS = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|color ?\d+", re.IGNORECASE)

Token = tuple[str, str]
Section = tuple[Token, ...]


class FormatError(ValueError):
    """The number format is not supported."""


def render(value: object, code: str) -> str:
    """Return the text of a cell with `value` and the number format `code`.

    Raises:
        FormatError: The format is not supported for this type of value.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return _text(value, _sections(code))
    if isinstance(value, (datetime, date, time)):
        code = "m/d/yyyy" if code == SHORT_DATE else code
        return _moment(value, _sections(code)[0])
    if isinstance(value, (int, float)):
        return _signed(_decimal(value), _sections(code))
    raise FormatError(f"{code!r} for a value of type {type(value).__name__}")


@lru_cache(maxsize=1_000)
def _sections(code: str) -> tuple[Section, ...]:
    """Return the format's sections as (kind, text) tokens, with literals in their final form."""
    sections: list[list[Token]] = [[]]
    for match in TOKEN.finditer(code):
        kind = match.lastgroup or "other"  # every alternative is a named group
        text = match.group(kind)
        if kind == "section":
            sections.append([])
        elif kind == "refused":
            raise FormatError(repr(code))
        elif kind == "bracket":
            sections[-1].append(("literal", _bracket(text, code)))
        elif kind in ("quoted", "escaped"):
            sections[-1].append(("literal", text))
        elif kind == "space":
            sections[-1].append(("literal", " "))
        elif kind == "other":
            sections[-1].append(("text" if text == "@" else "literal", text))
        elif kind != "fill":  # a fill repeats up to the column's width, which CSV does not have
            sections[-1].append((kind, text))
    return tuple(map(tuple, sections))


def _bracket(text: str, code: str) -> str:
    if text.startswith("$"):  # [$₹-4009]: a currency and a locale
        return text[1:].partition("-")[0]
    if COLOURS.fullmatch(text):
        return ""
    raise FormatError(repr(code))


def _text(value: str, sections: tuple[Section, ...]) -> str:
    section = sections[3] if len(sections) > 3 else (("text", "@"),)
    return "".join(value if kind == "text" else text for kind, text in section)


def _decimal(value: int | float) -> Decimal:
    """Return the number with 15 significant digits, the precision of a spreadsheet."""
    return Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")


def _signed(value: Decimal, sections: tuple[Section, ...]) -> str:
    """Choose the section by the sign; only the first section adds a minus."""
    if value < 0 and len(sections) > 1:
        return _number(-value, sections[1])
    if value == 0 and len(sections) > 2:
        return _number(value, sections[2])
    text = _number(abs(value), sections[0])
    return "-" + text if value < 0 and re.search("[1-9]", text) else text


def _number(value: Decimal, section: Section) -> str:
    kinds = [kind for kind, _ in section]
    if "date" in kinds or "am_pm" in kinds or kinds.count("digits") > 1:
        raise FormatError(repr("".join(text for _, text in section)))
    per_cents = sum(text.count("%") for kind, text in section if kind == "literal")
    parts = []
    for kind, text in section:
        if kind == "digits":
            parts.append(_digits(value.scaleb(2 * per_cents), text))
        elif kind in ("general", "text"):
            parts.append(f"{value.normalize():f}")
        else:
            parts.append(text)
    return "".join(parts)


def _digits(value: Decimal, pattern: str) -> str:
    whole_pattern, _, part_pattern = pattern.partition(".")
    scale = len(whole_pattern) - len(whole_pattern.rstrip(","))
    scale += len(part_pattern) - len(part_pattern.rstrip(","))
    whole_pattern, part_pattern = whole_pattern.rstrip(","), part_pattern.rstrip(",")
    grouped = "," in whole_pattern
    places = whole_pattern.replace(",", "")
    step = Decimal(1).scaleb(-len(part_pattern))
    rounded = value.scaleb(-3 * scale).quantize(step, ROUND_HALF_UP)
    whole, _, part = f"{rounded:f}".partition(".")
    whole = whole.lstrip("0").rjust(places.count("0"), "0")
    if grouped and whole:
        whole = f"{int(whole):0{len(whole) + (len(whole) - 1) // 3},}"
    digits = len(whole.replace(",", ""))
    whole = " " * (places.count("?") - max(digits - places.count("0"), 0)) + whole
    significant = len(part.rstrip("0"))
    text = ""
    for index, place in enumerate(part_pattern):
        text += part[index] if index < significant or place == "0" else " " * (place == "?")
    return whole + ("." if "." in pattern else "") + text


def _moment(value: Any, section: Section) -> str:
    """Return the text of a date, time or datetime.

    A part that the value does not have, such as the year of a time, raises AttributeError.
    """
    if any(kind in ("digits", "general", "text") for kind, _ in section):
        raise FormatError(repr("".join(text for _, text in section)))
    dates = [index for index, (kind, _) in enumerate(section) if kind == "date"]
    am_pm = any(kind == "am_pm" for kind, _ in section)
    parts = []
    for index, (kind, text) in enumerate(section):
        if kind == "am_pm":
            letters = "PM" if value.hour >= 12 else "AM"
            parts.append(letters if len(text) > 3 else letters[0])
        elif kind == "date":
            at = dates.index(index)
            before = section[dates[at - 1]][1][0].lower() if at else ""
            after = section[dates[at + 1]][1][0].lower() if at + 1 < len(dates) else ""
            minute = text[0] in "mM" and len(text) < 3 and (before == "h" or after == "s")
            parts.append(_field(value, "minute" if minute else text.lower(), len(text), am_pm))
        else:
            parts.append(text)
    return "".join(parts)


def _field(value: Any, name: str, length: int, am_pm: bool) -> str:
    """Return one part of a date or time. The number of letters selects digits or a name."""
    if name[0] == "y":
        return f"{value.year:04d}" if length > 2 else f"{value.year % 100:02d}"
    if name == "minute":
        number = value.minute
    elif name[0] == "h":
        number = (value.hour - 1) % 12 + 1 if am_pm else value.hour
    elif name[0] == "s":
        number = value.second
    elif length > 2:
        text: str = MONTHS[value.month - 1] if name[0] == "m" else WEEKDAYS[value.weekday()]
        return text[:1] if length == 5 else text[:3] if length == 3 else text
    else:
        number = value.month if name[0] == "m" else value.day
    return f"{number:02d}" if length == 2 else str(number)
