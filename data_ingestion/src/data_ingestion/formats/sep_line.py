"""The line `sep=;`, with which some programs begin a CSV file to tell Excel its delimiter."""

import re
from dataclasses import replace

from data_ingestion.errors import InputError, printable
from data_ingestion.model import DELIMITERS, Dialect

SEP_LINE = re.compile(rb"\"?sep=([^\r\n]*)(?:\r?\n|\Z)", re.IGNORECASE)
PADDING = ',;|\t "'  # other programs quote the line, or pad it to the width of the table


def take_sep_line(start: bytes, dialect: Dialect) -> tuple[Dialect, bytes]:
    """Replace a `sep=` line by an empty line, so that the later lines keep their numbers.

    Args:
        start: The beginning of a file, in UTF-8.
        dialect: How the file is written, as far as the person who loads it has said.

    Returns:
        The dialect with the delimiter that the line names, and the bytes without the line.

    Raises:
        InputError: The line names no delimiter, or contradicts the header or `--delimiter`.
    """
    match = SEP_LINE.match(start)
    if match is None:
        return dialect, start
    line = printable(match[0].decode(errors="replace").strip("\r\n"), 40)
    named = _delimiter(match[1].decode(errors="replace"), dialect.quotechar)
    rest = start[match.end() :]
    header = rest.lstrip(b"\r\n").partition(b"\n")[0].decode(errors="replace")
    possible = (named, dialect.delimiter, *DELIMITERS)
    used = next((mark for mark in possible if mark and mark in header), named)
    if used != named:
        raise InputError(
            f"line 1 is '{line}', but the header is separated by {used!r}: delete line 1, and load "
            f"the file with --delimiter {used!r}"
        )
    if named is None:
        raise InputError(f"line 1 is '{line}', which names no delimiter: delete line 1")
    if dialect.fixed and dialect.delimiter != named:
        raise InputError(
            f"line 1 is '{line}', but --delimiter is {dialect.delimiter!r}: load the file without "
            "--delimiter"
        )
    return replace(dialect, delimiter=named), b"\n" + rest


def _delimiter(text: str, quotechar: str) -> str | None:
    """Return the delimiter that stands behind `sep=`, if it is one."""
    text = text.replace("\\t", "\t")
    mark, padding = text[:1], text[1:].strip(PADDING)
    if padding or not mark.isascii() or mark.isalnum() or mark in ("", '"', quotechar):
        return None
    return mark
