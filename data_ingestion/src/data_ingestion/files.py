"""Choose the files to load: those that a person names, or those of the data folder."""

import logging
import os
import unicodedata
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from data_ingestion.contracts import SUFFIXES, TEXT_SUFFIXES, Contract, listed
from data_ingestion.errors import InputError, printable
from data_ingestion.model import Dialect

log = logging.getLogger(__name__)
DEFAULT_DATA_DIR = Path("data")
TRUTH_SUFFIX = ".truth.json"  # the sample writes its truth beside its CSV


class ChosenFile(NamedTuple):
    """A file to load, and the data folder if the file was found there.

    In that case no link may lead out of the data folder.
    """

    path: Path
    folder: Path | None = None


def choose_files(
    names: Sequence[str],
    sources: Sequence[Contract],
    data_dir: Path | None = None,
    only_in_data_dir: bool = False,
) -> list[ChosenFile]:
    """Return the files to load, without repetitions.

    A path or glob in `names` is looked up first in the working directory and then, if it is
    relative, in `data_dir`. A name that exists in neither is returned too, because the load log
    records a missing file, if its table is known.

    Args:
        names: Paths and globs. Without any, the sources select files of the data folder.
        sources: The declared sources whose files are wanted.
        data_dir: The data folder. Without one, the default folder is used only where `names` is
            empty or `only_in_data_dir` is true.
        only_in_data_dir: Whether `names` must be names of files in the data folder, and no paths.

    Raises:
        InputError: There are neither `names` nor `sources`, a glob or source matches no file, or a
            name is a path where only names are allowed.
    """
    folder = data_dir or DEFAULT_DATA_DIR
    if not names:
        chosen = [ChosenFile(path, folder) for path in files_of(sources, folder)]
    elif only_in_data_dir:
        chosen = [ChosenFile(_path_in(folder, name), folder) for name in names]
    else:
        chosen = [file for name in names for file in _look_up(name, data_dir)]
    return list(dict.fromkeys(chosen))


def source_of(
    file: ChosenFile, sources: Sequence[Contract], dialect_of: Callable[[Contract], Dialect]
) -> Contract:
    """Return the source that a file belongs to: by its name, and if in doubt by its content.

    Args:
        file: The file.
        sources: The declared sources.
        dialect_of: Returns how the files of a source are written.

    Raises:
        InputError: The file cannot be read, or belongs to no source or to several.
    """
    candidates = [source for source in sources if _is_named_after(file.path, source)]
    if not candidates:
        # Without a header and without the name, nothing tells the files of a source.
        candidates = [source for source in sources if source.has_header] or list(sources)
    if len(candidates) == 1:
        return candidates[0]
    # Import numpy here: it is needed only if the name leaves a doubt.
    from data_ingestion.write import has_layout_of

    fitting, errors = [], []
    for source in candidates:
        try:
            if has_layout_of(file, source, dialect_of(source)):
                fitting.append(source)
        except InputError as error:
            errors.append(error)
    fitting = [source for source in fitting if source.has_header] or fitting
    if len(fitting) == 1:
        return fitting[0]
    name = printable(file.path.name)
    if len(errors) == len(candidates):
        raise InputError(f"{name}: {errors[0]}") from errors[0]
    tables = listed([source.table for source in fitting or candidates])
    if fitting:
        raise InputError(
            f"{name}: fits {len(fitting)} sources ({tables}): choose one with --table NAME"
        )
    raise InputError(
        f"{name}: fits no source ({tables}): declare one, or load the file with --table NAME"
    )


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


def files_of(sources: Sequence[Contract], folder: Path) -> list[Path]:
    """Return the files in `folder` whose names match a source, sorted without regard to case.

    A log line names the files that match only without their ending.

    Raises:
        InputError: The folder does not exist or has no such file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: set --data-dir or DATA_DIR")
    candidates = [
        path
        for path in folder.iterdir()
        if any(_is_named_after(path, source) for source in sources)
    ]
    candidates.sort(key=lambda path: (path.name.lower(), path.name))
    files = [path for path in candidates if _is_loaded(path, sources)]
    ignored = [
        printable(path.name, 60)
        for path in candidates
        if path not in files and not path.name.lower().endswith(TRUTH_SUFFIX)
    ]
    if ignored:
        log.info(
            "%s: not loaded, because the name ends in none of %s: %s",
            folder,
            ", ".join(SUFFIXES),
            listed(ignored),
        )
    if not files:
        endings = "{" + ",".join(SUFFIXES) + "}"
        patterns = listed(
            [source.pattern + (endings if not _has_ending(source) else "") for source in sources]
        )
        raise InputError(f"{folder}: no file named {patterns}: put one there, or name a file")
    return files


def _is_loaded(path: Path, sources: Sequence[Contract]) -> bool:
    """Return whether a file that matches a source has an ending of files to load."""
    return path.name.lower().endswith(SUFFIXES) or any(
        _has_ending(source) and _is_named_after(path, source) for source in sources
    )


def _has_ending(source: Contract) -> bool:
    return source.pattern.lower().endswith(TEXT_SUFFIXES)


def _is_named_after(path: Path, source: Contract) -> bool:
    """Return whether the name of a file, with or without its ending, matches a source's pattern."""
    # macOS stores accents as characters of their own.
    name, pattern = (
        unicodedata.normalize("NFC", text).lower() for text in (path.name, source.pattern)
    )
    endings = [ending for ending in SUFFIXES if name.endswith(ending)]
    stem = name.removesuffix(max(endings, key=len)) if endings else Path(name).stem
    pattern = pattern.replace("[", "[[]")  # only * and ? are special
    return any(fnmatchcase(text, pattern) for text in (name, stem))
