"""Turns a stream of CSV bytes into blocks of sound records, and rejects for all the others.

A record is sound when it keeps the rules of `structure`, has as many fields as the header and is
not the header again.
Every other record becomes a reject with its line number; none is repaired, shifted or padded.
Empty lines are skipped and not counted. Memory is bounded by the size of the chunks that come in
and by MAX_RECORD, whatever is in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from data_ingestion.contract import MAX_COLUMNS
from data_ingestion.errors import InputError
from data_ingestion.headers import HeaderFinder, fields_of
from data_ingestion.model import Dialect, Reject
from data_ingestion.structure import Records, SlowScanner, scan_fast

# A record that has not ended after so many bytes is taken for broken.
MAX_RECORD = 32 << 20
# So much is taken apart at once: of each byte of it that separates, a few numbers are in memory.
WINDOW = 3 << 20
MAX_SLOW = 100_000  # records, where each one is found by itself
# What is kept of rejected records: enough to find them and to see what is wrong.
MAX_REJECTS_KEPT = 10_000
MAX_REJECT_TEXT = 10_000


@dataclass
class Block:
    """Consecutive records: the bytes of the sound ones and the line each starts on; the rejects.

    `rejected` counts all rejects, `rejects` are the first MAX_REJECTS_KEPT of them.
    """

    data: bytes
    line_numbers: np.ndarray
    rejects: list[Reject] = field(default_factory=list)
    rejected: int = 0


class RecordReader:
    """Reads records from `chunks` of UTF-8 bytes: first `header()`, then `blocks()`."""

    def __init__(
        self, chunks: Iterator[bytes], dialect: Dialect, max_record: int = MAX_RECORD
    ) -> None:
        self._chunks = chunks
        self._dialect = dialect
        self._slow = SlowScanner(dialect)
        self._headers = HeaderFinder([], dialect)
        self._max_record = max_record
        self._rest = b""
        self._line = 1  # the physical line on which _rest begins
        self._ended = False

    def header(self) -> list[str]:
        """Returns the fields of the first record.

        Raises:
            InputError: there is no record, its quotes are broken, it is not UTF-8, or it has more
                than MAX_COLUMNS fields.
        """
        while self._fill():
            data = self._rest
            final = self._is_final(data, 0)
            records = self._slow.scan(data, 0, self._line, final, limit=1)
            self._check_text(data, records.consumed)
            self._advance(data, records)
            if not len(records.lines):
                continue
            if records.broken:
                raise InputError(f"line {records.lines[0]}, the header: {records.broken[0]}")
            if b"\0" in data[: records.consumed]:
                raise InputError("has a NUL byte in its header: this is not a text file")
            if records.fields[0] > MAX_COLUMNS:
                raise InputError(f"has {records.fields[0]:,} columns: {MAX_COLUMNS:,} are the most")
            fields = fields_of(data[records.starts[0] : records.stops[0]], self._dialect)
            self._headers = HeaderFinder(fields, self._dialect)
            return fields
        raise InputError("the file is empty: there is not even a header")

    def blocks(self, n_fields: int) -> Iterator[Block]:
        """Yields the records after the header, in order; sound means `n_fields` fields.

        Raises:
            InputError: bytes that are no UTF-8, no line end within MAX_RECORD bytes, or another
                header with its columns elsewhere.
        """
        consumed, size = 0, 0
        while self._fill(wanted=not consumed or len(self._rest) <= WINDOW // 2):
            data = self._rest
            # What did not end in a window, nor in all that there was, is one long record.
            is_long = not consumed and size > WINDOW
            for records in self._scan_one(data) if is_long else self._scan_window(data):
                self._check_text(data, records.consumed)
                if len(records.lines):
                    yield self._block(data, records, n_fields)
            consumed, size = records.consumed, len(data)
            self._advance(data, records)

    def _scan_window(self, data: bytes) -> Iterator[Records]:
        """The records that end in the first WINDOW bytes of `data`, in one or two parts."""
        window = data[:WINDOW]
        records = scan_fast(window, self._line, self._dialect)
        yield records
        final = len(window) == len(data) and self._is_final(data, records.consumed)
        if final or not records.clean:
            # Not at the end, `final` is true of the record that grew too long, not of others.
            limit = 1 if final and not self._ended else MAX_SLOW
            yield self._slow.scan(window, records.consumed, records.next_line, final, limit)

    def _scan_one(self, data: bytes) -> Iterator[Records]:
        """The record that `data` begins with, if it ends there."""
        yield self._slow.scan(data, 0, self._line, self._is_final(data, 0), limit=1)

    def _fill(self, wanted: bool = True) -> bool:
        """Adds a chunk to _rest, if that is wanted; false when there is nothing more to read."""
        if not wanted:
            return bool(self._rest)
        chunk = b"" if self._ended else next(self._chunks, b"")
        if not chunk and not self._ended:
            self._ended = True
            if self._rest and not self._rest.endswith(b"\n"):
                chunk = b"\n"  # the last line may lack its end
        self._rest += chunk
        return bool(self._rest)

    def _is_final(self, data: bytes, start: int) -> bool:
        """Whether the record that begins at `start` has to end in `data`."""
        if self._ended or len(data) - start < self._max_record:
            return self._ended and start < len(data)
        if data.find(b"\n", start) < 0:
            line = self._line + data.count(b"\n", 0, start)
            raise InputError(
                f"line {line} does not end within {self._max_record >> 20} MB: this is no CSV "
                "file, or its line ends are neither LF nor CRLF"
            )
        return True

    def _advance(self, data: bytes, records: Records) -> None:
        self._rest = data[records.consumed :]
        self._line = records.next_line

    def _check_text(self, data: bytes, stop: int) -> None:
        """Raises InputError with the line number when data[:stop] is not UTF-8."""
        text = data[:stop]
        if text.isascii():
            return
        try:
            text.decode()
        except UnicodeDecodeError as error:
            line = self._line + text.count(b"\n", 0, error.start)
            raise InputError(
                f"line {line} is not valid UTF-8 (byte 0x{text[error.start]:02x}): name the "
                "file's encoding, for example --encoding cp1252"
            ) from error

    def _block(self, data: bytes, records: Records, n_fields: int) -> Block:
        """Separates the sound records of `data` from the others."""
        sound = records.fields == n_fields
        sound[list(records.broken)] = False
        nul = data.find(b"\0", 0, records.consumed)
        if nul >= 0:
            for index in np.flatnonzero(sound):
                sound[index] = b"\0" not in data[records.starts[index] : records.stops[index]]
        for index in self._headers.find(data, records, sound):
            records.broken[index], sound[index] = "the header again", False
        bad = np.flatnonzero(~sound)
        rejects = [_reject(data, records, i, n_fields) for i in bad[:MAX_REJECTS_KEPT]]
        return Block(_joined(data, records, sound), records.lines[sound], rejects, len(bad))


def _joined(data: bytes, records: Records, sound: np.ndarray) -> bytes:
    """The bytes of the sound records, line ends included."""
    starts, stops = records.starts[sound], records.stops[sound]
    if not len(starts):
        return b""
    gaps = np.flatnonzero(starts[1:] != stops[:-1])
    first = np.concatenate(([0], gaps + 1))
    last = np.concatenate((gaps, [len(starts) - 1]))
    return b"".join([data[a:b] for a, b in zip(starts[first], stops[last], strict=True)])


def _reject(data: bytes, records: Records, index: int, n_fields: int) -> Reject:
    raw = data[records.starts[index] : records.stops[index]]
    fields = int(records.fields[index])
    reason = records.broken.get(index)
    if reason is None and fields != n_fields:
        unit = "field" if fields == 1 else "fields"
        reason = f"{fields:,} {unit} instead of {n_fields:,}"
    if reason is None:
        reason = "a NUL byte, which no text in Postgres can hold"
    return Reject(int(records.lines[index]), reject_text(raw), reason)


def reject_text(raw: bytes) -> str:
    """The record as text that Postgres can hold, at most MAX_REJECT_TEXT characters of it."""
    text = raw[: 4 * MAX_REJECT_TEXT].decode(errors="replace").rstrip("\r\n")
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    if len(text) > MAX_REJECT_TEXT or len(raw) > 4 * MAX_REJECT_TEXT:
        return f"{text[:MAX_REJECT_TEXT]}… ({len(raw):,} bytes)"
    return text
