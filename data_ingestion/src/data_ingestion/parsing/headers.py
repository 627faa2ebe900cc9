"""Find a second header among the records of a file, for example where two statements were joined.

The same header again is a line without a transaction. A header with its columns in another order,
or with some other names, means that the rows below it belong to other columns.

`other_delimiter` finds out whether the first header has another delimiter than the loader expects.
"""

import csv
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from data_ingestion.contracts import Contract, name_columns, normalise
from data_ingestion.errors import InputError, printable
from data_ingestion.model import DELIMITERS, Dialect
from data_ingestion.parsing.blanks import narrowed
from data_ingestion.parsing.scanner import Records

# Shorter headers are not looked for: a row of data may well have the names of one or two columns as
# its values.
MIN_NAMES = 3
# The first bytes of a record rule out almost every row of data. Only the remaining records are
# parsed.
DEPTH = 8
BOM = "\ufeff"
FIRST_WORD = re.compile("([^a-z0-9]*)([a-z0-9]*)")
NOT_ALPHANUMERIC = [byte for byte in range(256) if not bytes([byte]).isalnum()]
# By default the csv module refuses fields of more than 128 KB.
csv.field_size_limit(sys.maxsize)


def parse_fields(record: bytes, dialect: Dialect) -> list[str]:
    """Return the fields of one record that keeps the rules of CSV."""
    text = io.StringIO(record.decode(), newline="")
    return next(csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar))


def other_delimiter(line: bytes, dialect: Dialect, contract: Contract) -> str | None:
    """Return the common delimiter with which a line is a header of the contract, or None."""
    for delimiter in DELIMITERS.replace(dialect.quotechar, ""):
        try:
            name_columns(parse_fields(line, replace(dialect, delimiter=delimiter)), contract)
            return delimiter
        except (InputError, csv.Error):
            continue
    return None


class HeaderFinder:
    """Finds records that are a header, given the file's own header."""

    def __init__(self, header: Sequence[str], dialect: Dialect) -> None:
        self._dialect = dialect
        self._names = [_name(text) for text in header]
        self._known = set(filter(None, self._names))
        # _allowed[i, b]: whether byte b can be the i-th byte of a header.
        self._allowed = np.zeros((DEPTH, 256), bool)
        if len(self._known) >= MIN_NAMES:
            for text, mark, quote in product(header, ("", BOM), ("", dialect.quotechar)):
                self._allow(text, mark + quote)

    def _allow(self, text: str, prefix: str) -> None:
        """Allow records that begin with the first word of `text`, in upper or lower case.

        Any byte may follow behind that word, except a letter or digit directly behind it.
        """
        match = FIRST_WORD.match(text.lower())
        punctuation, word = match.groups() if match else ("", "")
        starts = {prefix + punctuation, prefix} if word else {prefix + punctuation} - {prefix}
        for start in starts:
            fixed = (start + word).encode()[:DEPTH]
            positions = np.arange(len(fixed))
            self._allowed[positions, np.frombuffer(fixed, np.uint8)] = True
            self._allowed[positions, np.frombuffer(fixed.upper(), np.uint8)] = True
            if word:
                self._allowed[len(fixed) : len(fixed) + 1, NOT_ALPHANUMERIC] = True
            self._allowed[len(fixed) + bool(word) :] = True

    def find(self, data: bytes, records: Records, sound: NDArray[np.bool_]) -> list[int]:
        """Return the indexes of those `sound` records that repeat the header.

        Raises:
            InputError: A record has most of the header's names, but not each in its column.
        """
        candidates = np.flatnonzero(sound)
        candidates = narrowed(data, records.starts, records.stops, candidates, self._allowed)
        return [index for index in candidates.tolist() if self._is_header(data, records, index)]

    def _is_header(self, data: bytes, records: Records, index: int) -> bool:
        record = data[records.starts[index] : records.stops[index]]
        names = [_name(text) for text in parse_fields(record, self._dialect)]
        if names == self._names:
            return True
        if 2 * len(self._known.intersection(names)) > len(self._names):
            is_reordered = sorted(names) == sorted(self._names)
            order = "the columns in another order" if is_reordered else "other columns"
            table = "" if is_reordered else ", and load the second part with --table NAME"
            raise InputError(
                f"line {records.lines[index]} is another header, with {order} "
                f"({printable(', '.join(names), 80)}): split the file there{table}"
            )
        return False


def _name(text: str) -> str:
    return normalise(text) or text.strip()
