"""Check and convert the values of command line arguments.

Each function raises argparse.ArgumentTypeError with a message for people.
"""

import argparse
import codecs

from data_ingestion.contracts import normalise
from data_ingestion.errors import printable

# Characters. The name of an index adds up to 14 more, and Postgres cuts names after 63 bytes.
MAX_TABLE_NAME = 48


def table_name(text: str) -> str:
    """Return a table's name, which needs no quotes in SQL."""
    if not text or normalise(text) != text or len(text) > MAX_TABLE_NAME:
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} is not a table name: use up to {MAX_TABLE_NAME} of a-z, 0-9, _"
        )
    return text


def character(text: str) -> str:
    """Return one ASCII character; the word `tab`, or a backslash and `t`, stands for a tab."""
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or not text.isascii() or text in "\0\r\n":
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not one ASCII character")
    return text


def encoding(text: str) -> str:
    """Return the name of a codec that decodes bytes to text."""
    try:
        codecs.getincrementaldecoder(text)("strict").decode(b"")
    except (LookupError, AttributeError, TypeError):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a known encoding") from None
    return text


def count(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a whole number of 0 or more")
    return int(text)
