"""Finds another header among the records of a file: of two statements that were glued together.

The same header again is a line that is no transaction. A header with its columns in another order,
or with some other names, says that the rows below it would stand under wrong columns.
"""

import csv
import io
import re
import sys
from collections.abc import Sequence
from itertools import product

import numpy as np

from data_ingestion.contract import normalise
from data_ingestion.errors import InputError, printable
from data_ingestion.model import Dialect
from data_ingestion.structure import Records

# A row of data may well hold one or two of its columns' names.
MIN_NAMES = 3
# So many bytes tell almost every record from a header; what they leave is parsed.
DEPTH = 8
BOM = "\ufeff"
FIRST_WORD = re.compile("([^a-z0-9]*)([a-z0-9]*)")
OTHERS = [byte for byte in range(256) if not bytes([byte]).isalnum()]
# A field may be as long as a record.
csv.field_size_limit(sys.maxsize)


def fields_of(record: bytes, dialect: Dialect) -> list[str]:
    """The fields of one record that keeps the rules of CSV."""
    text = io.StringIO(record.decode(), newline="")
    return next(csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar))


class HeaderFinder:
    """Looks for records that are a header too, knowing the file's own."""

    def __init__(self, header: Sequence[str], dialect: Dialect) -> None:
        self._dialect = dialect
        self._names = [_name(text) for text in header]
        self._known = set(filter(None, self._names))
        # For each of a record's first bytes: which ones it can be where a header begins.
        self._may = np.zeros((DEPTH, 256), bool)
        if len(self._known) >= MIN_NAMES:
            for text, mark, quote in product(header, ("", BOM), ("", dialect.quotechar)):
                self._allow(text, mark + quote)

    def _allow(self, text: str, before: str) -> None:
        """A record may begin with that name, in any case; behind its first word stands anything."""
        lead, word = FIRST_WORD.match(text.lower()).groups()
        starts = {before + lead, before} if word else {before + lead} - {before}
        for start in starts:
            fixed = (start + word).encode()[:DEPTH]
            places = np.arange(len(fixed))
            self._may[places, np.frombuffer(fixed, np.uint8)] = True
            self._may[places, np.frombuffer(fixed.upper(), np.uint8)] = True
            if word:
                self._may[len(fixed) : len(fixed) + 1, OTHERS] = True
            self._may[len(fixed) + bool(word) :] = True

    def find(self, data: bytes, records: Records, sound: np.ndarray) -> list[int]:
        """The indexes of the `sound` records that say the header again.

        Raises:
            InputError: a record says most of the header's names, but not each in its column.
        """
        buffer = np.frombuffer(data, np.uint8)
        found = np.flatnonzero(sound)
        for place, may in enumerate(self._may):
            offsets = np.minimum(records.starts[found] + place, len(buffer) - 1)
            found = found[may[buffer[offsets]]]
        return [index for index in found.tolist() if self._is_again(data, records, index)]

    def _is_again(self, data: bytes, records: Records, index: int) -> bool:
        record = data[records.starts[index] : records.stops[index]]
        names = [_name(text) for text in fields_of(record, self._dialect)]
        if names == self._names:
            return True
        if 2 * len(self._known.intersection(names)) > len(self._names):
            raise InputError(
                f"line {records.lines[index]} is another header, with other columns than the first "
                f"or in another order ({printable(', '.join(names), 80)}): split the file there"
            )
        return False


def _name(text: str) -> str:
    return normalise(text) or text.strip()
