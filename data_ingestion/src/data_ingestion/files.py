"""Choose the files to load: those that a person names, or those of the data folder."""

import logging
import os
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from data_ingestion.contracts import CONTRACTS, Contract, listed
from data_ingestion.errors import InputError, printable

log = logging.getLogger(__name__)
DEFAULT_DATA_DIR = Path("data")
SUFFIXES = (".csv", ".csv.gz", ".zip", ".xlsx")  # compared in lower case
TRUTH_SUFFIX = ".truth.json"  # the sample writes its truth beside its CSV


class ChosenFile(NamedTuple):
    """A file to load, and the data folder if the file was found there.

    In that case no link may lead out of the data folder.
    """

    path: Path
    folder: Path | None = None


def choose_files(
    names: Sequence[str],
    table: str = "transactions",
    data_dir: Path | None = None,
    only_in_data_dir: bool = False,
) -> list[ChosenFile]:
    """Return the files to load, without repetitions.

    A path or glob in `names` is looked up first in the working directory and then, if it is
    relative, in `data_dir`. A name that exists in neither is returned too, because the load log
    has to record that this file is missing.

    Args:
        names: Paths and globs. Without any, the table's contract selects files of the data folder.
        table: The table in the schema `raw`.
        data_dir: The data folder. Without one, the default folder is used only where `names` is
            empty or `only_in_data_dir` is true.
        only_in_data_dir: Whether `names` must be names of files in the data folder, and no paths.

    Raises:
        InputError: `names` is empty and the table has no contract, a glob matches no file, or a
            name is a path where only names are allowed.
    """
    folder = data_dir or DEFAULT_DATA_DIR
    if not names:
        contract = CONTRACTS.get(table)
        if contract is None:
            raise InputError(f"name the files to load into {table}")
        return [ChosenFile(path, folder) for path in contract_files(contract, folder)]
    if only_in_data_dir:
        chosen = [ChosenFile(_path_in(folder, name), folder) for name in names]
    else:
        chosen = [file for name in names for file in _look_up(name, data_dir)]
    return list(dict.fromkeys(chosen))


def _path_in(folder: Path, name: str) -> Path:
    if name in ("", "..") or Path(name).name != name:
        raise InputError(f"{printable(name)}: is not the name of a file in the data folder")
    return folder / name


def _look_up(name: str, data_dir: Path | None) -> list[ChosenFile]:
    roots = [ChosenFile(Path())]
    if data_dir and not Path(name).is_absolute():
        roots.append(ChosenFile(data_dir, data_dir))
    for root, folder in roots:
        # Path.exists raises OSError for a name that is too long. os.path.exists returns False.
        if os.path.exists(root / name):  # noqa: PTH110
            return [ChosenFile(root / name, folder)]
    if not has_magic(name):
        return [ChosenFile(Path(name))]
    for root, folder in roots:
        if expanded := sorted(glob(str(root / name), recursive=True)):  # noqa: PTH207
            return [ChosenFile(Path(path), folder) for path in expanded]
    raise InputError(f"{printable(name)}: no file matches")


def contract_files(contract: Contract, folder: Path) -> list[Path]:
    """Return the files in `folder` whose names match the contract, sorted without regard to case.

    A log line names the files that have the contract's stem but another suffix.

    Raises:
        InputError: The folder does not exist or has no such file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: set --data-dir or DATA_DIR")
    candidates = [path for path in folder.iterdir() if path.name.lower().startswith(contract.stem)]
    candidates.sort(key=lambda path: (path.name.lower(), path.name))
    files = [path for path in candidates if path.name.lower().endswith(SUFFIXES)]
    ignored = [
        printable(path.name, 60)
        for path in candidates
        if not path.name.lower().endswith((*SUFFIXES, TRUTH_SUFFIX))
    ]
    if ignored:
        log.info(
            "%s: not loaded, because the name ends in none of %s: %s",
            folder,
            ", ".join(SUFFIXES),
            listed(ignored),
        )
    if not files:
        pattern = f"{contract.stem}*" + "{" + ",".join(SUFFIXES) + "}"
        raise InputError(f"{folder}: no file named {pattern}: put one there, or name a file")
    return files
