"""Render a date or time as its number format shows it, or as ISO text if that leaves a doubt.

Which day is meant by 03/05/2024 depends on the country of the reader, and a spreadsheet shows the
same cell as 05/03/2024 elsewhere. The cell knows the date, so it becomes 2024-03-05.
"""

import re
from datetime import datetime, time
from functools import lru_cache

from openpyxl.utils.datetime import from_excel

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
LANGUAGE, ENGLISH = 0x3FF, 0x09  # the bits of a locale's number that state the language
GREGORIAN = (0, 1)  # the codes of its calendar: that of the language, and the Gregorian one

Token = tuple[str, str]


class FormatError(ValueError):
    """A cell cannot be rendered; the text is the end of a sentence about it."""


def moment(value: int | float, epoch: datetime) -> datetime | time:
    """Return the date of a number, or the time if it is less than one day.

    Raises:
        FormatError: It is before `epoch` or after the year 9999.
    """
    try:
        found = from_excel(value, epoch) if value >= 0 else None
    except OverflowError:
        found = None
    if not isinstance(found, (datetime, time)):
        raise FormatError(f"has the format of a date, but its value is none ({value})")
    return found


@lru_cache(maxsize=10_000)  # the rows of a statement have few different dates
def render_moment(value: datetime | time, tokens: tuple[Token, ...], locale: str) -> str:
    """Return the text of a date or time.

    Args:
        value: A time stands for a cell without a date.
        tokens: The kinds and texts of a section of the format; literals are in their final form.
        locale: The code of the section's language, calendar and digits, or an empty text.
    """
    pieces = _with_minutes(tokens)
    dates = [text for kind, text in pieces if kind == "date" and text[0] in "ymd"]
    if not _is_clear(pieces, dates, locale) or (dates and isinstance(value, time)):
        return _iso(value)
    am_pm = any(kind == "am_pm" for kind, _ in pieces)
    return "".join(_piece(value, kind, text, am_pm) for kind, text in pieces)


def _with_minutes(tokens: tuple[Token, ...]) -> list[Token]:
    """Tell minutes from months: m and mm are minutes behind hours and in front of seconds."""
    fields = [index for index, (kind, _) in enumerate(tokens) if kind == "date"]
    marked = [(kind, text.lower() if kind == "date" else text) for kind, text in tokens]
    for at, index in enumerate(fields):
        text = marked[index][1]
        before = marked[fields[at - 1]][1][0] if at else ""
        after = marked[fields[at + 1]][1][0] if at + 1 < len(fields) else ""
        if text in ("m", "mm") and (before == "h" or after == "s"):
            marked[index] = "minute", text
    return marked


def _is_clear(tokens: list[Token], dates: list[str], locale: str) -> bool:
    """Return whether a reader anywhere understands the same date or time.

    The format shows no date, or only one part of it, such as the weekday; or it shows all parts,
    and the month has a name or the year comes first. Names are English.
    """
    kinds = {kind for kind, _ in tokens}
    names = [text for text in dates if text[0] != "y" and len(text) > 2]
    if not kinds & {"date", "am_pm"} or kinds & {"digits", "general", "text"}:
        return False
    if dates and ("era" in kinds or not _is_readable(locale, bool(names))):
        return False
    parts = [text[0] for text in dates if not text.startswith("ddd")]
    if len(dates) < 2:
        return True
    named = any(text in ("mmm", "mmmm") for text in names)
    year_first = parts == ["y", "m", "d"] and len(dates[0]) > 2
    return {*parts} == {*"ymd"} and (named or year_first)


def _is_readable(locale: str, has_names: bool) -> bool:
    """Return whether the locale has the Gregorian calendar and, if needed, English names."""
    if not locale:
        return True
    if not re.fullmatch("[0-9a-f]{1,8}", locale, re.IGNORECASE):  # en-US, x-sysdate
        return re.fullmatch("[a-z]{2}(-[a-z]+)*", locale, re.IGNORECASE) is not None and (
            locale.lower().startswith("en") or not has_names
        )
    number = int(locale, 16)
    calendar, digits = number >> 16 & 0xFF, number >> 24
    if number == 0xF800 or calendar not in GREGORIAN or digits > 1:  # F800: the system's long date
        return False
    return number & LANGUAGE == ENGLISH or not has_names


def _iso(value: datetime | time) -> str:
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    text = value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    return text.replace("T", " ")


def _piece(value: datetime | time, kind: str, text: str, am_pm: bool) -> str:
    """Return one part of a date or time, or the literal between two."""
    if kind == "am_pm":
        letters = "PM" if value.hour >= 12 else "AM"
        return letters if len(text) > 3 else letters[0]
    if kind == "minute":
        return str(value.minute).rjust(len(text), "0")
    if kind != "date":
        return text
    if isinstance(value, datetime) and text[0] in "ymd":
        return _part_of_date(value, text)
    hour = (value.hour - 1) % 12 + 1 if am_pm else value.hour
    return str(hour if text[0] == "h" else value.second).rjust(min(len(text), 2), "0")


def _part_of_date(value: datetime, text: str) -> str:
    """Return the year, month or day. The number of letters selects digits or a name."""
    length = len(text)
    if text[0] == "y":
        return f"{value.year:04d}" if length > 2 else f"{value.year % 100:02d}"
    if length > 2:
        name = MONTHS[value.month - 1] if text[0] == "m" else WEEKDAYS[value.weekday()]
        return name[:1] if length == 5 else name[:3] if length == 3 else name
    return str(value.month if text[0] == "m" else value.day).rjust(length, "0")
