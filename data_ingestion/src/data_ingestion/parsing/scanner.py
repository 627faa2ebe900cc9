"""Find where the records of a buffer of CSV bytes begin and end, and count their fields.

CSV is read strictly, as RFC 4180 defines it. A quote may open only at the start of a field and may
close only before a delimiter or a line end. Inside quotes, a doubled quote stands for one quote,
and delimiters and line breaks are text. A line ends with LF or CRLF.

`scan_fast` scans a whole buffer with numpy, up to the first record that breaks these rules.
`RecordScanner` continues there, record by record. A broken record ends with its first line, so
that an unclosed quote does not swallow the rest of the file.
"""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_ingestion.model import Dialect
from data_ingestion.parsing.blanks import Integers, blank_finder

LF, CR = 10, 13


@dataclass
class Records:
    """The records of a buffer that have a value. Each array has one item per record.

    Attributes:
        starts: The offset of each record's first byte.
        stops: The offset behind each record's line end.
        lines: The physical line on which each record begins.
        fields: The number of fields of each record.
        consumed: The offset at which the next scan starts.
        next_line: The physical line at that offset.
        broken: The reason for each record that breaks the rules, by the record's index.
        clean: False if `scan_fast` stopped before a record that breaks the rules.
    """

    starts: Integers
    stops: Integers
    lines: Integers
    fields: Integers
    consumed: int
    next_line: int
    broken: dict[int, str] = field(default_factory=dict)
    clean: bool = True


def scan_fast(data: bytes, line: int, dialect: Dialect) -> Records:
    """Find the records of `data`, which starts at a record on physical line `line`.

    The scan stops before the first record that breaks the rules, with `clean` set to false, and
    before a record that does not end in `data`.
    """
    buffer = np.frombuffer(data, np.uint8)
    quote, delimiter = ord(dialect.quotechar), ord(dialect.delimiter)
    at = _offsets_of(buffer, delimiter, quote, LF)
    kind = buffer[at]
    quotes, line_ends = np.flatnonzero(kind == quote), np.flatnonzero(kind == LF)
    fault = _first_fault(data, buffer, at[quotes], quote, delimiter)

    # A line end behind an odd number of quotes is inside a quoted field.
    quotes_before = np.searchsorted(quotes, line_ends)
    is_end = np.flatnonzero(quotes_before % 2 == 0)
    is_end = is_end[: np.searchsorted(at[line_ends[is_end]], fault)]
    end, quotes_before = line_ends[is_end], quotes_before[is_end]
    stops = at[end] + 1
    starts = np.concatenate(([0], stops[:-1]))[: len(stops)]
    lines = line + np.concatenate(([0], is_end[:-1] + 1))[: len(stops)]
    # To count the delimiters before the end of a record, count the items of `at` before that end,
    # and subtract the ends of earlier records, the quotes, and the items between quotes.
    opening, closing = quotes[0::2], quotes[1::2]
    quoted = np.cumsum(closing - opening[: len(closing)] - 1)
    quoted = np.concatenate(([0], quoted))[quotes_before // 2]
    delimiters = end - np.arange(len(end)) - quotes_before - quoted
    fields = np.diff(delimiters, prepend=0) + 1
    length = stops - starts - 1
    filled = (length > 1) | ((length == 1) & (buffer[starts] != CR))
    filled[blank_finder(dialect).find(data, starts, stops, np.flatnonzero(filled))] = False
    return Records(
        starts=starts[filled],
        stops=stops[filled],
        lines=lines[filled],
        fields=fields[filled],
        consumed=int(stops[-1]) if len(stops) else 0,
        next_line=line + (int(is_end[-1]) + 1 if len(is_end) else 0),
        clean=fault == len(data),
    )


def _offsets_of(buffer: NDArray[np.uint8], *characters: int) -> Integers:
    """Return the offsets of the bytes that are one of the characters."""
    found, matches = np.zeros(len(buffer), bool), np.empty(len(buffer), bool)
    for character in characters:
        found |= np.equal(buffer, character, out=matches)
    return np.flatnonzero(found)


def _first_fault(
    data: bytes, buffer: NDArray[np.uint8], quotes: Integers, quote: int, delimiter: int
) -> int:
    """Return the offset of the first byte that breaks the rules, or the length of the buffer."""
    fault = len(buffer)
    opening, closing = quotes[0::2], quotes[1::2]
    before = buffer[opening - 1]
    # A doubled quote closes a field and opens it again, so `quote` is allowed in both conditions.
    bad = opening[(before != delimiter) & (before != quote) & (before != LF) & (opening != 0)]
    if len(bad):
        fault = bad[0]
    if len(closing) and closing[-1] == len(buffer) - 1:  # the byte behind it is not known yet
        closing = closing[:-1]
    after = buffer[closing + 1]
    bad = closing[(after != delimiter) & (after != quote) & (after != LF) & (after != CR)]
    if len(bad):
        fault = min(fault, bad[0])
    if b"\r" in data:
        returns = np.flatnonzero(buffer[:-1] == CR)
        alone = returns[buffer[returns + 1] != LF]
        unquoted = alone[np.searchsorted(quotes, alone) % 2 == 0]
        fault = min(fault, unquoted[0]) if len(unquoted) else fault
    return int(fault)


class RecordScanner:
    """Finds records one by one, with a regular expression that is linear in their length."""

    def __init__(self, dialect: Dialect) -> None:
        quote, delimiter = re.escape(dialect.quotechar), re.escape(dialect.delimiter)
        quoted = f"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"
        cell = f"(?:{quoted}|[^{quote}{delimiter}\r\n]*+)"
        # Possessive quantifiers (*+) never backtrack.
        self._record = re.compile(f"{cell}(?:{delimiter}{cell})*+".encode())
        self._cell = re.compile(f"{quoted}|{delimiter}".encode())
        self._quote, self._delimiter = dialect.quotechar.encode(), dialect.delimiter.encode()
        self._blanks = blank_finder(dialect)

    def scan(
        self, data: bytes, start: int, line: int, final: bool, limit: int | None = None
    ) -> Records:
        """Find the records of `data` from offset `start`, which is on physical line `line`.

        Args:
            data: UTF-8 CSV.
            start: The offset at which a record begins.
            line: The physical line at that offset.
            final: Whether a record that does not end in `data` is broken. Otherwise the scan
                stops before it.
            limit: The largest number of records to find.
        """
        found: list[tuple[int, int, int, int]] = []
        broken: dict[int, str] = {}
        while start < len(data) and (limit is None or len(found) < limit):
            stop, reason = self._record_at(data, start, final)
            if stop is None:
                break
            if not self._blanks.is_blank(data[start:stop]):
                if reason:
                    broken[len(found)] = reason
                found.append((start, stop, line, self._count_fields(data, start, stop)))
            line += data.count(b"\n", start, stop)
            start = stop
        starts, stops, lines, fields = np.array(found, np.int64).reshape(-1, 4).T
        return Records(starts, stops, lines, fields, start, line, broken)

    def _record_at(self, data: bytes, start: int, final: bool) -> tuple[int | None, str]:
        """Return the offset behind the record at `start`, and why the record is broken, if it is.

        The offset is None for a record that does not end in `data`.
        """
        match = self._record.match(data, start)
        end = match.end() if match else start  # the expression also matches nothing
        following = data[end : end + 2]
        if following[:1] == b"\n":
            return end + 1, ""
        if following == b"\r\n":
            return end + 2, ""
        opens_quote = data[end : end + 1] == self._quote and (
            end == start or data[end - 1 : end] == self._delimiter
        )
        if not final and (opens_quote or following in (b"", b"\r")):
            return None, ""
        line_end = data.find(b"\n", start)
        if line_end < 0:
            return (len(data), self._reason(data, end, opens_quote)) if final else (None, "")
        return line_end + 1, self._reason(data, end, opens_quote)

    def _reason(self, data: bytes, end: int, opens_quote: bool) -> str:
        if opens_quote or end == len(data):
            return "a quoted field is not closed"
        if data[end : end + 1] == b"\r":
            return "a carriage return inside a line"
        if data[end : end + 1] == self._quote:
            return "a quote inside a field that does not begin with one"
        return "text between a closing quote and the next delimiter"

    def _count_fields(self, data: bytes, start: int, stop: int) -> int:
        if data.find(self._quote, start, stop) < 0:
            return 1 + data.count(self._delimiter, start, stop)
        found = self._cell.finditer(data, start, stop)
        return 1 + sum(1 for item in found if item[0] == self._delimiter)
