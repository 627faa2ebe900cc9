"""The declared sources: one YAML file for each kind of file, in the folder `sources/`.

Most keys are those of a Data Resource, its Table Dialect and its Table Schema in the Data Package
standard (https://datapackage.org/standard/data-resource/). Statements need a few more.
docs/sources.md explains all of them, and docs/source.schema.json is their JSON Schema.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from data_ingestion.contracts import (
    MAX_COLUMNS,
    MAX_IDENTIFIER,
    MAX_TABLE_NAME,
    SUFFIXES,
    Contract,
    normalise,
)
from data_ingestion.errors import InputError, printable
from data_ingestion.model import Dialect, is_character, is_encoding

NAME = r"^[a-z0-9]+(_[a-z0-9]+)*$(?!\n)"  # `$` alone would allow a line end behind the name
TableName = Annotated[str, msgspec.Meta(pattern=NAME, max_length=MAX_TABLE_NAME)]
ColumnName = Annotated[str, msgspec.Meta(pattern=NAME, max_length=MAX_IDENTIFIER)]
Character = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
# https://www.postgresql.org/docs/current/ddl-system-columns.html
SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


class _Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Keys of a declaration. A key that the class does not have is a mistake."""


class Constraints(_Keys, frozen=True, kw_only=True):
    """The constraints of a field.

    Attributes:
        required: Whether a row without a value in this field is rejected.
    """

    required: bool = False


class Field(_Keys, frozen=True, kw_only=True):
    """A column of the file.

    Attributes:
        name: The name of the column in the warehouse. Without it, one is made from `title`.
        title: The name of the column in the header, which can be empty. Without it, `name`.
        constraints: What each value has to fulfil.
        ignored: Whether the column carries nothing and stays out of the table.
    """

    name: ColumnName | None = None
    title: str | None = None
    constraints: Constraints = Constraints()
    ignored: bool = False


class TableSchema(_Keys, frozen=True, kw_only=True):
    """The columns of the file.

    Attributes:
        fields: One item per column, in the order of the file. A text is the column's `title`.
        fields_match: `exact`: all files have the columns in this order; `equal`: in any order.
    """

    fields: Annotated[list[Field | str], msgspec.Meta(min_length=1, max_length=MAX_COLUMNS)]
    fields_match: Literal["exact", "equal"] = "exact"


class TableDialect(_Keys, frozen=True, kw_only=True):
    """How the file is written.

    Attributes:
        delimiter: One ASCII character between fields.
        quote_char: One ASCII character around quoted fields.
        header: Whether the file has a header. Without one, `fields` has all columns in order.
        trailing_delimiter: Whether each row ends with a delimiter that the header does not have.
    """

    delimiter: Character = ","
    quote_char: Character = '"'
    header: bool = True
    trailing_delimiter: bool = False


class Skip(_Keys, frozen=True, kw_only=True):
    """What is no transaction. Skipped rows are counted, and stay out of the table.

    Attributes:
        rows: By column, values without blanks at their ends. A row with one of them is skipped.
        lines: Beginnings of lines to skip.
        footer: Beginnings of the line with which the data end.
    """

    rows: dict[Text, list[str]] = {}
    lines: list[Text] = []
    footer: list[Text] = []


class Declaration(_Keys, frozen=True, kw_only=True):
    """A kind of file, and the table in the schema `raw` that gets its rows.

    Attributes:
        name: The name of the source and its table.
        path: Pattern of the file names without their ending, in upper or lower case.
        encoding: The name of a Python codec.
        dialect: How the file is written.
        schema: Its columns.
        preamble: Whether lines may stand before the header.
        skip: What is no transaction.
        duplicates: `drop` stores equal rows once, `keep` stores each of them.
    """

    name: TableName
    path: Text
    encoding: str = "utf-8"
    dialect: TableDialect = TableDialect()
    schema: TableSchema
    preamble: bool = False
    skip: Skip = Skip()
    duplicates: Literal["drop", "keep"] = "drop"


def folder() -> Path:
    """Return the folder of the declarations: $SOURCES_DIR, or `sources/` of the project."""
    return Path(os.environ.get("SOURCES_DIR") or Path(__file__).parents[2] / "sources")


def declared() -> dict[str, Contract]:
    """Return the contract of each declared source by its name."""
    return contracts(folder())


@cache
def contracts(path: Path) -> dict[str, Contract]:
    """Read all declarations of a folder, and return the contract of each source by its name.

    Raises:
        InputError: A file is no declaration, or two files declare the same source.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder: set SOURCES_DIR to the folder of the sources")
    found: dict[str, Contract] = {}
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in (".yml", ".yaml") or file.name.startswith("."):
            continue
        contract = _Check(file).contract(read(file))
        if contract.table in found:
            raise InputError(f"{file}: name: another file declares {contract.table!r}, too")
        found[contract.table] = contract
    if not found:
        raise InputError(f"{path}: no source is declared there: set SOURCES_DIR")
    return found


def read(file: Path) -> Declaration:
    """Read one declaration.

    Raises:
        InputError: The file is not YAML, or a key is unknown, missing or has a wrong value.
    """
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8: save it in this encoding") from error
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = printable(str(getattr(error, "problem", None) or error))
        raise InputError(f"{file}{where}: is not YAML: {problem}") from error
    except (ValueError, KeyError) as error:  # a date or a number that does not exist
        reason = printable(str(error))
        raise InputError(f"{file}: has a wrong value ({reason}): put it in quotes") from error
    try:
        return msgspec.convert(content, Declaration)
    except msgspec.ValidationError as error:
        reason, _, key = str(error).partition(" - at ")
        key = key.replace("`key` in ", "").strip("`").removeprefix("$").lstrip(".")
        hint = (
            ": put it in quotes"
            if re.search("Expected `str.*, got `(int|bool|float|date)", reason)
            else ""
        )
        raise InputError(f"{file}: {key or 'the file'}: {reason}{hint}") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that occurs twice; YAML forbids it, and PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # PyYAML refuses it
            if key_node.value in seen:
                problem = f"the key {key_node.value!r} occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value)
        mapping: dict[object, object] = super().construct_mapping(node, deep)
        return mapping


def json_schema() -> str:
    """Return the JSON Schema of a declaration, with which editors complete and check its keys."""
    schema = msgspec.json.schema(Declaration)
    for definition in schema["$defs"].values():
        # msgspec takes a class's docstring as its description. Editors show one per key.
        summary, _, attributes = definition["description"].partition("\n\nAttributes:\n")
        definition["description"] = summary
        for name, text in re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE):
            key = re.sub("_(.)", lambda match: match[1].upper(), name)
            definition["properties"][key]["description"] = re.sub(r"\s+", " ", text)
    standard = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(standard | schema, indent=2) + "\n"


class _Check:
    """Checks what the keys of a declaration say together.

    Every method raises InputError with the file, the key and the reason.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def _refuse(self, key: str, reason: str) -> InputError:
        return InputError(f"{self._file}: {key}: {reason}")

    def contract(self, source: Declaration) -> Contract:
        """Return the contract of a declaration."""
        fields = [
            field if isinstance(field, Field) else Field(title=field)
            for field in source.schema.fields
        ]
        titles = [(field.name or "") if field.title is None else field.title for field in fields]
        positions = [index for index, field in enumerate(fields) if not field.ignored]
        columns = self._columns(fields, titles, positions)
        self._check_path(source.path)
        self._check_any_order(source, columns, [titles[at] for at in positions])
        if not source.dialect.header and source.preamble:
            raise self._refuse("preamble", "needs a header, with which the preamble ends")
        return Contract(
            table=source.name,
            pattern=source.path,
            columns=tuple(columns),
            titles=tuple(titles),
            positions=tuple(positions),
            any_order=source.schema.fields_match == "equal",
            required=tuple(
                column
                for column, at in zip(columns, positions, strict=True)
                if fields[at].constraints.required
            ),
            dialect=self._dialect(source),
            duplicates=source.duplicates,
            has_header=source.dialect.header,
            preamble=source.preamble,
            trailing_delimiter=source.dialect.trailing_delimiter,
            skipped_rows=self._skipped_rows(source, columns, titles, positions),
            skipped_lines=tuple(source.skip.lines),
            footer=tuple(source.skip.footer),
        )

    def _columns(self, fields: list[Field], titles: list[str], positions: list[int]) -> list[str]:
        """Return the name of each column of the table."""
        columns: list[str] = []
        for index, field in enumerate(fields):
            key = f"schema.fields[{index}]"
            if field.name is None and field.title is None:
                raise self._refuse(key, "needs a name or a title")
            if field.ignored and field.constraints.required:
                raise self._refuse(key, "cannot be both ignored and required")
            if field.name in columns:
                raise self._refuse(key, f"another field has the name {field.name!r}, too")
            if field.name in SYSTEM_COLUMNS:
                raise self._refuse(key, f"Postgres has a column {field.name!r} in every table")
            if index in positions:
                columns.append(field.name or _unused(_name(titles[index], index), columns))
        if not columns:
            raise self._refuse("schema.fields", "has no column for the table")
        return columns

    def _check_path(self, path: str) -> None:
        if "/" in path:
            raise self._refuse("path", "is the pattern of a name: leave out the folder")
        if path.lower().endswith(SUFFIXES):
            raise self._refuse(
                "path", f"leave out the ending, which can be any of {', '.join(SUFFIXES)}"
            )

    def _check_any_order(self, source: Declaration, columns: list[str], titles: list[str]) -> None:
        if source.schema.fields_match != "equal":
            return
        dialect = source.dialect
        if source.preamble or dialect.trailing_delimiter or not dialect.header:
            raise self._refuse(
                "schema.fieldsMatch",
                "'equal' needs a header in the first line, and no trailing delimiter",
            )
        for column, title in zip(columns, titles, strict=True):
            if normalise(title) != column:
                raise self._refuse(
                    "schema.fieldsMatch",
                    f"'equal' needs titles in ASCII, and no other names: {title!r}, {column!r}",
                )

    def _dialect(self, source: Declaration) -> Dialect:
        dialect = source.dialect
        for key, text in (("delimiter", dialect.delimiter), ("quoteChar", dialect.quote_char)):
            if not is_character(text):
                raise self._refuse(f"dialect.{key}", f"{text!r} is not one ASCII character")
        if dialect.delimiter == dialect.quote_char:
            raise self._refuse("dialect.quoteChar", "is the delimiter, too")
        if not is_encoding(source.encoding):
            raise self._refuse("encoding", f"{source.encoding!r} is not a known encoding")
        return Dialect(dialect.delimiter, dialect.quote_char, source.encoding)

    def _skipped_rows(
        self, source: Declaration, columns: list[str], titles: list[str], positions: list[int]
    ) -> dict[str, frozenset[str]]:
        """Return the values that tell rows to skip, by column."""
        by_title = {titles[at]: column for column, at in zip(columns, positions, strict=True)}
        found: dict[str, frozenset[str]] = {}
        for text, values in source.skip.rows.items():
            column = text if text in columns else by_title.get(text)
            if column is None:
                reason = "is ignored" if text in titles else "is no column of schema.fields"
                raise self._refuse(f"skip.rows.{text}", reason)
            found[column] = found.get(column, frozenset()) | {value.strip() for value in values}
        return found


def _name(title: str, index: int) -> str:
    """Return the name of a column in the warehouse: `Währung` → `wahrung`."""
    if not title.isascii():
        from anyascii import anyascii  # rarely needed

        title = anyascii(title)
    return normalise(title)[: MAX_IDENTIFIER - 4].strip("_") or f"column_{index + 1}"


def _unused(name: str, names: list[str]) -> str:
    """Return the name, with a number if it stood before: `currency_2`."""
    numbered = (f"{name}_{number}" for number in count(2))
    return next(text for text in chain([name], numbered) if text not in names)
