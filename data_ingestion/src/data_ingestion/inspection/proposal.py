"""The declaration of a statement as YAML, with the evidence and the questions as comments."""

import re
import textwrap
from collections.abc import Mapping, Sequence

import yaml
from anyascii import anyascii

from data_ingestion.contracts import MAX_TABLE_NAME, SUFFIXES, TEXT_SUFFIXES, normalise
from data_ingestion.declarations import Transaction
from data_ingestion.errors import printable
from data_ingestion.inspection.dates import format_of
from data_ingestion.inspection.numbers import group_of
from data_ingestion.inspection.rows import Skip, skip_of
from data_ingestion.inspection.statement import MONEY, AnswerError, Statement

WIDTH = 100
MAX_LINES = 25
ROLES = Transaction.__struct_fields__


def declaration(statement: Statement, file_name: str) -> dict[str, object]:
    """Return the keys of the declaration; those that a question leaves open are missing."""
    layout = statement.layout
    skip = skip_of(statement)
    found: dict[str, object] = {
        "name": _name(statement, file_name),
        "path": statement.answers.get("path") or _path(file_name),
    }
    if layout.text.encoding != "utf-8":
        found["encoding"] = layout.text.encoding
    dialect: dict[str, object] = {}
    if layout.delimiter != ",":
        dialect["delimiter"] = layout.delimiter
    if layout.quotechar != '"':
        dialect["quoteChar"] = layout.quotechar
    if layout.header is None:
        dialect["header"] = False
    if layout.has_trailing_delimiter:
        dialect["trailingDelimiter"] = True
    if dialect:
        found["dialect"] = dialect
    found["schema"] = {"fields": _fields(statement, skip)}
    if layout.header is not None and not all(layout.rows[row].is_empty for row in layout.preamble):
        found["preamble"] = True
    if any(skip):
        found["skip"] = _skip(statement, skip)
    balance = statement.column("balance")
    if balance is None or not balance.is_full:  # two equal purchases on a day can be real
        found["duplicates"] = "keep"
    found["transaction"] = _transaction(statement)
    return found


def _name(statement: Statement, file_name: str) -> str:
    """Return the answer, or the words of the file's name without numbers."""
    answer = statement.answers.get("name")
    if answer:
        if normalise(answer) != answer or len(answer) > MAX_TABLE_NAME:
            raise AnswerError(
                f"--answer name={printable(answer, 40)}: use up to {MAX_TABLE_NAME} of a-z, 0-9, _"
            )
        return answer
    parts = normalise(anyascii(_stem(file_name))).split("_")
    names = [re.sub(r"\d", "", part) for part in parts if sum(map(str.isdigit, part)) < 6]
    names = [name for name in names if name.strip("x")]
    return "_".join(names)[:MAX_TABLE_NAME].strip("_") or "statement"


def _path(file_name: str) -> str:
    """Return the file's name with `*` for its numbers, and with an ending that the loader needs."""
    stem = _stem(file_name)
    pattern = re.sub(r"\d+", "*", stem)
    pattern = re.sub(r"\*[\W_]*\*", "*", pattern)  # the numbers of a date
    ending = next((text for text in TEXT_SUFFIXES if file_name.lower().endswith(text)), "")
    # `*` alone would claim every file.
    return (re.sub(r"\d", "?", stem) if pattern == "*" else pattern) + ending


def _stem(file_name: str) -> str:
    endings = [ending for ending in SUFFIXES if file_name.lower().endswith(ending)]
    if endings:
        return file_name[: -max(map(len, endings))]
    return file_name.rpartition(".")[0] or file_name


def _fields(statement: Statement, skip: Skip) -> list[object]:
    """Return the fields.

    Dates and numbers with a meaning have a type. Empty columns without a title are ignored.
    """
    fields: list[object] = []
    titles = statement.layout.titles
    required = {
        index for role in ("transaction_date", "amount") for index in statement.roles.get(role, [])
    }
    for index, title in enumerate(titles):
        label = statement.label(index)
        used = index in statement.used or index in skip.rows
        # Two columns can have the same title, and answers know an untitled one by its position.
        key: dict[str, object] = {"title": title}
        if label != title and (used or statement.columns[index].filled):
            key = {"name": label, "title": title}
        elif not title:
            fields.append({"title": "", "ignored": True})
            continue
        key |= _type(statement, index)
        if index in required:
            key["constraints"] = {"required": True}
        fields.append(title if key == {"title": title} else key)
    return fields


def _type(statement: Statement, index: int) -> dict[str, object]:
    """Return the keys that say how the values of a column are read."""
    roles = [role for role, indexes in statement.roles.items() if index in indexes]
    column = statement.columns[index]
    if "transaction_date" in roles or "value_date" in roles:
        form = format_of(statement, column)
        return {"type": "date", "format": form} if form else {}
    if index not in statement.marks:
        return {}
    found: dict[str, object] = {"type": "number"}
    if statement.marks[index] != ".":
        found["decimalChar"] = statement.marks[index]
    if group := group_of(statement, column):
        found["groupChar"] = group
    return found


def _skip(statement: Statement, skip: Skip) -> dict[str, object]:
    rows = {statement.label(index): values for index, values in skip.rows.items()}
    return {
        key: value
        for key, value in (("rows", rows), ("lines", skip.lines), ("footer", skip.footer))
        if value
    }


def _transaction(statement: Statement) -> dict[str, object]:
    """Return the meaning of the columns."""
    found: dict[str, object] = {}
    for role, indexes in statement.roles.items():
        if role in MONEY and not statement.marks.keys() >= set(indexes):
            continue
        labels = [statement.label(index) for index in indexes]
        found[role] = labels[0] if len(labels) == 1 else labels
    if len(statement.orders) != 1:
        found.pop("transaction_date", None)
        found.pop("value_date", None)
    if statement.account:
        found["account_number"] = statement.account
    if statement.indicator:
        out, into = statement.indicator
        values = {"withdrawal": out, "deposit": into}
        known = {key: value for key, value in values.items() if value}
        found["indicator"] = {"field": found["indicator"]} | known
    if statement.is_inverted or statement.has_negative_deposits:
        found["inverted"] = statement.is_inverted or "deposit"
    if statement.is_before:
        found["balance_is"] = "before"
    if statement.currency:
        found["currency"] = {"constant": statement.currency}
    return {role: found[role] for role in ROLES if role in found}


def as_yaml(content: Mapping[str, object], statement: Statement) -> str:
    """Return the declaration as YAML below its comments, dense if it exceeds `MAX_LINES` lines."""
    lines = _lines(content, is_dense=False)
    if len(lines) > MAX_LINES:
        lines = _lines(content, is_dense=True)
    return "\n".join([*_comments(statement), *lines]) + "\n"


def _comments(statement: Statement) -> list[str]:
    lines = [line for note in statement.notes for line in _comment(note)]
    for question in statement.questions:
        settle = " Settle it with one of:" if question.choices else ""
        lines += ["#", *_comment(f"Question: {question.text}{settle}")]
        lines += [f"#   --answer {_shell(choice)}" for choice in question.choices]
    return [*lines, "#"] if lines and statement.questions else lines


def _comment(text: str) -> list[str]:
    shown = printable(text, 400)
    return textwrap.wrap(
        shown, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_long_words=False
    )


def _shell(choice: str) -> str:
    """Return an answer as a person types it in a shell."""
    shown = printable(choice)
    return shown if re.fullmatch(r"[\w=.,/+-]+", shown) else "'" + shown.replace("'", "'\\''") + "'"


def _lines(content: Mapping[str, object], *, is_dense: bool) -> list[str]:
    """Return the lines of the declaration; with `is_dense`, several fields share a line."""
    lines: list[str] = []
    for key, value in content.items():
        if key == "schema" and isinstance(value, dict):
            lines += ["schema:", *_field_lines(value["fields"], is_dense)]
        elif key == "transaction" and isinstance(value, dict):
            lines += ["transaction:"] if value else ["transaction: {}"]
            lines += [f"  {role}: {_flow(meaning)}" for role, meaning in value.items()]
        elif key == "skip" and isinstance(value, dict) and len(_flow(value)) > WIDTH - 8:
            lines += ["skip:", *(f"  {name}: {_flow(item)}" for name, item in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return lines


def _field_lines(fields: Sequence[object], is_dense: bool) -> list[str]:
    items = [_flow([field])[1:-1] for field in fields]  # a comma in a title needs quotes
    if not is_dense:
        return ["  fields:", *(f"    - {item}" for item in items)]
    lines = ["   "]
    for index, item in enumerate(items):
        text = f" {item}," if index < len(items) - 1 else f" {item}"
        if len(lines[-1]) + len(text) > WIDTH and lines[-1].strip():
            lines.append("   ")
        lines[-1] += text
    return ["  fields: [", *lines, "  ]"]


def _flow(value: object) -> str:
    """Return a value as YAML in one line."""
    text: str = yaml.safe_dump(
        value, allow_unicode=True, default_flow_style=True, sort_keys=False, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()
