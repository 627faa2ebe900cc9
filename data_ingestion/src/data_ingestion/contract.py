"""What is known about the files of a table before one is read, and how columns get their names."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_ingestion.errors import InputError, printable

log = logging.getLogger(__name__)
MAX_IDENTIFIER = 63  # bytes: Postgres cuts longer names, and two cut names could be one
MAX_COLUMNS = 1_000  # Postgres holds 1,600; a file that comes near is not a table
FILE_SUFFIXES = (".csv", ".csv.gz", ".zip", ".xlsx")  # in capitals, too
COMPANION = ".truth.json"  # what the sample's truth ends with, which lies beside it


@dataclass(frozen=True)
class Contract:
    """The promise about a table's files: these columns, no others, in any order.

    `dropped` are headers, as they stand in the file, of columns that carry no information.
    `stem` is what the names of its files begin with, in small letters or in capitals.
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
    """The table's value columns in order, and for each the index of its field in the file."""

    names: tuple[str, ...]
    fields: tuple[int, ...]


def normalise(name: str) -> str:
    """A column's name in the warehouse: ` WITHDRAWAL AMT ` → `withdrawal_amt`.

    Lower case, whatever is not a-z or 0-9 becomes one underscore, none at the ends; what has no
    such character at all comes out empty.
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def name_columns(header: Sequence[str], contract: Contract | None) -> Columns:
    """Names the columns of a header and checks them against the contract, if there is one.

    A column whose name normalises to nothing is named by its place: `column_9`.

    Raises:
        InputError: too long, doubled, missing or unexpected columns.
    """
    if contract and len(header) == 1:
        other = next((mark for mark in ";\t|," if mark in header[0]), None)
        if other:
            raise InputError(f"seems to be separated by {other!r}: load it with --delimiter")
    dropped = contract.dropped if contract else ()
    places: dict[str, int] = {}
    for place, text in enumerate(header):
        if text.strip() in dropped:
            continue
        name = normalise(text) or f"column_{place + 1}"
        if len(name) > MAX_IDENTIFIER:
            raise InputError(
                f"column {place + 1} has a name of {len(name)} characters "
                f"({printable(text, 40)!r}): {MAX_IDENTIFIER} are the most"
            )
        if name in places:
            raise InputError(
                f"columns {places[name] + 1} and {place + 1} would both be named {name!r}: "
                "rename one of them in the header"
            )
        places[name] = place
    if contract is None:
        return Columns(tuple(places), tuple(places.values()))
    _check_contract(places, contract)
    return Columns(contract.columns, tuple(places[name] for name in contract.columns))


def _check_contract(places: dict[str, int], contract: Contract) -> None:
    missing = [name for name in contract.columns if name not in places]
    unexpected = [name for name in places if name not in contract.columns]
    if missing:
        raise InputError(
            f"lacks {_listed(missing)}, which {contract.table} needs; its header has "
            f"{_listed(list(places))} (another kind of file? load it with --table NAME)"
        )
    if unexpected:
        raise InputError(
            f"has {_listed(unexpected)}, which {contract.table} does not know: take it out, "
            "or load the file into another table with --table NAME"
        )


def _listed(names: list[str]) -> str:
    return ("column " if len(names) == 1 else "columns ") + _some(names)


def _some(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def files_of(contract: Contract, folder: Path) -> list[Path]:
    """The files in `folder` that the contract's pattern names, sorted by name, capitals or not.

    A log line names those that only begin as it says: nothing is passed over without a word.

    Raises:
        InputError: the folder does not exist or holds no such file.
    """
    pattern = f"{contract.stem}*" + "{" + ",".join(FILE_SUFFIXES) + "}"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder (--data-dir or DATA_DIR names another)")
    begun = [path for path in folder.iterdir() if path.name.lower().startswith(contract.stem)]
    begun.sort(key=lambda path: (path.name.lower(), path.name))
    found = [path for path in begun if path.name.lower().endswith(FILE_SUFFIXES)]
    others = [path for path in begun if not path.name.lower().endswith((*FILE_SUFFIXES, COMPANION))]
    if others:
        log.info(
            "%s: not loaded, as the name ends in none of %s: %s",
            folder,
            ", ".join(FILE_SUFFIXES),
            _some([printable(path.name, 60) for path in others]),
        )
    if not found:
        raise InputError(f"{folder}: no file named {pattern}: put one there, or name a file")
    return found
