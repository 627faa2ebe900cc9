"""Which files a command line means: those it names, or those of the data folder."""

import argparse
import os
from glob import glob, has_magic
from pathlib import Path

from data_ingestion.contract import CONTRACTS, files_of
from data_ingestion.errors import InputError, printable

DEFAULT_DATA_DIR = "data"
# A file, and the data folder if it was chosen from there: then no link may lead out of that.
Chosen = tuple[Path, Path | None]


def choose(options: argparse.Namespace) -> list[Chosen]:
    """The files to load: those named, globs expanded, or those that the contract's pattern names.

    A relative name that is not there is looked for in the data folder, when one was given. What is
    nowhere is in the list, too: that it is missing belongs into raw._loads.

    Raises:
        InputError: nothing is named and the table has no pattern, a glob matches nothing, or, where
            names in the data folder are asked for, a path.
    """
    given = options.data_dir or os.environ.get("DATA_DIR")
    folder = Path(given or DEFAULT_DATA_DIR)
    if not options.files:
        contract = CONTRACTS.get(options.table)
        if contract is None:
            raise InputError(f"name the files to load into {options.table}")
        return [(path, folder) for path in files_of(contract, folder)]
    if options.in_data_dir:
        chosen = [(_named(name, folder), folder) for name in options.files]
    else:
        chosen = [
            each for name in options.files for each in _found(name, folder if given else None)
        ]
    return list(dict.fromkeys(chosen))


def _named(name: str, folder: Path) -> Path:
    if name in ("", "..") or Path(name).name != name:
        raise InputError(f"{printable(name)}: is no name of a file in the data folder")
    return folder / name


def _found(name: str, folder: Path | None) -> list[Chosen]:
    roots: list[Chosen] = [(Path(), None)]
    if folder and not Path(name).is_absolute():
        roots.append((folder, folder))
    for root, inside in roots:
        if os.path.exists(root / name):  # noqa: PTH110 - Path's own fails where a name is too long
            return [(root / name, inside)]
    if not has_magic(name):
        return [(Path(name), None)]
    for root, inside in roots:
        if expanded := sorted(glob(str(root / name), recursive=True)):  # noqa: PTH207
            return [(Path(path), inside) for path in expanded]
    raise InputError(f"{printable(name)}: no file matches")
