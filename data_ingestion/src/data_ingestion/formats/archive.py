"""Zips from untrusted sources, with limits on the unpacked bytes.

The limits hold whatever size the zip's directory states.

A plain CSV in a zip needs no limit, because it is read as a stream. A workbook needs limits: its
parts are XML, some are held in memory as a whole, and others grow while they are read.
"""

import zipfile
from typing import IO
from xml.parsers import expat

from data_ingestion.errors import InputError, printable

# ZipFile holds the directory in memory. This size is enough for some ten thousand files.
MAX_DIRECTORY = 1 << 20
# With other methods, such as bzip2, Python unpacks a chunk as a whole: a few bytes can become
# gigabytes.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# The limit for parts of a workbook that are parsed as a whole, which takes up to 20 times as much.
MAX_PART = 4 << 20
READ_SIZE = 1 << 14


def directory_size(file: IO[bytes]) -> int | None:
    """Return the size in bytes of a zip's directory, or None if the file is not a zip.

    ZipFile takes the size from the same record, and its constructor reads the whole directory into
    memory. The size must therefore be checked before a ZipFile is created. There is no public way:
    pyproject.toml limits Python to minor versions for which tests/test_private_apis.py passes.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    return int(end[zipfile._ECD_SIZE]) if end else None  # type: ignore[attr-defined]


def check_directory(file: IO[bytes]) -> None:
    """Raise InputError if the zip's directory is too large to hold in memory."""
    if (directory_size(file) or 0) > MAX_DIRECTORY:
        raise InputError("is a zip with more than ten thousand files: it must hold exactly one")


def check_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the directory's entry of a file that can be unpacked as a stream.

    Raises:
        InputError: The file has a password, or is compressed with a method other than deflate.
    """
    member = archive.getinfo(name)
    if member.flag_bits & 1:
        raise InputError("is a zip with a password: unpack it first")
    if member.compress_type not in METHODS:
        raise InputError("is a zip that is not compressed with deflate: unpack it first")
    return member


class Part:
    """A part of a workbook, open for reading, with bounds.

    Args:
        file: The unpacked part.
        name: Its name in the archive.
        limit: The largest number of bytes to read in total.
        row_limit: The largest number of bytes to read between two calls of `end_row`.
    """

    def __init__(self, file: IO[bytes], name: str, limit: int, row_limit: int) -> None:
        self._file, self._name = file, printable(name)
        self._limit, self._left = limit, limit
        self._row_limit, self._row_left = row_limit, row_limit

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def end_row(self) -> None:
        """State that the row read so far is processed and out of memory."""
        self._row_left = self._row_limit

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or all.

        Raises:
            InputError: The part is longer than its limits.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(READ_SIZE), b""))
        data = self._file.read(size)
        self._left -= len(data)
        self._row_left -= len(data)
        if self._left < 0:
            raise too_long(self._name, self._limit)
        if self._row_left < 0:
            raise InputError(
                f"has more than {self._row_limit >> 20} MB between two rows of {self._name}: "
                "save the sheet as CSV and load that"
            )
        return data


class Package(zipfile.ZipFile):
    """The zip of a workbook. Its parts are bounded and have no document type.

    OOXML forbids document types (ECMA-376 part 2). Entities, with which a small file expands to a
    huge one, need a document type.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        # Names are not case-sensitive, and some programs use another case where they refer to one.
        self._names = {name.lower(): name for name in self.namelist()}

    def has(self, name: str) -> bool:
        """Return whether the package has a part."""
        return name.lower() in self._names

    def part(self, name: str, limit: int, row_limit: int | None = None) -> Part:
        """Return a part that may unpack to `limit` bytes, with `row_limit` bytes per row.

        Raises:
            InputError: The directory states a larger size, or the part has a document type.
            KeyError: The package has no such part.
        """
        name = self._names.get(name.lower(), name)
        if check_member(self, name).file_size > limit:
            raise too_long(printable(name), limit)
        row_limit = row_limit or limit
        with Part(self.open(name), name, limit, row_limit) as beginning:
            if _has_doctype(beginning):
                raise InputError(
                    f"has a document type in {printable(name)}: this is not a workbook"
                )
        return Part(self.open(name), name, limit, row_limit)


def too_long(name: str, limit: int) -> InputError:
    """Return the error for a part with that name that is longer than `limit` bytes."""
    return InputError(
        f"unpacks to more than {limit >> 20} MB of {name}: save the sheet as CSV and load that"
    )


def _has_doctype(part: Part) -> bool:
    """Return whether an XML document has a document type, which comes before its first element."""
    is_doctype: list[bool] = []
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: is_doctype.append(True)
    parser.StartElementHandler = lambda *_: is_doctype.append(False)
    try:
        while not is_doctype and (piece := part.read(READ_SIZE)):
            parser.Parse(piece)
    except expat.ExpatError:  # the parser of the part reports broken XML
        pass
    return is_doctype[:1] == [True]
