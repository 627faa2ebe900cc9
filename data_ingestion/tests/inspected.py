"""Read a statement by its declaration alone, in a way of its own, and compare it with its truth."""

import csv
import io
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import yaml

from data_ingestion import declarations, write
from data_ingestion.formats.sources import Source
from data_ingestion.model import Dialect

COLUMNS = (
    "transaction_date",
    "value_date",
    "details",
    "withdrawal",
    "deposit",
    "balance",
    "currency",
    "account_number",
)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
FORMS = {
    "%d": r"(?P<day>\d{1,2})",
    "%m": r"(?P<month>\d{1,2})",
    "%b": r"(?P<name>[^\W\d_]+)\.?",
    "%Y": r"(?P<year>\d{4})",
    "%y": r"(?P<year>\d{2})",
}


class Reader:
    """Reads a statement by its declaration."""

    def __init__(self, path: Path, declaration: str) -> None:
        self.source = yaml.safe_load(declaration)
        self.meaning = self.source["transaction"]
        dialect = self.source.get("dialect", {})
        self.delimiter = dialect.get("delimiter", ",")
        self.quote = dialect.get("quoteChar", '"')
        fields = self.source["schema"]["fields"]
        self.fields = [{"title": field} if isinstance(field, str) else field for field in fields]
        self.trailing = dialect.get("trailingDelimiter", False)
        self.has_header = dialect.get("header", True)
        self.preamble = ""
        self.records = list(self._records(self._text(path)))

    def _text(self, path: Path) -> str:
        if path.read_bytes().startswith(b"PK"):
            with Source(path, Dialect()) as source:
                text = b"".join(source.chunks()).decode()
            width = len(self.fields)
            rows = list(csv.reader(io.StringIO(text, newline="")))
            out = io.StringIO(newline="")
            csv.writer(out).writerows(row + [""] * (width - len(row)) for row in rows)
            return out.getvalue()
        text = path.read_bytes().decode(self.source.get("encoding", "utf-8")).removeprefix("\ufeff")
        return re.sub(r"\Asep=.*", "", text)

    def _records(self, text):
        lines = io.StringIO(text, newline="\n").readlines()
        reader = csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote)
        width, start, in_data = len(self.fields) + self.trailing, 0, not self.has_header
        skip = self.source.get("skip", {})
        for cells in reader:
            raw, start = "".join(lines[start : reader.line_num]), reader.line_num
            if not in_data:
                if not any(map(str.strip, cells)):
                    self.preamble += raw
                    continue
                titles = [_key(field.get("title", field.get("name"))) for field in self.fields]
                in_data = list(map(_key, cells)) == titles
                assert in_data or self.source.get("preamble"), f"another header: {cells}"
                self.preamble += "" if in_data else raw
                continue
            if _begins(raw, skip.get("footer", []), self.quote):
                return
            if _begins(raw, skip.get("lines", []), self.quote) or not any(map(str.strip, cells)):
                continue
            assert len(cells) == width, f"{len(cells)} fields instead of {width}: {raw}"
            if self._is_skipped(cells, skip.get("rows", {})):
                continue
            yield cells

    def _is_skipped(self, cells, rows):
        return any(cells[self.index(name)].strip() in values for name, values in rows.items())

    def index(self, name: str) -> int:
        """Return the only field with a name or title."""
        named = [i for i, field in enumerate(self.fields) if field.get("name") == name]
        titled = [i for i, field in enumerate(self.fields) if field.get("title") == name]
        (found,) = named or titled
        return found

    def transactions(self) -> list[dict]:
        """Return the transactions in the form of a truth."""
        return [self._transaction(cells) for cells in self.records]

    def _transaction(self, cells) -> dict:
        value = self._amount(cells)
        balance = self._number(cells, "balance")
        if balance is not None and self.meaning.get("balance_is") == "before":
            balance += value
        return {
            "transaction_date": self._date(cells, "transaction_date"),
            "value_date": self._date(cells, "value_date"),
            "details": self._details(cells),
            "withdrawal": f"{-value:.2f}" if value < 0 else None,
            "deposit": f"{value:.2f}" if value > 0 else None,
            "balance": None if balance is None else f"{balance:.2f}",
            "currency": self._currency(cells),
            "account_number": self._account(cells),
        }

    def _date(self, cells, role):
        if role not in self.meaning:
            return None
        at = self.index(self.meaning[role])
        text, form = _clean(cells[at]), self.fields[at]["format"]
        if not text:
            return None
        pattern = re.sub(
            "%[dmbYy]", lambda match: FORMS[match[0]], re.escape(form).replace("\\%", "%")
        )
        match = re.match(rf"{pattern}(?!\d)", text)
        assert match, f"{text!r} is not {form}"
        parts = match.groupdict()
        month = parts.get("month") or MONTHS.index(parts["name"][:3].lower()) + 1
        year = int(parts["year"]) + (2000 if len(parts["year"]) == 2 else 0)
        return str(date(year, int(month), int(parts["day"])))

    def _number(self, cells, role):
        if role not in self.meaning:
            return None
        at = self.index(self.meaning[role])
        field = self.fields[at]
        assert field["type"] == "number", role
        text = _clean(cells[at])
        is_debit = re.search(r"(?<![a-z])(dr|[ds])\.?$", text, re.IGNORECASE)
        is_negative = bool(re.search("[-−(]", text)) or bool(is_debit and role != "withdrawal")
        text = re.sub(r"[^\d.,'’ \u00a0\u202f]", "", text).strip()
        if not text:
            return None
        groups = {" ": " \u00a0\u202f", "'": "'’"}.get(
            field.get("groupChar"), field.get("groupChar", "")
        )
        text = "".join(c for c in text if c not in groups).rstrip(". ")
        mark = field.get("decimalChar", ".")
        assert set(text) <= {*"0123456789", mark}, f"{cells[at]!r} is not declared by {field}"
        number = Decimal(text.replace(mark, "."))
        return -number if is_negative else number

    def _amount(self, cells) -> Decimal:
        sign = -1 if self.meaning.get("inverted") is True else 1
        if "amount" not in self.meaning:
            out, into = self._number(cells, "withdrawal"), self._number(cells, "deposit")
            deposits = -1 if self.meaning.get("inverted") == "deposit" else 1
            return deposits * (into or Decimal(0)) - sign * (out or Decimal(0))
        value = self._number(cells, "amount")
        assert value is not None, cells
        if indicator := self.meaning.get("indicator"):
            text = _clean(cells[self.index(indicator["field"])])
            assert text in {*indicator["withdrawal"], *indicator["deposit"]}
            return abs(value) * (-1 if text in indicator["withdrawal"] else 1)
        return sign * value

    def _details(self, cells) -> str:
        names = self.meaning.get("details", [])
        found = (
            _text(cells[self.index(n)]) for n in ([names] if isinstance(names, str) else names)
        )
        return " ".join(text for text in found if text)

    def _currency(self, cells):
        declared = self.meaning.get("currency")
        if isinstance(declared, dict):
            return declared["constant"]
        return cells[self.index(declared)].strip() if declared else None

    def _account(self, cells):
        declared = self.meaning.get("account_number")
        if isinstance(declared, dict) and "preamble" in declared:
            match = re.search(declared["preamble"], self.preamble, re.MULTILINE)
            assert match, f"{declared} is not in {self.preamble!r}"
            text = _clean(match[1])
        elif isinstance(declared, dict):
            text = declared["constant"]
        else:
            names = [declared] if isinstance(declared, str) else declared or []
            text = next(filter(None, (_clean(cells[self.index(name)]) for name in names)), None)
        is_iban = text and re.match("[A-Z]{2}[0-9]{2}.{11}", text)
        return text.replace(" ", "") if is_iban else text


def _key(title: str) -> str:
    return re.sub(r"[\W_]+", " ", title.casefold()).strip() or title.strip()


def _begins(raw: str, texts: list[str], quote: str) -> bool:
    return any(raw.startswith((text, quote + text)) for text in texts)


def _text(text: str) -> str:
    """Return a text as staging has it: trimmed, and without a mark of a spreadsheet."""
    text = text.strip(" \t\r\n\u00a0")
    text = text[1:] if text.startswith("'") and len(text) > 1 else text
    text = re.sub(r'\A="(.*)"\Z', r"\1", text)
    return "" if text == "-" else text


def _clean(text: str) -> str:
    text = text.strip(" \t\r\n\u00a0")
    text = re.sub(r'\A="(.*)"\Z', r"\1", text).removeprefix("=")
    if len(text) > 1 and text[0] in "'_`":
        text = text[1:].removesuffix("'")
    return "" if text == "-" else text.strip()


def statement_in(folder: Path) -> Path:
    """Return the statement of a folder."""
    return next(file for file in folder.iterdir() if file.name != "truth.json")


def truth_in(folder: Path) -> list[dict]:
    """Return the transactions that a statement has."""
    return json.loads((folder / "truth.json").read_text())


def wrong_columns(found: list[dict], truth: list[dict]) -> list[str]:
    """Return the columns whose values differ, in any order of the rows."""

    def rows(transactions, name):
        return sorted((str(row["transaction_date"]), str(row[name])) for row in transactions)

    return [name for name in COLUMNS if rows(found, name) != rows(truth, name)]


def loaded(path: Path, declaration: str, folder: Path) -> tuple[int, list[str]]:
    """Return how many rows the loader reads by a declaration, and the rows that it rejects."""
    folder.mkdir()
    (folder / "source.yml").write_text(declaration)
    (contract,) = declarations.contracts(folder).values()
    with Source(path, contract.dialect, contract=contract) as source:
        dialect, reader = write._reader(source, contract)
        width, columns = write._read_header(reader, dialect, contract, source.is_workbook)
        blocks = [
            write._parse(block, columns, width, dialect, contract, None)[0]
            for block in reader.blocks(width)
        ]
    rejects = [f"{reject.text}: {reject.reason}" for block in blocks for reject in block.rejects]
    return sum(len(block.line_numbers) for block in blocks), rejects
