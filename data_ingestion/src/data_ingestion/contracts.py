"""The columns that the files of a table must have, and the names of columns in the warehouse."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from data_ingestion.errors import InputError, printable

MAX_IDENTIFIER = 63  # bytes: Postgres cuts longer names, and two names could become equal
MAX_COLUMNS = 1_000  # Postgres allows 1,600; no table of data comes close


@dataclass(frozen=True)
class Contract:
    """The columns that every file of a table has, in any order.

    Attributes:
        table: The table in the schema `raw`.
        stem: The beginning of the names of its files, in upper or lower case.
        columns: The normalised names of its columns, in the order of the table.
        dropped: Headers, as written in the file, of columns that carry no information.
    """

    table: str
    stem: str
    columns: tuple[str, ...]
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
        InputError: A name is too long, two names are equal, or a column of the contract is missing
            or unexpected.
    """
    if contract and len(header) == 1:
        delimiter = next((mark for mark in ";\t|," if mark in header[0]), None)
        if delimiter:
            raise InputError(f"seems to be separated by {delimiter!r}: load it with --delimiter")
    dropped = contract.dropped if contract else ()
    fields: dict[str, int] = {}
    for index, text in enumerate(header):
        if text.strip() in dropped:
            continue
        name = normalise(text) or f"column_{index + 1}"
        if len(name) > MAX_IDENTIFIER:
            raise InputError(
                f"column {index + 1} has a name of {len(name)} characters "
                f"({printable(text, 40)!r}): at most {MAX_IDENTIFIER} are allowed"
            )
        if name in fields:
            raise InputError(
                f"columns {fields[name] + 1} and {index + 1} would both be named {name!r}: "
                "rename one of them in the header"
            )
        fields[name] = index
    if contract is None:
        return Columns(tuple(fields), tuple(fields.values()))
    _check_contract(fields, contract)
    return Columns(contract.columns, tuple(fields[name] for name in contract.columns))


def _check_contract(fields: dict[str, int], contract: Contract) -> None:
    missing = [name for name in contract.columns if name not in fields]
    unexpected = [name for name in fields if name not in contract.columns]
    if missing:
        raise InputError(
            f"lacks {_columns(missing)}, which {contract.table} needs; its header has "
            f"{_columns(list(fields))} (another kind of file? load it with --table NAME)"
        )
    if unexpected:
        raise InputError(
            f"has {_columns(unexpected)}, which {contract.table} does not know: remove it, "
            "or load the file into another table with --table NAME"
        )


def _columns(names: list[str]) -> str:
    return ("column " if len(names) == 1 else "columns ") + listed(names)


def listed(names: list[str], limit: int = 12) -> str:
    """Return the first `limit` names, separated by commas, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
