"""Zips as they come from outside: what is unpacked has bounds, whatever the directory promises.

A plain CSV in a zip needs none: it is read as a stream, however long. A workbook does, because
its parts are XML, of which some are held in memory as a whole and others grow while they are read.
"""

import zipfile
from typing import IO
from xml.parsers import expat

from data_ingestion.errors import InputError, printable

# A zip's directory is held in memory: this much is some ten thousand files.
MAX_DIRECTORY = 1 << 20
# Of others, Python unpacks all that follows from a few bytes at once: gigabytes, of bzip2.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Any part of a workbook for which nothing else is said. It becomes objects, of which each takes
# some hundred times the bytes that it has in the file.
MAX_PART = 4 << 20
PIECE = 1 << 14


def check_directory(file: IO[bytes]) -> None:
    """Raises InputError when the zip's directory is too long to be held in memory."""
    end = zipfile._EndRecData(file)  # what ZipFile goes by; None where it will say "no zip file"
    if end and end[zipfile._ECD_SIZE] > MAX_DIRECTORY:
        raise InputError("is a zip with more than ten thousand files: it must hold exactly one")


def check_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Returns the directory's entry of a file that can be unpacked piece by piece.

    Raises:
        InputError: it has a password, or is compressed in another way than zips usually are.
    """
    member = archive.getinfo(name)
    if member.flag_bits & 1:
        raise InputError("is a zip with a password: unpack it first")
    if member.compress_type not in METHODS:
        raise InputError("is a zip that is not compressed with deflate: unpack it first")
    return member


class Part:
    """A part of a workbook, open for reading: at most `most` bytes, and so between two rests."""

    def __init__(self, file: IO[bytes], name: str, most: int, between_rests: int) -> None:
        self._file, self._name = file, printable(name)
        self._most, self._left = most, most
        self._between_rests, self._stretch = between_rests, between_rests

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rest(self) -> None:
        """What was read up to here has been dealt with and takes no memory any more."""
        self._stretch = self._between_rests

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or all.

        Raises:
            InputError: the part is longer than it may be.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(PIECE), b""))
        data = self._file.read(size)
        self._left -= len(data)
        self._stretch -= len(data)
        if self._left < 0:
            raise too_long(self._name, self._most)
        if self._stretch < 0:
            raise InputError(
                f"has more than {self._between_rests >> 20} MB between two rows of {self._name}: "
                "save the sheet as CSV and load that"
            )
        return data


class Workbook(zipfile.ZipFile):
    """The zip that a workbook is. Its parts are bounded and have no document type.

    OOXML forbids document types (ECMA-376 part 2); entities, which make much of little, need one.
    """

    def open(self, name: str, *_: object) -> Part:
        """A part that openpyxl reads."""
        return self.part(name, MAX_PART)

    def part(self, name: str, most: int, between_rests: int | None = None) -> Part:
        """A part that may unpack to `most` bytes.

        Raises:
            InputError: the directory says that it is longer, or it has a document type.
            KeyError: there is no such part.
        """
        if check_member(self, name).file_size > most:
            raise too_long(printable(name), most)
        between_rests = between_rests or most
        with Part(super().open(name), name, most, between_rests) as start:
            if _has_doctype(start):
                raise InputError(f"has a document type in {printable(name)}: this is no workbook")
        return Part(super().open(name), name, most, between_rests)


def too_long(name: str, most: int) -> InputError:
    """The error about a part of that name that is longer than `most` bytes."""
    return InputError(
        f"unpacks to more than {most >> 20} MB of {name}: save the sheet as CSV and load that"
    )


def _has_doctype(part: Part) -> bool:
    """Whether an XML document declares a document type, which it does before its first element."""
    seen: list[bool] = []
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: seen.append(True)
    parser.StartElementHandler = lambda *_: seen.append(False)
    try:
        while not seen and (piece := part.read(PIECE)):
            parser.Parse(piece)
    except expat.ExpatError:  # openpyxl's parser will say so, unless a document type came first
        pass
    return seen[:1] == [True]
