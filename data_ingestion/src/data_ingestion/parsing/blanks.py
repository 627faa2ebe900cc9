"""Find records without any value: each of their fields is empty, or whitespace only.

Spreadsheet programs write such a record (`,,,,`) for each empty row. It counts as an empty line.
"""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from data_ingestion.model import Dialect

Integers = NDArray[np.int64]
# The characters that the expression `\s` and str.isspace count as whitespace.
WHITESPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
# The first bytes of a record rule out almost every record with a value.
DEPTH = 8


class BlankFinder:
    """Finds records without any value, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        quote, delimiter = re.escape(dialect.quotechar), re.escape(dialect.delimiter)
        cell = rf"(?:{quote}\s*+{quote}|(?:(?!{quote}|{delimiter})\s)*+)"
        self._record = re.compile(rf"{cell}(?:{delimiter}{cell})*+\r?\n?")
        self._bytes = (WHITESPACE + dialect.quotechar + dialect.delimiter).encode()
        self._allowed = np.zeros((DEPTH, 256), bool)
        self._allowed[:, list(self._bytes)] = True

    def is_blank(self, record: bytes) -> bool:
        """Return whether a record has no value."""
        if record.strip(self._bytes):
            return False
        return self._record.fullmatch(record.decode(errors="replace")) is not None

    def find(
        self, data: bytes, starts: Integers, stops: Integers, candidates: Integers
    ) -> list[int]:
        """Return those candidates, as indexes of records `data[start:stop]`, without a value."""
        candidates = narrowed(data, starts, stops, candidates, self._allowed)
        return [
            index
            for index in candidates.tolist()
            if self.is_blank(data[starts[index] : stops[index]])
        ]


blank_finder = cache(BlankFinder)


def narrowed(
    data: bytes,
    starts: Integers,
    stops: Integers,
    candidates: Integers,
    allowed: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
) -> Integers:
    """Return those candidates that begin with allowed bytes.

    Args:
        data: The bytes that hold the records.
        starts: The offset of each record's first byte.
        stops: The offset behind each record's last byte, which is a line feed.
        candidates: Indexes of records.
        allowed: allowed[i][b] states whether byte b can be the i-th byte of a record. The line feed
            stands for all bytes behind a shorter record.
    """
    buffer = np.frombuffer(data, np.uint8)
    starts, stops = starts[candidates], stops[candidates]
    for position, bytes_allowed in enumerate(allowed):
        if not len(candidates):
            break
        found = buffer.take(np.minimum(starts + position, stops - 1))
        kept = np.flatnonzero(bytes_allowed.take(found))
        candidates, starts, stops = candidates[kept], starts[kept], stops[kept]
    return candidates
