"""Statements whose meaning programs get wrong, as data: files, true transactions, expected reports.

`{a}` and `{b}` stand for the account numbers of a case. Each form of a case has numbers of its own,
so that all files can share a warehouse.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from support import HEADER, PROJECT

NAMES = next(csv.reader([HEADER]))
_SPEC = importlib.util.spec_from_file_location(
    "workbooks", PROJECT / "data_ingestion" / "tests" / "workbooks.py"
)
workbooks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(workbooks)
Tab, row = workbooks.Tab, workbooks.row


class Transaction(NamedTuple):
    """A transaction. A withdrawal and a deposit of nothing are 0."""

    account: str
    date: date
    withdrawal: Decimal
    deposit: Decimal
    balance: Decimal
    details: str

    @classmethod
    def parse(cls, line: str) -> Transaction:
        """Parse a line of a case's truth: account, date, amount, balance, details."""
        account, day, amount, balance, details = line.split(maxsplit=4)
        out, into = max(-Decimal(amount), Decimal(0)), max(Decimal(amount), Decimal(0))
        details = details.replace(r"\r\n", "\r\n")
        return cls(account, date.fromisoformat(day), out, into, Decimal(balance), details)


@dataclass(frozen=True)
class Book:
    """A workbook: its tabs, with the arguments of `workbooks.workbook`."""

    tabs: tuple[Tab, ...]
    arguments: dict = field(default_factory=dict)

    def write(self, path: Path, *accounts: str) -> None:
        """Write the workbook with the numbers of a case's accounts."""
        tabs = [tab._replace(rows=named(tab.rows, *accounts)) for tab in self.tabs]
        workbooks.workbook(path, *tabs, **self.arguments)


@dataclass(frozen=True)
class Case:
    """A statement in one file or in several.

    Attributes:
        kind: The kind of wrong meaning.
        truth: The transactions in their true order, one per line: account, date, amount, balance,
            details.
        files: Each file as lines below the header, or as a whole text, or as a workbook. The last
            of several files is loaded after a run of dbt.
        told: The reports: the names of dbt tests, parts of the loader's refusals, and rejects as
            `line 5: reason`. Empty if the files are read right.
        forms: The forms in which a text is written, names of FORMS.
        options: Options of `data-ingestion load`.
    """

    kind: str
    truth: str
    files: tuple[str | Book, ...]
    told: tuple[str, ...] = ()
    forms: str = "csv"
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """A case in one form, written to files.

    Attributes:
        case: The case.
        form: The name of the form.
        accounts: The account numbers that stand for `{a}` and `{b}`.
        files: The files in the order of their loads.
        delimiter: The delimiter of the files, as their reader is told.
    """

    case: Case
    form: str
    accounts: tuple[str, str]
    files: tuple[Path, ...]
    delimiter: str = ","

    @property
    def name(self) -> str:
        return f"{self.case.kind}, {' + '.join(file.name for file in self.files)}"

    @property
    def options(self) -> tuple[str, ...]:
        told = () if self.delimiter == "," else ("--delimiter", self.delimiter)
        return (*self.case.options, *told)

    @property
    def transactions(self) -> list[Transaction]:
        """The true transactions, in their true order."""
        lines = named(self.case.truth, *self.accounts).strip().splitlines()
        return [Transaction.parse(line) for line in lines]


def named(text: str, first: str, second: str) -> str:
    """Replace the names of a case's accounts by their numbers."""
    return text.replace("{a}", first).replace("{b}", second)


def attempts(cases: list[Case], folder: Path) -> list[Attempt]:
    """Write each case in each of its forms, with account numbers that no other attempt has."""
    found = []
    for case in cases:
        for form in case.forms.split():
            number = len(found) + 1
            accounts = f"60000{number:04}011", f"60000{number:04}029"
            paths = []
            for turn, content in enumerate(case.files, start=1):
                suffix = "xlsx" if isinstance(content, Book) else FORMS[form]
                path = folder / f"transactions_{number:03}_{turn}.{suffix}"
                if isinstance(content, Book):
                    content.write(path, *accounts)
                else:
                    _write(path, form, named(content, *accounts))
                paths.append(path)
            delimiter = ";" if form == "semicolons" else ","
            found.append(Attempt(case, form, accounts, tuple(paths), delimiter))
    return found


# `whole` is a text with its own header. `columns` has the columns in the reverse order.
FORMS = {
    "csv": "csv", "gz": "csv.gz", "xlsx": "xlsx", "columns": "csv", "semicolons": "csv",
    "whole": "csv",
}  # fmt: skip


def _write(path: Path, form: str, text: str) -> None:
    """Write the lines of a statement in one of the FORMS."""
    if form in ("csv", "gz", "whole"):
        data = (text if form == "whole" else f"{HEADER}\n{text}").encode()
        path.write_bytes(gzip.compress(data, mtime=0) if form == "gz" else data)
        return
    records = [NAMES, *csv.reader(io.StringIO(text, newline=""))]
    if form == "xlsx":
        cells = (row(*map(escape, record)) for record in records)
        workbooks.workbook(path, Tab("".join(cells)))
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";" if form == "semicolons" else ",")
        writer.writerows(record[::-1] if form == "columns" else record for record in records)
