"""Check and convert the values of command line arguments.

Each function raises argparse.ArgumentTypeError with a message for people.
"""

import argparse

from data_ingestion.contracts import MAX_TABLE_NAME, normalise
from data_ingestion.errors import printable
from data_ingestion.model import is_character, is_encoding


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
    if not is_character(text):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not one ASCII character")
    return text


def encoding(text: str) -> str:
    """Return the name of a codec that decodes bytes to text."""
    if not is_encoding(text):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a known encoding")
    return text


def count(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a whole number of 0 or more")
    return int(text)
