"""The private APIs of zipfile and openpyxl that the loader needs, in one place.

Neither library has a public way to read untrusted files with bounded memory. pyproject.toml pins
openpyxl to one version and limits Python to tested minor versions. tests/test_private_apis.py names
the API that is missing or changed in another version.
"""

import zipfile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._reader import WorkSheetParser


def directory_size(file: IO[bytes]) -> int | None:
    """Return the size in bytes of a zip's directory, or None if the file is not a zip.

    ZipFile takes the size from the same record, and its constructor reads the whole directory into
    memory. The size must therefore be checked before a ZipFile is created.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    return int(end[zipfile._ECD_SIZE]) if end else None  # type: ignore[attr-defined]


def sheet_parser(source: Any, shared_strings: list[str], workbook: "Workbook") -> "WorkSheetParser":
    """Return openpyxl's parser of a sheet's rows.

    Only its `parse_row(element)` and `row_dimensions` are used. The public reader keeps every row
    in memory and trusts the size that the sheet states.
    """
    from openpyxl.worksheet._reader import WorkSheetParser  # slow to import, rarely needed

    return WorkSheetParser(
        source,
        shared_strings,
        data_only=True,
        epoch=workbook.epoch,
        date_formats=workbook._date_formats,  # type: ignore[attr-defined]
        timedelta_formats=workbook._timedelta_formats,  # type: ignore[attr-defined]
    )


def number_format(workbook: "Workbook", style: int) -> str:
    """Return the code of the number format of the style with that index."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE

    number = workbook._cell_styles[style].numFmtId  # type: ignore[attr-defined]
    if number < BUILTIN_FORMATS_MAX_SIZE:
        return str(BUILTIN_FORMATS.get(number, "General"))
    custom = workbook._number_formats  # type: ignore[attr-defined]
    return str(custom[number - BUILTIN_FORMATS_MAX_SIZE])
