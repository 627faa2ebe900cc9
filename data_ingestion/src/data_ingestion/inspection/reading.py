"""The text of a file, whose encoding nobody has declared."""

import codecs
import re
from pathlib import Path

import charset_normalizer

from data_ingestion.errors import InputError
from data_ingestion.formats.html import declared_charset
from data_ingestion.formats.sources import Source
from data_ingestion.inspection.words import fold, words
from data_ingestion.model import Dialect, is_encoding

LIMIT = 2 << 20  # bytes: some ten thousand rows show how a statement is written
SAMPLE = 1 << 16  # bytes of lines with special characters that tell the encoding
# Encodings in which banks export, apart from UTF-8 and UTF-16. An earlier one wins a tie.
ENCODINGS = [
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1257",
    "cp1254",
    "cp1253",
    "cp1255",
    "shift_jis",
    "gbk",
    "big5",
    "euc_kr",
    "iso8859_2",
    "iso8859_15",
]
# The special letters of languages. Slovak lacks two rare ones, which are French ones in cp1252.
ALPHABETS = (
    "àâæçéèêëîïôœùûüÿ",
    "äöüßéèà",
    "áéíñóúüçàèòªº",
    "áâãàçéêíóôõúüªº",
    "àèéìíîòóùú",
    "åäöéüæøè",
    "ąćęłńóśźż",
    "áäčďéěíľňóôřšťúůýž",
    "áéíóöőúüű",
    "ăâîșțşţ",
    "ąčęėįšųūž",
    "āčēģīķļņšūž",
    "äõöüšž",
    "âçğıîöşüû\u0307",  # the dot of a lower İ
    "čćđšž",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґўђјљњћџѓќѕ",
    "αάβγδεέζηήθιίϊΐκλμνξοόπρσςτυύϋΰφχψωώ",
    "".join(map(chr, range(0x5D0, 0x5EB))),
)
CJK = "\u2e80"  # from here on, letters are Chinese, Japanese or Korean
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NO_TEXT = "is no text: export the statement as CSV or .xlsx"
NO_TABLES = {
    r"\s*<\?xml|\s*<document": "is XML: export the statement as CSV or .xlsx",
    r"\s*(OFXHEADER|<OFX>)": "is OFX: export the statement as CSV or .xlsx",
    r"\s*!(type|account):": "is QIF: export the statement as CSV or .xlsx",
    r"\s*(\{1:|:20:)": "is MT940: export the statement as CSV or .xlsx",
    r"\s*\{\\rtf": "is RTF: export the statement as CSV or .xlsx",
    r"\s*[{\[]\s*[\"{\[]": "is JSON: export the statement as CSV or .xlsx",
}


class Text:
    """The text of a file.

    Attributes:
        content: The text, without a byte order mark.
        encoding: The codec that reads it.
        is_workbook: Whether it is the CSV of a workbook or a page.
        is_page: Whether the file is an HTML page.
        is_cut: Whether the file goes on behind the text.
        is_likely: Whether other codecs read other texts that are about as good.
    """

    def __init__(self, path: Path, encoding: str | None) -> None:
        """Read the beginning of a file.

        Args:
            path: A file that the loader can read.
            encoding: The codec, if it is known.

        Raises:
            InputError: The file cannot be read, or is no text.
        """
        # latin-1 keeps every byte, so the bytes can be decoded again.
        text, source = _beginning(path, "latin-1")
        self.is_workbook, self.is_page = source.is_workbook, source.is_page
        self.is_likely = False
        if self.is_page:
            encoding = encoding or _encoding_of_page(path)
            text, _ = _beginning(path, encoding)
        self.is_cut = len(text) > LIMIT
        if self.is_cut:
            text = text[: text.rfind("\n", 0, LIMIT) + 1]
        if self.is_workbook:
            self.encoding, self.content = encoding if encoding and self.is_page else "utf-8", text
        else:
            self._decode(text.encode("latin-1"), encoding)
        self._check()

    def _decode(self, data: bytes, encoding: str | None) -> None:
        if encoding:
            self.encoding = encoding
        else:
            self.encoding, self.is_likely = encoding_of(data)
        try:
            self.content = data.decode(self.encoding).removeprefix("\ufeff")
        except (UnicodeError, ValueError) as error:
            raise InputError(f"is not valid {self.encoding}") from error

    def _check(self) -> None:
        """Raise InputError if the text is no table."""
        if not self.content.strip():
            raise InputError("is empty")
        if "\0" in self.content:
            raise InputError(NO_TEXT)
        for beginning, message in NO_TABLES.items():
            if re.match(beginning, self.content, re.IGNORECASE):
                raise InputError(message)
        if "\r" in self.content and "\n" not in self.content:
            raise InputError("has lines that end with CR only: save it with LF or CRLF")


def _beginning(path: Path, encoding: str) -> tuple[str, Source]:
    """Return the beginning of a file as CSV, and the source that has read it."""
    with Source(path, Dialect(encoding=encoding)) as source:
        parts, size = [], 0
        for chunk in source.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > 2 * LIMIT:
                break
    return b"".join(parts).decode(), source


def _encoding_of_page(path: Path) -> str:
    """Return the encoding that an HTML page names, or else the one that its bytes tell."""
    with path.open("rb") as file:
        data = file.read(LIMIT)
    charset = declared_charset(data)
    return charset if charset and is_encoding(charset) else encoding_of(data)[0]


def encoding_of(data: bytes) -> tuple[str, bool]:
    """Return the codec that reads the bytes, and whether it is only the most likely one.

    Raises:
        InputError: No codec reads them.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            return name, False
    if b"\0" in data[:200]:
        return _utf_16(data), False
    try:
        data.decode()
        return "utf-8", False
    except UnicodeDecodeError:
        return _most_readable(data)


def _utf_16(data: bytes) -> str:
    """Return the variant of UTF-16 without a mark: ASCII has a zero in every second byte.

    Raises:
        InputError: The bytes are no UTF-16.
    """
    start = data[:200]
    even, odd = start[::2].count(0), start[1::2].count(0)
    name = "utf-16-be" if even > odd else "utf-16-le"
    try:
        data.decode(name)
    except UnicodeDecodeError as error:
        raise InputError(NO_TEXT) from error
    if max(even, odd) < len(start) / 4:
        raise InputError(NO_TEXT)
    return name


def _most_readable(data: bytes) -> tuple[str, bool]:
    """Return the codec that gives the most words of statements, and whether others give as many."""
    special = [line for line in data.split(b"\n") if not line.isascii()]
    sample = b"\n".join(special)[:SAMPLE].rpartition(b"\n")
    lines = sample[0] or sample[2]
    found = charset_normalizer.from_bytes(data[: 4 * SAMPLE], cp_isolation=ENCODINGS)
    guess = found.best()
    readable: dict[str, list[str]] = {}  # the codecs of each text
    for name in ENCODINGS:
        try:
            data.decode(name)
            text = lines.decode(name)
        except UnicodeDecodeError:
            continue
        if not any(0x80 <= ord(character) < 0xA0 for character in text):  # control characters
            readable.setdefault(text, []).append(name)
    if not readable:
        raise InputError("is no text in a known encoding: name it with --answer encoding=NAME")
    points = {
        text: 2 * _known_words(text) - 4 * _oddness(text) - 3 * _strangers(text) + _kana(text)
        for text in readable
    }
    most = max(points.values())
    best = [text for text in readable if points[text] == most]
    # On few words, the library takes French for Slovak: the usual codec comes first.
    usual = [text for text in best if ENCODINGS[0] in readable[text]]
    guessed = [text for text in best if guess and guess.encoding in readable[text]]
    return readable[(usual or guessed or best)[0]][0], len(best) > 1


def _known_words(text: str) -> int:
    """Count the words of statements, each once; a word with special characters counts more."""
    found = set(fold(text).split()) & words().every
    return len(found) + 2 * sum(len(word) for word in found if not word.isascii())


def _oddness(text: str) -> int:
    """Count characters that hardly occur in statements: marks between letters, sudden capitals."""
    odd = 0
    for before, character, behind in zip(text, text[1:], text[2:], strict=False):
        if character.isascii():
            continue
        between = before.isalpha() and behind.isalpha()
        odd += between and not character.isalpha() and character not in "’'·・ー"
        odd += character.isupper() and before.isascii() and before.islower()
        odd += character in "¤¦§©ª«¬­®±²³µ¶¹¼½¾×÷˙ˇ˘¸˝˛"
    return odd


def _kana(text: str) -> int:
    """Count some kana: Japanese text has them, and few wrong codecs give them."""
    return min(3, len(set(re.findall(r"[\u3041-\u3096\u30a1-\u30fa]", text))))


def _strangers(text: str) -> int:
    """Count the special letters that the best fitting language does not have, each once."""
    letters = {c for c in text.lower() if c.isalpha() and not c.isascii() and c < CJK}
    # A wrong codec turns letters of Latin words into Greek, Cyrillic or single Chinese ones.
    mixed = r"(?<=[a-z])[\u0370-\u06ff]|[\u0370-\u06ff](?=[a-z])|(?<=[a-z])[\u2e80-\uffff](?=[a-z])"
    found = set(re.findall(mixed, text, re.IGNORECASE))
    return min(len(letters - set(alphabet)) for alphabet in ALPHABETS) + len(found)
