"""The columns that the files of a table must have, and the names of columns in the warehouse."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from data_ingestion.errors import InputError, printable
from data_ingestion.model import DELIMITERS

MAX_IDENTIFIER = 63  # bytes: Postgres cuts longer names, and two names could become equal
MAX_COLUMNS = 1_000  # Postgres allows 1,600; no table of data comes close


@dataclass(frozen=True)
class Contract:
    """The columns that every file of a table has, in any order.

    Attributes:
        table: The table in the schema `raw`.
        stem: The beginning of the names of its files, in upper or lower case.
        columns: The normalised names of its columns, in the order of the table.
        required: Those of the columns in which every row has a value.
        dropped: Headers, as written in the file, of columns that carry no information.
    """

    table: str
    stem: str
    columns: tuple[str, ...]
    required: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


CONTRACTS = {
    "transactions": Contract(
        table="transactions",
        stem="transactions",
        columns=(
            "account_no",
            "date",
            "transaction_details",
            "chq_no",
            "value_date",
            "withdrawal_amt",
            "deposit_amt",
            "balance_amt",
        ),
        required=("account_no", "date"),
        dropped=(".",),
    )
}


@dataclass(frozen=True)
class Columns:
    """The table's value columns in order, and the index of each one's field in the file."""

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
    fields = _check_contract(header, contract)
    return Columns(contract.columns, tuple(fields[name] for name in contract.columns))


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
