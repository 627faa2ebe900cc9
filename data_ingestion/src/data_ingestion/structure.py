"""Where the records of a buffer of CSV bytes begin and end, and how many fields each one has.

CSV is read strictly, as RFC 4180 has it: a quote may only open at the start of a field and only
close before a delimiter or a line end; inside, a doubled quote stands for one, and delimiters and
line breaks are text. A line ends with LF or CRLF.

`scan_fast` does a whole buffer with numpy, up to the first record that breaks these rules;
`scan_slow` goes on from there, record by record. There a broken record costs its first line
only: reading goes on at the next line, so that a quote that is never closed cannot swallow the
rest of the file.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from data_ingestion.model import Dialect

LF, CR = 10, 13


@dataclass
class Records:
    """The records found in a buffer, empty lines left out; all arrays have one item per record.

    `starts` and `stops` are offsets into the buffer, a stop lies behind the line end; `lines` are
    the physical lines they begin on; `fields` counts fields; `broken` gives the reason for each
    record (by index) that breaks the rules. `consumed` and `next_line` say where to go on.
    """

    starts: np.ndarray
    stops: np.ndarray
    lines: np.ndarray
    fields: np.ndarray
    consumed: int
    next_line: int
    broken: dict[int, str] = field(default_factory=dict)
    clean: bool = True


def scan_fast(data: bytes, line: int, dialect: Dialect) -> Records:
    """Finds the records of `data`, which begins at a record on physical line `line`.

    Stops before the first record that breaks the rules (then `clean` is false) and before one
    whose end is not in `data`.
    """
    buffer = np.frombuffer(data, np.uint8)
    quote, delimiter = ord(dialect.quotechar), ord(dialect.delimiter)
    at = _places(buffer, delimiter, quote, LF)
    kind = buffer[at]
    quotes, line_ends = np.flatnonzero(kind == quote), np.flatnonzero(kind == LF)
    fault = _first_fault(data, buffer, at[quotes], quote, delimiter)

    # A line end behind an odd number of quotes stands in a quoted field.
    before = np.searchsorted(quotes, line_ends)
    is_end = np.flatnonzero(before % 2 == 0)
    is_end = is_end[: np.searchsorted(at[line_ends[is_end]], fault)]
    end, before = line_ends[is_end], before[is_end]
    stops = at[end] + 1
    starts = np.concatenate(([0], stops[:-1]))[: len(stops)]
    lines = line + np.concatenate(([0], is_end[:-1] + 1))[: len(stops)]
    # What stands in `at` before a record's end, without the ends of other records, without quotes
    # and what is between them: delimiters.
    opening, closing = quotes[0::2], quotes[1::2]
    quoted = np.cumsum(closing - opening[: len(closing)] - 1)
    quoted = np.concatenate(([0], quoted))[before // 2]
    delimiters = end - np.arange(len(end)) - before - quoted
    fields = np.diff(delimiters, prepend=0) + 1
    length = stops - starts - 1
    filled = (length > 1) | ((length == 1) & (buffer[starts] != CR))
    return Records(
        starts=starts[filled],
        stops=stops[filled],
        lines=lines[filled],
        fields=fields[filled],
        consumed=int(stops[-1]) if len(stops) else 0,
        next_line=line + (int(is_end[-1]) + 1 if len(is_end) else 0),
        clean=fault == len(data),
    )


def _places(buffer: np.ndarray, *characters: int) -> np.ndarray:
    """The offsets at which one of the characters stands."""
    found, other = np.zeros(len(buffer), bool), np.empty(len(buffer), bool)
    for character in characters:
        found |= np.equal(buffer, character, out=other)
    return np.flatnonzero(found)


def _first_fault(
    data: bytes, buffer: np.ndarray, quotes: np.ndarray, quote: int, delimiter: int
) -> int:
    """The offset of the first byte that breaks the rules, or the length of the buffer."""
    fault = len(buffer)
    opening, closing = quotes[0::2], quotes[1::2]
    before = buffer[opening - 1]
    # A doubled quote closes and opens again at once, hence `quote` in both lists.
    wrong = opening[(before != delimiter) & (before != quote) & (before != LF) & (opening != 0)]
    if len(wrong):
        fault = wrong[0]
    if len(closing) and closing[-1] == len(buffer) - 1:  # what follows the last byte is not known
        closing = closing[:-1]
    after = buffer[closing + 1]
    wrong = closing[(after != delimiter) & (after != quote) & (after != LF) & (after != CR)]
    if len(wrong):
        fault = min(fault, wrong[0])
    if b"\r" in data:
        returns = np.flatnonzero(buffer[:-1] == CR)
        alone = returns[buffer[returns + 1] != LF]
        outside = alone[np.searchsorted(quotes, alone) % 2 == 0]
        fault = min(fault, outside[0]) if len(outside) else fault
    return int(fault)


class SlowScanner:
    """Takes records one by one, with a regular expression that is linear in their length."""

    def __init__(self, dialect: Dialect) -> None:
        quote, delimiter = re.escape(dialect.quotechar), re.escape(dialect.delimiter)
        self._quoted = f"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"
        cell = f"(?:{self._quoted}|[^{quote}{delimiter}\r\n]*+)"
        # Possessive (*+): nothing is tried twice.
        self._record = re.compile(f"{cell}(?:{delimiter}{cell})*+".encode())
        self._cell = re.compile(f"{self._quoted}|{delimiter}".encode())
        self._quote, self._delimiter = dialect.quotechar.encode(), dialect.delimiter.encode()

    def scan(
        self, data: bytes, start: int, line: int, final: bool, limit: int | None = None
    ) -> Records:
        """Finds the records of `data` from offset `start`, which is on physical line `line`.

        Stops before a record whose end is not in `data`, unless `final`: then what is there is
        all there will be, and such a record is broken. `limit` bounds the number of records.
        """
        found: list[tuple[int, int, int, int]] = []
        broken: dict[int, str] = {}
        while start < len(data) and (limit is None or len(found) < limit):
            stop, reason = self._record_at(data, start, final)
            if stop is None:
                break
            if data[start:stop].rstrip(b"\r\n"):
                if reason:
                    broken[len(found)] = reason
                found.append((start, stop, line, self._count_fields(data, start, stop)))
            line += data.count(b"\n", start, stop)
            start = stop
        columns = np.array(found, np.int64).reshape(-1, 4).T
        return Records(*columns, consumed=start, next_line=line, broken=broken)

    def _record_at(self, data: bytes, start: int, final: bool) -> tuple[int | None, str]:
        """Where the record that begins at `start` stops (None: not in `data`), why it is broken."""
        end = self._record.match(data, start).end()
        following = data[end : end + 2]
        if following[:1] == b"\n":
            return end + 1, ""
        if following == b"\r\n":
            return end + 2, ""
        opens = data[end : end + 1] == self._quote and (
            end == start or data[end - 1 : end] in (self._delimiter,)
        )
        if not final and (opens or following in (b"", b"\r")):
            return None, ""
        line_end = data.find(b"\n", start)
        if line_end < 0:
            return (len(data), self._reason(data, end, opens)) if final else (None, "")
        return line_end + 1, self._reason(data, end, opens)

    def _reason(self, data: bytes, end: int, opens: bool) -> str:
        if opens or end == len(data):
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
