"""Turn a stream of CSV bytes into blocks of sound records, and all other records into rejects.

A sound record keeps the rules of `scanner`, has as many fields as the header and does not repeat
the header. Every other record becomes a reject with its line number. No record is repaired,
shifted or padded. Records without any value are empty lines: they are skipped and not counted. The
size of the chunks and MAX_RECORD bound the memory for any file.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_ingestion.contracts import MAX_COLUMNS
from data_ingestion.errors import InputError
from data_ingestion.model import Dialect, Reject
from data_ingestion.parsing.headers import HeaderFinder, parse_fields
from data_ingestion.parsing.scanner import Records, RecordScanner, scan_fast

MAX_RECORD = 32 << 20  # bytes: a longer record counts as broken
# The fast scan holds a few numbers in memory for each delimiter, quote and line end of a window.
WINDOW = 3 << 20  # bytes
MAX_SLOW = 100_000  # records of one slow scan
# The rejects to keep: enough to find the lines and to see the cause.
MAX_REJECTS_KEPT = 10_000
MAX_REJECT_TEXT = 10_000  # characters
MAX_PREAMBLE = 200  # records in which to look for the header


class NoHeaderError(InputError):
    """The file has lines, and none of them is the header."""


@dataclass
class Block:
    """Consecutive records.

    Attributes:
        data: The bytes of the sound records.
        line_numbers: The line on which each sound record begins.
        rejects: The first MAX_REJECTS_KEPT rejects.
        rejected: The number of all rejects.
        skipped: The number of records that are no transactions.
    """

    data: bytes
    line_numbers: NDArray[np.int64]
    rejects: list[Reject] = field(default_factory=list)
    rejected: int = 0
    skipped: int = 0


class RecordReader:
    """Reads records from `chunks` of UTF-8 bytes. Call `header()` first, then `blocks()`.

    Args:
        chunks: The content of the file.
        dialect: How it is written.
        max_record: The longest record, in bytes.
        skipped_lines: Beginnings of records that are no transactions.
        footer: Beginnings of the record with which the data end.

    Attributes:
        header_line: The bytes of the last record with a value that `header()` has read.
        blank_lines: Whether records of blank fields, such as `,,`, precede the header.
        preamble: The text of the lines above the header.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        dialect: Dialect,
        max_record: int = MAX_RECORD,
        skipped_lines: Sequence[str] = (),
        footer: Sequence[str] = (),
    ) -> None:
        self.header_line = b""
        self.blank_lines = False
        self.preamble = ""
        self._chunks = chunks
        self._dialect = dialect
        self._scanner = RecordScanner(dialect)
        self._headers = HeaderFinder([], dialect)
        self._max_record = max_record
        self._skipped_lines, self._footer = skipped_lines, footer
        self._in_footer = False
        self._rest = b""
        self._line = 1  # the physical line on which _rest begins
        self._ended = False

    def header(self, is_header: Callable[[list[str]], bool] | None = None) -> list[str]:
        """Return the fields of the header.

        Args:
            is_header: Tells whether a record is the header. Without it, the first record with a
                value is the header.

        Raises:
            InputError: The file has no header, or the header has broken quotes, is not UTF-8 or has
                more than MAX_COLUMNS fields.
        """
        preamble, found = 0, False
        # As long as records are found, the next one may be complete already.
        while self._fill(wanted=not found) and preamble < MAX_PREAMBLE:
            data = self._rest
            final = self._is_final(data, 0)
            records = self._scanner.scan(data, 0, self._line, final, limit=1)
            found = bool(records.consumed)
            self._check_text(data, records.consumed)
            self._advance(data, records)
            start = records.starts[0] if len(records.lines) else records.consumed
            self.blank_lines |= bool(data[:start].strip(b" \r\n"))
            if not len(records.lines):
                continue
            self.header_line = data[start : records.stops[0]]
            if is_header and not self._is_header(records, is_header):
                self.preamble += data[: records.consumed].decode()
                preamble += 1
                continue
            if records.broken:
                raise InputError(f"line {records.lines[0]}, the header: {records.broken[0]}")
            if b"\0" in data[: records.consumed]:
                raise InputError("has a NUL byte in its header: this is not a text file")
            if records.fields[0] > MAX_COLUMNS:
                raise InputError(
                    f"has {records.fields[0]:,} columns: at most {MAX_COLUMNS:,} are allowed"
                )
            fields = parse_fields(self.header_line, self._dialect)
            self._headers = HeaderFinder(fields, self._dialect)
            return fields
        if preamble:
            raise NoHeaderError(f"has no header in its first {preamble} lines")
        raise InputError("the file is empty: it does not even have a header")

    def _is_header(self, records: Records, is_header: Callable[[list[str]], bool]) -> bool:
        """Return whether the record in `header_line` is sound and the header."""
        if records.broken or records.fields[0] > MAX_COLUMNS or b"\0" in self.header_line:
            return False
        return is_header(parse_fields(self.header_line, self._dialect))

    def blocks(self, n_fields: int) -> Iterator[Block]:
        """Yield the records after the header, in order; a sound one has `n_fields` fields.

        Raises:
            InputError: The bytes are not UTF-8, a line does not end within MAX_RECORD bytes, or
                another header has other columns, or has them in another order.
        """
        consumed, size = 0, 0
        while self._fill(wanted=not consumed or len(self._rest) <= WINDOW // 2):
            data = self._rest
            # If no record ended in more than a window of data, the data begins with a long record.
            is_long = not consumed and size > WINDOW
            for records in self._scan_one(data) if is_long else self._scan_window(data):
                self._check_text(data, records.consumed)
                if len(records.lines):
                    yield self._block(data, records, n_fields)
            consumed, size = records.consumed, len(data)
            self._advance(data, records)

    def _scan_window(self, data: bytes) -> Iterator[Records]:
        """Yield the records that end in the first WINDOW bytes of `data`, in one or two parts."""
        window = data[:WINDOW]
        records = scan_fast(window, self._line, self._dialect)
        yield records
        final = len(window) == len(data) and self._is_final(data, records.consumed)
        if final or not records.clean:
            # Before the end of the file, `final` applies only to the record that is too long.
            limit = 1 if final and not self._ended else MAX_SLOW
            yield self._scanner.scan(window, records.consumed, records.next_line, final, limit)

    def _scan_one(self, data: bytes) -> Iterator[Records]:
        """Yield the record at the start of `data`, if it ends in `data`."""
        yield self._scanner.scan(data, 0, self._line, self._is_final(data, 0), limit=1)

    def _fill(self, wanted: bool = True) -> bool:
        """Append a chunk to _rest, if wanted or empty; return false if nothing is left to read."""
        if self._rest and not wanted:
            return True
        chunk = b"" if self._ended else next(self._chunks, b"")
        if not chunk and not self._ended:
            self._ended = True
            if self._rest and not self._rest.endswith(b"\n"):
                chunk = b"\n"  # the last line may lack its line end
        self._rest += chunk
        return bool(self._rest)

    def _is_final(self, data: bytes, start: int) -> bool:
        """Return whether the record at `start` is broken if it does not end in `data`."""
        if self._ended or len(data) - start < self._max_record:
            return self._ended and start < len(data)
        if data.find(b"\n", start) < 0:
            line = self._line + data.count(b"\n", 0, start)
            raise InputError(
                f"line {line} does not end within {self._max_record >> 20} MB: this is not a "
                "CSV file, or its line ends are neither LF nor CRLF"
            )
        return True

    def _advance(self, data: bytes, records: Records) -> None:
        self._rest = data[records.consumed :]
        self._line = records.next_line

    def _check_text(self, data: bytes, stop: int) -> None:
        """Raise InputError with the line number if data[:stop] is not UTF-8."""
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
        """Separate the sound records of `data` from the rejects."""
        skipped = self._skipped(data, records)
        sound = (records.fields == n_fields) & ~skipped
        sound[list(records.broken)] = False
        if data.find(b"\0", 0, records.consumed) >= 0:
            for index in np.flatnonzero(sound).tolist():
                sound[index] = b"\0" not in data[records.starts[index] : records.stops[index]]
        for index in self._headers.find(data, records, sound):
            records.broken[index], sound[index] = "repeats the header", False
        bad = np.flatnonzero(~(sound | skipped))
        rejects = [_reject(data, records, i, n_fields) for i in bad[:MAX_REJECTS_KEPT].tolist()]
        return Block(
            _joined(data, records, sound),
            records.lines[sound],
            rejects,
            len(bad),
            int(np.count_nonzero(skipped)),
        )

    def _skipped(self, data: bytes, records: Records) -> NDArray[np.bool_]:
        """Return for each record whether its beginning tells that it is no transaction."""
        skipped = np.full(len(records.lines), self._in_footer)
        if not self._in_footer:
            skipped[self._beginning_with(self._skipped_lines, data, records)] = True
            footers = self._beginning_with(self._footer, data, records)
            if footers:
                skipped[min(footers) :] = self._in_footer = True
        return skipped

    def _beginning_with(self, texts: Sequence[str], data: bytes, records: Records) -> list[int]:
        """Return the indexes of the records that begin with one of the texts, quoted or not."""
        quote, found = self._dialect.quotechar, []
        for beginning in (form for text in texts for form in (text, _quoted(text, quote))):
            pattern = re.compile(b"^" + re.escape(beginning.encode()), re.MULTILINE)
            for match in pattern.finditer(data, 0, records.consumed):
                # A line inside a quoted field begins no record.
                index = int(np.searchsorted(records.starts, match.start()))
                if index < len(records.starts) and records.starts[index] == match.start():
                    found.append(index)
        return found


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, 2 * quote)


def _joined(data: bytes, records: Records, sound: NDArray[np.bool_]) -> bytes:
    """Return the bytes of the sound records with their line ends."""
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
    """Return the record as text that Postgres can store, cut after MAX_REJECT_TEXT characters."""
    text = raw[: 4 * MAX_REJECT_TEXT].decode(errors="replace").rstrip("\r\n")
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    if len(text) > MAX_REJECT_TEXT or len(raw) > 4 * MAX_REJECT_TEXT:
        return f"{text[:MAX_REJECT_TEXT]}… ({len(raw):,} bytes)"
    return text
