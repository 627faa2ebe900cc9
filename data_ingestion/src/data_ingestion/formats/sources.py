"""Files as streams of UTF-8 CSV: plain, gzip, a zip with one CSV, or an Excel workbook.

The first bytes of a file decide its format, not its name.
"""

import codecs
import gzip
import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

from data_ingestion.contracts import Contract
from data_ingestion.errors import InputError, printable
from data_ingestion.formats.sep_line import take_sep_line
from data_ingestion.model import Dialect

CHUNK = 2 << 20  # bytes that make a block; blocks of 1 MB take a twentieth more time
BEGINNING = 4096  # bytes that tell an HTML page
REFUSED = {
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook (.xls): save it as .xlsx or as CSV",
    b"%PDF": "is a PDF: export the data as CSV",
    b"PAR1": "is a Parquet file: export the data as CSV",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: use gzip, or decompress it first",
    b"BZh": "is compressed with bzip2: use gzip, or decompress it first",
    b"\xfd7zXZ": "is compressed with xz: use gzip, or decompress it first",
}
GZIP, ZIP, EMPTY_ZIP = b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"
# The errors of a damaged archive. A negative offset in the archive causes OSError.
DAMAGED = (EOFError, OSError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)


class Readable(Protocol):
    """A binary file: plain, or unpacked by gzip or zipfile."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, and b"" at the end."""


class Source:
    """A file that is open for reading.

    Attributes:
        path: Where the file is.
        size: Its size in bytes.
        is_workbook: Whether the file is a workbook or a page, once its first bytes were read. Its
            CSV is ours, so it has no `sep=` line and no trailing delimiter.
        is_page: Whether the file is an HTML page.
    """

    def __init__(
        self,
        path: Path,
        dialect: Dialect,
        folder: Path | None = None,
        contract: Contract | None = None,
    ) -> None:
        """Open a file.

        Args:
            path: The file.
            dialect: How its CSV is written.
            folder: The folder that must contain the file after all links are resolved.
            contract: What is declared about the file.

        Raises:
            InputError: The file does not exist, cannot be read or is no regular file, or a link
                leads out of the folder.
        """
        self._dialect, self._contract = dialect, contract
        self._encoding = dialect.encoding
        self.is_workbook = self.is_page = False
        self.path = path
        try:
            state = path.stat()
            if stat.S_ISDIR(state.st_mode):
                raise InputError("is a directory: name the files in it")
            if not stat.S_ISREG(state.st_mode):  # opening a pipe could block for ever
                raise InputError("is not a regular file: write the data to a file first")
            self._file = path.open("rb")
        except FileNotFoundError:
            raise InputError("no such file: check the name and the folder") from None
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror}): check its rights") from error
        if folder:
            try:
                self._check_is_in(folder)
            except InputError:
                self._file.close()
                raise
        self._state = (state.st_size, state.st_mtime_ns)
        self.size = state.st_size
        self._stopped = False

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _check_is_in(self, folder: Path) -> None:
        """Raise InputError if the open file is outside the folder after all links are resolved.

        The check follows the opening, so that nobody can replace a link in between.
        """
        try:
            real = self.path.resolve()
            same = os.path.samestat(real.stat(), os.fstat(self._file.fileno()))
        except OSError as error:
            raise _moved(error) from error
        if not same or not real.is_relative_to(folder.resolve()):
            raise InputError(
                f"is a link that leads out of the data folder {folder}: put the file itself there"
            )

    def sha256(self) -> str:
        """Return the hash of the bytes on disk; another thread may run `chunks()` meanwhile.

        Raises:
            InputError: The bytes can no longer be read.
        """
        digest, offset = hashlib.sha256(), 0
        buffer = memoryview(bytearray(1 << 18))
        try:
            while not self._stopped and (read := os.preadv(self._file.fileno(), [buffer], offset)):
                digest.update(buffer[:read])
                offset += read
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror}): get the file again") from error
        return digest.hexdigest()

    def stop_hashing(self) -> None:
        """End a `sha256()` that runs in another thread; its result is then wrong."""
        self._stopped = True

    def position(self) -> int:
        """Return how many of the file's `size` bytes were read."""
        return self._file.tell()

    def check_unchanged(self) -> None:
        """Raise InputError if the file was changed or moved since it was opened."""
        try:
            state = self.path.stat()
        except OSError as error:
            raise _moved(error) from error
        if (state.st_size, state.st_mtime_ns) != self._state:
            raise InputError("changed while it was read: load it again when it is complete")

    def read(self) -> tuple[Dialect, Iterator[bytes]]:
        """Return the file's dialect and its `chunks()`. Call this once.

        Raises:
            InputError: As `chunks`, or a line such as `sep=;` contradicts the rest of the file.
        """
        chunks = self.chunks()
        dialect, first = self._dialect, next(chunks, b"")
        if not self.is_workbook:
            dialect, first = take_sep_line(first, dialect)
        return dialect, chain([first], chunks)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content as CSV in UTF-8, without a byte order mark. Call this once.

        Raises:
            InputError: The archive or workbook is damaged, or the encoding cannot decode the bytes.
        """
        try:
            yield from self._without_tags(self._decoded(self._unpacked()))
        except DAMAGED as error:
            raise InputError(f"is damaged ({printable(str(error))}): get the file again") from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"is not valid {self._encoding} ({error.reason}): name the file's encoding with "
                "--encoding"
            ) from error
        except UnicodeError as error:
            raise InputError(f"is not valid {self._encoding} ({error})") from error

    def _unpacked(self) -> Iterator[bytes]:
        start = self._file.read(8)
        self._file.seek(0)
        for magic, message in REFUSED.items():
            if start.startswith(magic):
                raise InputError(message)
        if start.startswith(GZIP):
            with gzip.open(self._file) as unpacked:
                yield from _read_unpacked(unpacked)
        elif start.startswith((ZIP, EMPTY_ZIP)):
            yield from self._from_zip()
        else:
            yield from _read(self._file)

    def _from_zip(self) -> Iterator[bytes]:
        from data_ingestion.formats.archive import check_directory, check_member  # rarely needed

        check_directory(self._file)
        with zipfile.ZipFile(self._file) as archive:
            names = archive.namelist()
            if "[content_types].xml" in map(str.lower, names):
                # openpyxl is slow to import, and rarely needed
                from data_ingestion.formats.xlsx import sheet_as_csv

                self._encoding, self.is_workbook = "utf-8", True
                # In any order, the columns tell which of several sheets is meant.
                contract = self._contract
                columns = contract.columns if contract and contract.any_order else ()
                width = len(contract.titles) if contract and not contract.any_order else 0
                name = contract.sheet if contract else None
                yield from sheet_as_csv(self._file, self._dialect, columns, width, name)
                return
            members = [
                name
                for name in names
                if not name.endswith("/")
                and not name.startswith("__MACOSX/")
                and not Path(name).name.startswith(".")
            ]
            if len(members) != 1:
                raise InputError(f"is a zip with {len(members)} files: it must hold exactly one")
            check_member(archive, members[0])
            with archive.open(members[0]) as unpacked:
                yield from _read_unpacked(unpacked)

    def _decoded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Convert to UTF-8. UTF-8 only loses its byte order mark: `RecordReader` checks it."""
        first = next(chunks, b"")
        if codecs.lookup(self._encoding).name in ("utf-8", "utf-8-sig"):
            if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise InputError("is UTF-16, not UTF-8: load it with --encoding utf-16")
            yield first.removeprefix(codecs.BOM_UTF8)
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(self._encoding)()
        yield decoder.decode(first).removeprefix("\ufeff").encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()

    def _without_tags(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Turn an HTML page into CSV; other texts stay as they are."""
        first = next(chunks, b"")
        if not first[:BEGINNING].lstrip().startswith(b"<"):
            yield first
            yield from chunks
            return
        from data_ingestion.formats.html import is_html, tables_as_csv  # rarely needed

        while len(first) < BEGINNING and (chunk := next(chunks, b"")):
            first += chunk
        if is_html(first[:BEGINNING].decode(errors="replace")):
            self.is_workbook = self.is_page = True
            contract = self._contract
            width = len(contract.titles) if contract and not contract.any_order else 0
            texts = codecs.iterdecode(chain([first], chunks), "utf-8")
            for text in tables_as_csv(texts, self._dialect, width):
                yield text.encode()
            return
        yield first
        yield from chunks


def _moved(error: OSError) -> InputError:
    return InputError(
        f"was moved or removed while it was read ({error.strerror}): load it from where it is now"
    )


def _read_unpacked(file: Readable) -> Iterator[bytes]:
    """Yield the content of an archive; refuse another archive inside."""
    is_first = True
    for chunk in _read(file):
        if is_first and chunk.startswith((GZIP, ZIP, EMPTY_ZIP)):
            raise InputError("is an archive in an archive: unpack it first")
        is_first = False
        yield chunk


def _read(file: Readable) -> Iterator[bytes]:
    # A small first chunk reaches the server early, while the second one is prepared.
    size = CHUNK >> 2
    while chunk := file.read(size):
        yield chunk
        size = min(2 * size, CHUNK)
