"""The data types that all parts of a load share."""

import codecs
from dataclasses import dataclass
from datetime import datetime

# The columns that the loader adds to those of a file, in the order in which COPY sends them.
# The normalised name of a file's column never begins with an underscore.
# The values that all rows of a load share are in raw._loads.
ADDED_COLUMNS = ("_row_hash", "_source_line", "_load_id")
DELIMITERS = ",;\t|"  # those that are common in CSV files


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: One ASCII character between fields.
        quotechar: One ASCII character around quoted fields.
        encoding: The name of a Python codec.
        fixed: Whether the delimiter holds for every file. Otherwise a file that begins with a line
            such as `sep=;` has the delimiter that the line names.
    """

    delimiter: str = ","
    quotechar: str = '"'
    encoding: str = "utf-8"
    fixed: bool = False


def is_character(text: str) -> bool:
    """Return whether a text can be a delimiter or a quote character: one ASCII character."""
    return len(text) == 1 and text.isascii() and text not in "\0\r\n"


def is_encoding(name: str) -> bool:
    """Return whether a name is that of a codec that decodes bytes to text."""
    try:
        info = codecs.lookup(name)
        text: object = codecs.getincrementaldecoder(name)("strict").decode(b"")
    except (LookupError, TypeError, ValueError):
        return False
    # Two codecs decode domain names, and one nothing.
    return isinstance(text, str) and info.name not in ("idna", "punycode", "undefined")


@dataclass(frozen=True)
class Options:
    """How the files of one run are loaded.

    Attributes:
        table: The table in the schema `raw`.
        dialect: How the CSV is written; None: as the source declares it, or else as by default.
        duplicates: `drop` stores identical rows once, `keep` stores every one of a file. A source
            can declare `keep`, which then holds in any case.
        max_rejects: A load fails when it has more rejects.
        dedup_memory: The memory for finding duplicates, in bytes.
        force: Whether to read a file that is already loaded.
    """

    table: str = "transactions"
    dialect: Dialect | None = None
    duplicates: str = "drop"
    max_rejects: int = 0
    dedup_memory: int = 256 << 20
    force: bool = False


@dataclass(frozen=True)
class Reject:
    """A record that cannot be loaded.

    Attributes:
        line_number: The physical line on which it starts; the first line of a file is 1.
        text: The beginning of the record.
        reason: Why it cannot be loaded.
    """

    line_number: int
    text: str
    reason: str


@dataclass(frozen=True)
class RowCounts:
    """How many rows of a file were read, loaded, dropped as duplicates, rejected and skipped.

    `rejects` holds the first of the rejected records. The hashes are the `_row_hash` of the first
    and the last row that were loaded or dropped, as hexadecimal digits.
    """

    read: int
    loaded: int
    duplicate: int
    rejected: int
    skipped: int = 0
    rejects: tuple[Reject, ...] = ()
    first_row_hash: str | None = None
    last_row_hash: str | None = None


@dataclass
class Load:
    """One attempt to load a file, which becomes a row of raw._loads.

    Attributes:
        table: The table in the schema `raw`.
        source_file: The file's name, without its folder.
        duplicates: As in `Options`.
        started_at: The server's time at the start of the attempt.
        file_size: In bytes.
        file_sha256: The hash of the file's bytes, in hexadecimal.
        load_id: The number of the load within its table, from 1; 0 before it is assigned.
        status: `loaded` or `failed`.
        error: Why the load failed.
        rows_read: Records of the file, without its header and empty lines.
        rows_loaded: Rows that the server stored.
        rows_duplicate: Rows that were dropped as duplicates.
        rows_rejected: Records that became rejects.
        rows_skipped: Records that are no transactions, as the source declares them.
        loads_gone: How many earlier loads of the table are known to have lost all their rows.
        rejects: The first of the rejects.
        first_row_hash: As in `RowCounts`; None for a failed load.
        last_row_hash: As `first_row_hash`.
        columns: The table's columns for values; empty if the file has no readable header.
    """

    table: str
    source_file: str
    duplicates: str
    started_at: datetime
    file_size: int | None = None
    file_sha256: str | None = None
    load_id: int = 0
    status: str = "loaded"
    error: str | None = None
    rows_read: int = 0
    rows_loaded: int = 0
    rows_duplicate: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    loads_gone: int = 0
    rejects: tuple[Reject, ...] = ()
    first_row_hash: str | None = None
    last_row_hash: str | None = None
    columns: tuple[str, ...] = ()
