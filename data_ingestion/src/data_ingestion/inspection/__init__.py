"""Propose the declaration of a statement: find out how it is written and what its columns mean.

A proposal has only what the file shows. What the file cannot settle becomes a question, which an
answer settles.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_ingestion.errors import InputError, printable
from data_ingestion.inspection.account import find_account
from data_ingestion.inspection.amounts import find_amounts
from data_ingestion.inspection.dates import find_dates
from data_ingestion.inspection.layout import Layout, layout_of
from data_ingestion.inspection.meaning import find_currency, find_details, find_reference
from data_ingestion.inspection.proposal import as_yaml, declaration
from data_ingestion.inspection.reading import Text
from data_ingestion.inspection.rows import leave_out_rows
from data_ingestion.inspection.statement import CHOICES, KEYS, AnswerError, Statement
from data_ingestion.inspection.values import CODES
from data_ingestion.model import is_encoding


class Proposal(NamedTuple):
    """The proposed declaration as YAML, and whether questions remain."""

    text: str
    is_open: bool


def inspect(path: Path, answers: Mapping[str, str]) -> Proposal:
    """Propose the declaration of a statement.

    Args:
        path: The statement.
        answers: What a person knows about it, by the keys of `statement.KEYS`.

    Raises:
        InputError: The file is no statement, or an answer does not fit it.
    """
    try:
        return _propose(path, answers)
    except AnswerError:
        raise
    except InputError as error:
        raise InputError(f"{printable(path.name)}: {error}") from error


def _propose(path: Path, answers: Mapping[str, str]) -> Proposal:
    layout = layout_of(Text(path, answers.get("encoding")))
    statement = Statement(layout, answers)
    _note_layout(statement, layout)
    leave_out_rows(statement)
    find_dates(statement)
    find_amounts(statement)
    find_currency(statement)
    find_account(statement)
    find_details(statement)
    find_reference(statement)
    content = declaration(statement, path.name)
    return Proposal(as_yaml(content, statement), bool(statement.questions))


def parse_answers(texts: Sequence[str]) -> dict[str, str]:
    """Return answers such as `sign=usual` by their keys.

    Raises:
        InputError: A key is unknown, occurs twice or has a value that is impossible for any file.
    """
    answers: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if key not in KEYS:
            raise AnswerError(f"--answer {printable(key, 40)}: unknown key: use {', '.join(KEYS)}")
        if not equals or not value:
            raise AnswerError(f"--answer {key}: has no value: write --answer {key}=VALUE")
        if key in answers:
            raise AnswerError(f"--answer {key}: is given twice")
        if key in CHOICES and value not in CHOICES[key]:
            choices = " or ".join(CHOICES[key])
            raise AnswerError(f"--answer {key}={printable(value, 40)}: use {choices}")
        if key == "indicator" and not all(value.partition("/")):
            raise AnswerError("--answer indicator: write indicator=WITHDRAWAL/DEPOSIT, such as D/C")
        if key == "encoding" and not is_encoding(value):
            raise AnswerError(f"--answer encoding={printable(value, 40)}: is not a known encoding")
        if key == "currency" and value.upper() not in CODES:
            raise AnswerError(
                f"--answer currency={printable(value, 40)}: use a code such as EUR or USD"
            )
        answers[key] = value
    return answers


def _note_layout(statement: Statement, layout: Layout) -> None:
    """Note how the file is written."""
    text = layout.text
    if text.is_workbook:
        kind = "an HTML page" if text.is_page else "a workbook"
        statement.notes.append(f"The file is {kind}.")
    elif text.is_likely and "encoding" not in statement.answers:
        statement.notes.append(
            f"Encoding: {text.encoding} is the most likely; --answer encoding=NAME names another."
        )
    if text.is_cut:
        statement.notes.append("The file is long. Only its beginning was read: look for a footer.")
    if layout.header is None:
        statement.notes.append("The file has no header: column_1 is its first column.")
    else:
        line = layout.rows[layout.header].line
        statement.notes.append(f"The header is line {line}.")
