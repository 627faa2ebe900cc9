"""Render a cell's value with its number format, as a spreadsheet shows it and saves it as CSV.

The formats are those of ECMA-376 part 1, section 18.8.31. This module supports the ones that tables
of data use: literals, digits, grouping, scaling, per cent, currency, sections by sign or condition,
dates and times. It refuses all others (fractions, exponents, elapsed time).

Three results differ from a spreadsheet's on purpose:

- General keeps all digits of a number (409000611074, not 4.09001E+11).
- `date_format` writes dates as ISO text if the format leaves a doubt about the day.
- In a format with conditions, a negative number keeps its sign, about which programs disagree.
"""

import operator
import re
from dataclasses import dataclass
from datetime import datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from openpyxl.utils.datetime import WINDOWS_EPOCH

from data_ingestion.formats.date_format import FormatError, Token, moment, render_moment

TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>General)|(?P<am_pm>AM/PM|A/P)|(?P<date>y+|m+|d+|h+|s+)|(?P<percent>%)"
    r"|(?P<digits>[0#?,.]*[0#?][0#?,.]*)|(?P<section>;)|(?P<refused>E[+-]|/(?=[0-9#?]))"
    r"|(?P<era>[beg]+)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
COLOURS = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|color ?\d+", re.IGNORECASE)
CONDITION = re.compile(r"(<=|>=|<>|<|>|=)(-?\d+(?:\.\d+)?(?:E[+-]?\d{1,3})?)")
COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<>": operator.ne,
}
EXACT = Context(prec=2_000)  # digits: more than the largest number has in the longest format

Value = str | bool | int | float | datetime | time


@dataclass(frozen=True)
class Section:
    """One of the parts of a format that are separated by semicolons.

    Attributes:
        tokens: Kinds and texts. Literals are in their final form.
        locale: The code of a language, calendar and digits, or an empty text.
        compare: The operator of the section's condition, or an empty text.
        limit: The number with which the condition compares.
    """

    tokens: tuple[Token, ...]
    locale: str = ""
    compare: str = ""
    limit: Decimal = Decimal(0)

    def has(self, *kinds: str) -> bool:
        """Return whether a token has one of the kinds."""
        return any(kind in kinds for kind, _ in self.tokens)

    def applies_to(self, value: Decimal) -> bool:
        """Return whether the number meets the condition, if there is one."""
        return not self.compare or bool(COMPARE[self.compare](value, self.limit))


PLAIN = Section((("text", "@"),))


def render(value: Value, code: str, epoch: datetime = WINDOWS_EPOCH) -> str:
    """Return the text of a cell.

    Args:
        value: The cell's value. A date is a number, unless the file has it as ISO text.
        code: The code of its number format.
        epoch: The day 0 of dates that are numbers.

    Raises:
        FormatError: The format is not supported for this value.
    """
    if isinstance(value, bool):
        return str(value).upper()
    sections, for_text = _sections(code)
    if isinstance(value, str):
        if for_text is PLAIN:
            return value
        return "".join(value if kind == "text" else text for kind, text in for_text.tokens)
    if isinstance(value, (datetime, time)):
        return render_moment(value, sections[0].tokens, sections[0].locale)
    section, number = _choose(_decimal(value), sections, code)
    if section.has("date", "am_pm"):
        return render_moment(moment(value, epoch), section.tokens, section.locale)
    return _number(number, section, code)


@lru_cache(maxsize=1_000)
def _sections(code: str) -> tuple[tuple[Section, ...], Section]:
    """Return the sections for numbers, and the one for text."""
    sections = [_section(tokens, code) for tokens in _tokens(code)]
    if len(sections) > 3:
        return tuple(sections[:3]), sections[3]
    if sections[-1].has("text"):
        return tuple(sections[:-1] or sections), sections[-1]
    return tuple(sections), PLAIN


def _tokens(code: str) -> list[list[Token]]:
    """Return the kinds and texts of the pieces of each section."""
    sections: list[list[Token]] = [[]]
    for match in TOKEN.finditer(code or "General"):
        kind = match.lastgroup or "other"  # every alternative is a named group
        if kind == "section":
            sections.append([])
        elif kind == "refused":
            raise _refusal(code)
        else:
            sections[-1].append((kind, match.group(kind)))
    return sections


def _section(pieces: list[Token], code: str) -> Section:
    tokens: list[Token] = []
    locale, compare, limit = "", "", Decimal(0)
    for kind, text in pieces:
        if kind == "bracket" and text.startswith("$"):  # [$₹-4009]: a currency and a locale
            currency, _, locale = text[1:].partition("-")
            tokens.append(("literal", currency))
        elif kind == "bracket" and (condition := CONDITION.fullmatch(text)):
            compare, limit = condition[1], Decimal(condition[2])
        elif kind == "bracket" and not COLOURS.fullmatch(text):
            raise _refusal(code)
        elif kind == "space":
            tokens.append(("literal", " "))
        elif kind in ("quoted", "escaped"):
            tokens.append(("literal", text))
        elif kind == "other":
            tokens.append(("text" if text == "@" else "literal", text))
        elif kind not in ("bracket", "fill"):  # CSV has no colours, and no width to fill
            tokens.append((kind, text))
    return Section(tuple(tokens), locale, compare, limit)


def _refusal(code: str) -> FormatError:
    return FormatError(f"has the number format {code!r}, which cannot be rendered faithfully")


def _decimal(value: int | float) -> Decimal:
    """Return the number with 15 significant digits, the precision of a spreadsheet."""
    return Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")


def _choose(value: Decimal, sections: tuple[Section, ...], code: str) -> tuple[Section, Decimal]:
    """Return the section for a number, and the number, which is negative if it needs a minus."""
    if any(section.compare for section in sections):
        return _choose_by_condition(value, sections, code)
    if value < 0 and len(sections) > 1:
        return sections[1], value.copy_abs()
    return sections[2 if value == 0 and len(sections) > 2 else 0], value


def _choose_by_condition(
    value: Decimal, sections: tuple[Section, ...], code: str
) -> tuple[Section, Decimal]:
    """Return the same for a format in which all sections except the last have a condition.

    Programs disagree about other formats with conditions, and about numbers that meet none.
    """
    is_usual = all(section.compare for section in sections[:2][: len(sections) - 1])
    section = next((section for section in sections if section.applies_to(value)), None)
    if section is None or not is_usual:
        raise _refusal(code)
    if value < 0 and section.compare == "<" and section.limit == 0:
        return section, value.copy_abs()
    if value < 0 and section.limit < 0 and section.compare in ("<", "<=", "="):
        # The section is for negative numbers only. Without a sign of its own, it has none in one
        # program and a minus in another one.
        if not any(mark in text for _, text in section.tokens for mark in "-("):
            raise _refusal(code)
        return section, value.copy_abs()
    return section, value


def _number(value: Decimal, section: Section, code: str) -> str:
    patterns = [text for kind, text in section.tokens if kind == "digits"]
    scaled = value.copy_abs().scaleb(2 * [*section.tokens].count(("percent", "%")), EXACT)
    digits = iter(_digits(scaled, patterns, code) if patterns else [])
    text = ""
    for kind, token in section.tokens:
        if kind == "digits":
            text += next(digits)
        elif kind in ("general", "text"):
            text += f"{value.copy_abs():f}"
        else:
            text += token
    return "-" + text if value < 0 and re.search("[1-9]", text) else text


def _digits(value: Decimal, patterns: list[str], code: str) -> list[str]:
    r"""Return the digits for each piece of a pattern, such as the three of ##\,##\,##0.00.

    The first piece also takes the digits for which the others have no place.
    """
    *wholes, last = patterns
    whole_pattern, point, part_pattern = last.partition(".")
    if wholes and any(mark in pattern for pattern in [*wholes, whole_pattern] for mark in ",."):
        raise _refusal(code)
    scale = len(whole_pattern) - len(whole_pattern.rstrip(","))
    scale += len(part_pattern) - len(part_pattern.rstrip(","))
    whole_pattern, part_pattern = whole_pattern.rstrip(","), part_pattern.rstrip(",")
    step = Decimal(1).scaleb(-len(part_pattern))
    rounded = value.scaleb(-3 * scale, EXACT).quantize(step, ROUND_HALF_UP, EXACT)
    whole, _, part = f"{rounded:f}".partition(".")
    whole = whole.lstrip("0")
    texts: list[str] = []
    for pattern in reversed([*wholes, whole_pattern][1:]):
        start = max(len(whole) - len(pattern), 0)
        texts.insert(0, whole[start:] if start else _whole(whole, pattern))
        whole = whole[:start]
    texts.insert(0, _whole(whole, wholes[0] if wholes else whole_pattern))
    texts[-1] += point + _part(part, part_pattern)
    return texts


def _whole(digits: str, pattern: str) -> str:
    """Return the digits in front of the decimal point, filled and grouped as in the pattern."""
    places = pattern.replace(",", "")
    digits = digits.rjust(places.count("0"), "0")
    missing = places.count("?") - max(len(digits) - places.count("0"), 0)
    if "," in pattern and digits:
        digits = f"{int(digits):0{len(digits) + (len(digits) - 1) // 3},}"
    return " " * missing + digits


def _part(digits: str, pattern: str) -> str:
    """Return the digits behind the decimal point, without the zeros that the pattern leaves out."""
    significant = len(digits.rstrip("0"))
    text = ""
    for index, place in enumerate(pattern):
        text += digits[index] if index < significant or place == "0" else " " * (place == "?")
    return text
