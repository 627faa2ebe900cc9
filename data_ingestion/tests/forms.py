"""One table of cells in every form of file that the loader reads."""

import csv
import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl

Rows = Sequence[Sequence[str]]
# The options with which a file of each form is loaded.
FORMS = {
    "csv": (),
    "CRLF": (),
    "all quoted": (),
    "gzip": (),
    "zip": (),
    "semicolon": ("--delimiter", ";"),
    "tab": ("--delimiter", "tab"),
    "utf-16": ("--encoding", "utf-16"),
    "workbook": (),
}


def save(form: str, folder: Path, rows: Rows, first_line: str = "") -> Path:
    """Write a file of the form, and return its path.

    Args:
        form: A key of FORMS.
        folder: The folder of the file.
        rows: The rows, including the header. An empty cell has no value.
        first_line: A line before the header, for any form but a workbook.
    """
    if form == "workbook":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append([cell or None for cell in row])
        book.save(folder / "transactions.xlsx")
        return folder / "transactions.xlsx"
    text = io.StringIO(newline="")
    csv.writer(
        text,
        delimiter={"semicolon": ";", "tab": "\t"}.get(form, ","),
        quoting=csv.QUOTE_ALL if form == "all quoted" else csv.QUOTE_MINIMAL,
        lineterminator="\r\n" if form == "CRLF" else "\n",
    ).writerows(rows)
    return pack(form, folder, first_line + text.getvalue())


def pack(form: str, folder: Path, text: str) -> Path:
    """Write the text of a CSV file in a form other than a workbook, and return the file's path."""
    data = text.encode("utf-16" if form == "utf-16" else "utf-8")
    path = folder / f"transactions_{form.replace(' ', '_')}.csv"
    if form == "gzip":
        data = gzip.compress(data)
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("transactions.csv", data)
        return path
    path.write_bytes(data)
    return path
