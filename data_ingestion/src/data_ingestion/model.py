"""The few things that all parts of a load speak of."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

# What the loader adds to the columns of a file, in the order in which COPY gets it. No column of a
# file begins with an underscore.
ADDED_COLUMNS = ("_row_hash", "_source_line", "_load_id", "_source_file", "_loaded_at")


@dataclass(frozen=True)
class Dialect:
    """What separates fields and what quotes them, one ASCII character each; the encoding."""

    delimiter: str = ","
    quotechar: str = '"'
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Options:
    """What a person chooses for a load; `dedup_memory` is in bytes.

    `inside` is the folder that the file was chosen from: links must not lead out of it.
    """

    table: str = "transactions"
    dialect: Dialect = Dialect()
    duplicates: str = "drop"
    max_rejects: int = 0
    dedup_memory: int = 256 << 20
    force: bool = False
    inside: Path | None = None


@dataclass(frozen=True)
class Reject:
    """A record that does not fit: the line it starts on (1 is the file's first), text, reason."""

    line_number: int
    text: str
    reason: str


@dataclass
class Load:
    """One attempt to load a file: what becomes a row of raw._loads.

    `loads_gone`: how many loads before it are known to have lost all their rows.
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
    loads_gone: int = 0
    rejects: list[Reject] = field(default_factory=list)
