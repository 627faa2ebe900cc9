"""The columns that the files of a table must have, and the names of columns in the warehouse."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_ingestion.errors import InputError, printable
from data_ingestion.model import DELIMITERS, Dialect

MAX_IDENTIFIER = 63  # bytes: Postgres cuts longer names, and two names could become equal
SUFFIXES = (".csv", ".csv.gz", ".zip", ".xlsx")  # of the files to load, in lower case
# Endings of text files, which are loaded if the pattern of a source has the ending, too.
TEXT_SUFFIXES = (".txt", ".tsv", ".tab", ".asc", ".dat", ".xls")
MAX_TABLE_NAME = 48  # characters: the name of an index adds up to 14 more
MAX_COLUMNS = 1_000  # Postgres allows 1,600; no table of data comes close
ACCOUNT = "account_number"  # the column that the loader adds if the file says the account once


@dataclass(frozen=True)
class AccountPattern:
    """How the account is found that a file says once, and not in each row.

    Attributes:
        pattern: A regular expression. Its only group is the account.
        is_in_path: Whether to search the name of the file, and not the lines above its header.
    """

    pattern: str
    is_in_path: bool


@dataclass(frozen=True)
class Contract:
    """What is declared about the files of a source; `declarations` reads it.

    Attributes:
        table: The table in the schema `raw`.
        pattern: The pattern of the names of its files, without their endings.
        columns: The names of its columns in the warehouse, in the order of the table.
        titles: The names of all columns in the file, in the order of the file.
        positions: The index in `titles` of each of `columns`.
        any_order: Whether the columns of the file may stand in any order. Their normalised names
            are then `columns`.
        required: Those of the columns in which every row has a value.
        dialect: How its files are written.
        sheet: The name of the sheet of a workbook.
        duplicates: `keep` stores every equal row of a file.
        has_header: Whether its files have a header.
        preamble: Whether lines may stand before the header.
        trailing_delimiter: Whether each row has one more field than the header, which is empty.
        skipped_rows: By column, the values of rows that are no transactions.
        skipped_lines: Beginnings of lines that are no transactions.
        footer: Beginnings of the line with which the data end.
        account: How the account is found that is stored with each row, if it is in no column.
    """

    table: str
    pattern: str
    columns: tuple[str, ...]
    titles: tuple[str, ...]
    positions: tuple[int, ...]
    any_order: bool = False
    required: tuple[str, ...] = ()
    dialect: Dialect = field(default_factory=Dialect)
    sheet: str | None = None
    duplicates: str = "drop"
    has_header: bool = True
    preamble: bool = False
    trailing_delimiter: bool = False
    skipped_rows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    skipped_lines: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    account: AccountPattern | None = None

    @property
    def added(self) -> tuple[str, ...]:
        """The names of the columns that the table has and the file has not."""
        return (ACCOUNT,) if self.account else ()

    @property
    def dropped(self) -> tuple[str, ...]:
        """The names of the columns that carry nothing."""
        return tuple(
            title.strip() for index, title in enumerate(self.titles) if index not in self.positions
        )


@dataclass(frozen=True)
class Columns:
    """The table's value columns in order, and the index of each one's field in the file.

    The account that a file says once has the index behind the last field.
    """

    names: tuple[str, ...]
    fields: tuple[int, ...]


def normalise(name: str) -> str:
    """Return the name that a column has in the warehouse: ` WITHDRAWAL AMT ` → `withdrawal_amt`.

    The name becomes lower case. Each run of characters other than a-z and 0-9 becomes one
    underscore, except at the ends, where it is removed. The result can be empty.
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def name_columns(header: Sequence[str], contract: Contract | None) -> Columns:
    """Name the columns of a header, and check them against the contract, if there is one.

    A column whose normalised name is empty gets its position as its name: `column_9`.

    Raises:
        InputError: The header names no column, a name is too long, two names are equal, or a column
            of the contract is missing or unexpected.
    """
    _check_is_header(header)
    if contract is None:
        fields = _distinct(_names(header))
        return Columns(tuple(fields), tuple(fields.values()))
    if not contract.any_order:
        _check_titles(header, contract)
        return Columns(contract.columns, contract.positions)
    fields = _check_contract(header, contract)
    return Columns(contract.columns, tuple(fields[name] for name in contract.columns))


def has_titles(header: Sequence[str], contract: Contract) -> bool:
    """Return whether a line has the names of a contract in the order of its columns."""
    return list(map(_key, header)) == list(map(_key, contract.titles))


def similarity(header: Sequence[str], contract: Contract) -> int:
    """Return how many of the names of a contract a line has."""
    return len(set(map(_key, header)).intersection(map(_key, filter(str.strip, contract.titles))))


def _key(title: str) -> str:
    """Return the name of a column without case, blanks and punctuation, or else as it is."""
    folded = unicodedata.normalize("NFKC", title).casefold()
    return re.sub(r"[\W_]+", " ", folded).strip() or title.strip()


def _check_titles(header: Sequence[str], contract: Contract) -> None:
    if has_titles(header, contract):
        return
    found, wanted = Counter(map(_key, header)), Counter(map(_key, contract.titles))
    missing = [title for title in contract.titles if wanted[_key(title)] > found[_key(title)]]
    unexpected = [title for title in header if found[_key(title)] > wanted[_key(title)]]
    if missing:
        raise InputError(
            f"lacks {_shown(missing)}, which {contract.table} needs; its header has "
            f"{_shown(header)} (another kind of file? declare it, or load it with --table NAME)"
        )
    if unexpected:
        raise InputError(
            f"has {_shown(unexpected)}, which {contract.table} does not know: declare "
            "another source for such files"
        )
    raise InputError(
        f"has the columns of {contract.table} in another order: {_shown(header)}; declare another "
        "source for this order"
    )


def _shown(titles: Sequence[str]) -> str:
    return _columns([title.strip() or "without a name" for title in titles])


def _check_is_header(header: Sequence[str]) -> None:
    names = [text for text in header if text.strip()]
    if len(names) == 1 and normalise(names[0]) == "sep":
        raise InputError(
            f"begins with {printable(names[0], 40)!r}, which is no header: delete that line, or "
            "give the column another name"
        )
    if not any(character.isalnum() for text in names for character in text):
        raise InputError(
            "begins with a line that names no column: write the names of the columns there, or "
            "delete all lines before the header"
        )


def _names(header: Sequence[str], dropped: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Return the index and the name of each column that is not dropped."""
    return [
        (index, normalise(text) or f"column_{index + 1}")
        for index, text in enumerate(header)
        if text.strip() not in dropped
    ]


def _distinct(names: list[tuple[int, str]], remedy: str = "rename") -> dict[str, int]:
    """Return the index of each name, after a check of the names."""
    fields: dict[str, int] = {}
    for index, name in names:
        if len(name) > MAX_IDENTIFIER:
            raise InputError(
                f"column {index + 1} has a name of {len(name)} characters "
                f"({printable(name, 40)!r}): shorten it to at most {MAX_IDENTIFIER}"
            )
        if name in fields:
            raise InputError(
                f"columns {fields[name] + 1} and {index + 1} would both be named {name!r}: "
                f"{remedy} one of them in the header"
            )
        fields[name] = index
    return fields


def _check_contract(header: Sequence[str], contract: Contract) -> dict[str, int]:
    """Return the index of each column of the contract."""
    names = _names(header, contract.dropped)
    found = [name for _, name in names]
    missing = [name for name in contract.columns if name not in found]
    unexpected = [name for name in found if name not in contract.columns]
    if missing:
        raise InputError(
            f"lacks {_columns(missing)}, which {contract.table} needs; its header has "
            f"{_columns(found)} (another kind of file? {_other_table(header)})"
        )
    if unexpected:
        raise InputError(
            f"has {_columns(unexpected)}, which {contract.table} does not know: remove "
            f"{'it' if len(unexpected) == 1 else 'them'}, or {_other_table(header)}"
        )
    return _distinct(names, "remove")


def _other_table(header: Sequence[str]) -> str:
    """Return how to load a file that is no file of its contract."""
    options = "--table NAME"
    delimiter = next((mark for mark in DELIMITERS if mark in header[0]), None)
    if len(header) == 1 and delimiter:
        header, options = header[0].split(delimiter), f"{options} --delimiter {delimiter!r}"
    try:
        name_columns(header, None)
    except InputError as error:
        return f"{error}, and load it with {options}"
    return f"load it with {options}"


def _columns(names: list[str]) -> str:
    shown = listed([printable(name, MAX_IDENTIFIER) for name in names])
    return f"column {shown}" if len(names) == 1 else f"columns {shown}"


def listed(names: list[str], limit: int = 12) -> str:
    """Return the first `limit` names, separated by commas, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
