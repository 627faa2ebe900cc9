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
from typing import Annotated, Any, Literal

import msgspec
import yaml

from data_ingestion.contracts import (
    ACCOUNT,
    MAX_COLUMNS,
    MAX_IDENTIFIER,
    MAX_TABLE_NAME,
    SUFFIXES,
    AccountPattern,
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
PARTS_OF_DATE = {"%d": "day", "%m": "month", "%b": "month", "%Y": "year", "%y": "year"}
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
        type: How staging reads the values. The table has the text in any case.
        format: The parts of a date: `%d`, `%m` or `%b`, `%Y` or `%y`, and the characters between.
        decimal_char: The character before the decimals of a number.
        group_char: The character between the thousands of a number; a blank stands for any blank.
        missing_values: Texts that stand for no value in staging, beside an empty one and a dash.
        constraints: What each value has to fulfil.
        ignored: Whether the column carries nothing and stays out of the table.
    """

    name: ColumnName | None = None
    title: str | None = None
    type: Literal["string", "date", "number"] = "string"
    format: Text | None = None
    decimal_char: Literal[".", ","] = "."
    group_char: Literal[".", ",", " ", "'"] | None = None
    missing_values: list[Text] = []
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
        sheet_name: The sheet of a workbook. Without it, the first visible one.
        trailing_delimiter: Whether each row ends with a delimiter that the header does not have.
    """

    delimiter: Character = ","
    quote_char: Character = '"'
    header: bool = True
    sheet_name: Text | None = None
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


class Origin(_Keys, frozen=True, kw_only=True):
    """Where a value comes from that stands in no column. Exactly one key is set.

    Attributes:
        constant: The value itself.
        preamble: A regular expression with one group, which finds it in the lines above the header.
        path: A regular expression with one group, which finds it in the name of the file.
    """

    constant: Text | None = None
    preamble: Text | None = None
    path: Text | None = None


class Constant(_Keys, frozen=True, kw_only=True):
    """A value that stands in no column.

    Attributes:
        constant: The value itself.
    """

    constant: Text


class Indicator(_Keys, frozen=True, kw_only=True):
    """A column that tells withdrawals from deposits.

    Attributes:
        field: The column.
        withdrawal: Its values in withdrawals.
        deposit: Its values in deposits.
    """

    field: Text
    withdrawal: Annotated[list[Text], msgspec.Meta(min_length=1)]
    deposit: Annotated[list[Text], msgspec.Meta(min_length=1)]


Fields = Annotated[list[Text], msgspec.Meta(min_length=1)]


class Transaction(_Keys, frozen=True, kw_only=True, rename=None):
    """What the columns mean in staging.transactions. A column is named by its name or title.

    Attributes:
        account_number: The account. Of several columns, the first one with a value holds.
        transaction_date: The date of the transaction.
        value_date: The date from which the bank counts the amount.
        details: One text column, or several to join with blanks.
        reference: The number of a cheque, or another reference.
        amount: The column of all amounts, with a sign or an indicator.
        withdrawal: The column of withdrawals, beside `deposit`.
        deposit: The column of deposits, beside `withdrawal`.
        indicator: The column beside `amount` that tells withdrawals from deposits.
        inverted: `true`: with `amount`, a positive amount is a withdrawal; with `withdrawal`,
            withdrawals are negative. `deposit`: deposits are negative.
        balance: The balance of the account.
        balance_is: Whether it is the balance before or after the transaction.
        currency: The column of the currency codes, or one code for all rows.
    """

    account_number: Text | Fields | Origin
    transaction_date: Text
    value_date: Text | None = None
    details: Text | Fields | None = None
    reference: Text | None = None
    amount: Text | None = None
    withdrawal: Text | None = None
    deposit: Text | None = None
    indicator: Indicator | None = None
    inverted: bool | Literal["deposit"] = False
    balance: Text | None = None
    balance_is: Literal["before", "after"] = "after"
    currency: Text | Constant | None = None


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
        transaction: What the columns mean. Without it, the rows stay in the schema `raw`.
    """

    name: TableName
    path: Text
    encoding: str = "utf-8"
    dialect: TableDialect = TableDialect()
    schema: TableSchema
    preamble: bool = False
    skip: Skip = Skip()
    duplicates: Literal["drop", "keep"] = "drop"
    transaction: Transaction | None = None


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


def meaning(file: Path) -> tuple[Contract, Transaction | None, dict[str, Field]]:
    """Return the contract of a declaration, what its columns mean, and its fields by column.

    The meanings have the names of columns in the warehouse. `account_number` and `details` are
    lists, unless the value stands in no column.

    Raises:
        InputError: As `read`, or keys contradict each other.
    """
    check = _Check(file)
    contract = check.contract(read(file))
    return contract, check.transaction, check.fields


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
            camel = re.sub("_(.)", lambda match: match[1].upper(), name)
            keys = definition["properties"]
            keys[name if name in keys else camel]["description"] = re.sub(r"\s+", " ", text)
    standard = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(standard | schema, indent=2) + "\n"


class _Check:
    """Checks what the keys of a declaration say together.

    Every method raises InputError with the file, the key and the reason.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.fields: dict[str, Field] = {}  # by the name of the column
        self._titles: dict[str, str] = {}
        self.transaction: Transaction | None = None

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
        self.fields = dict(zip(columns, (fields[at] for at in positions), strict=True))
        self._titles = dict(zip(columns, (titles[at] for at in positions), strict=True))
        self._check_types(fields)
        self._check_path(source.path)
        self._check_any_order(source, columns, [titles[at] for at in positions])
        if not source.dialect.header and source.preamble:
            raise self._refuse("preamble", "needs a header, with which the preamble ends")
        self.transaction = self._transaction(source)
        return Contract(
            table=source.name,
            pattern=source.path,
            columns=tuple(columns),
            titles=tuple(titles),
            positions=tuple(positions),
            any_order=source.schema.fields_match == "equal",
            required=tuple(
                column for column, field in self.fields.items() if field.constraints.required
            ),
            dialect=self._dialect(source),
            sheet=source.dialect.sheet_name,
            duplicates=source.duplicates,
            has_header=source.dialect.header,
            preamble=source.preamble,
            trailing_delimiter=source.dialect.trailing_delimiter,
            skipped_rows=self._skipped_rows(source, titles),
            skipped_lines=tuple(source.skip.lines),
            footer=tuple(source.skip.footer),
            account=self._account_pattern(source),
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

    def _skipped_rows(self, source: Declaration, titles: list[str]) -> dict[str, frozenset[str]]:
        """Return the values that tell rows to skip, by column."""
        found: dict[str, frozenset[str]] = {}
        for text, values in source.skip.rows.items():
            key = f"skip.rows.{text}"
            if text in titles and text not in (*self.fields, *self._titles.values()):
                raise self._refuse(key, "is ignored")
            column = self._column(key, text)
            found[column] = found.get(column, frozenset()) | {value.strip() for value in values}
        return found

    def _column(self, key: str, text: str) -> str:
        """Return the column that has a name or a title."""
        if text in self.fields:
            return text
        columns = [column for column, title in self._titles.items() if title == text]
        if not columns:
            raise self._refuse(key, f"{text!r} is no column of schema.fields")
        if len(columns) > 1:
            raise self._refuse(key, f"{text!r} is the title of {' and '.join(columns)}: name one")
        return columns[0]

    def _check_types(self, fields: list[Field]) -> None:
        """Check the keys that tell how staging reads the values of a column."""
        for index, field in enumerate(fields):
            key = f"schema.fields[{index}]"
            if (field.type == "date") != (field.format is not None):
                raise self._refuse(f"{key}.format", "belongs to `type: date`, which needs one")
            if field.format is not None and not is_date_format(field.format):
                raise self._refuse(
                    f"{key}.format",
                    f"{field.format!r} needs %d, %m or %b, and %Y or %y, once each, and no other %",
                )
            if field.type != "number" and (field.group_char or field.decimal_char != "."):
                raise self._refuse(key, "decimalChar and groupChar belong to `type: number`")
            if field.group_char == field.decimal_char:
                raise self._refuse(f"{key}.groupChar", "is the decimalChar, too")

    def _transaction(self, source: Declaration) -> Transaction | None:
        """Return the meaning of the columns, each with its name in the warehouse."""
        said = source.transaction
        if said is None:
            return None
        one_amount = (
            said.amount is not None,
            said.withdrawal is not None,
            said.deposit is not None,
        )
        if one_amount not in ((True, False, False), (False, True, True)):
            raise self._refuse("transaction", "needs either amount, or both withdrawal and deposit")
        if said.indicator and said.amount is None:
            raise self._refuse("transaction.indicator", "belongs to `amount`")
        if said.indicator and said.inverted:
            raise self._refuse("transaction.inverted", "the indicator tells the sign already")
        if said.inverted == "deposit" and said.deposit is None:
            raise self._refuse(
                "transaction.inverted", "the value 'deposit' needs the key `deposit`"
            )
        if said.balance is None and said.balance_is != "after":
            raise self._refuse("transaction.balance_is", "belongs to `balance`")
        self._check_values(said)
        return msgspec.structs.replace(
            said,
            account_number=self._columns_of("account_number", said.account_number),
            transaction_date=self._column_of("transaction_date", said.transaction_date, "date"),
            value_date=self._column_of("value_date", said.value_date, "date"),
            details=self._columns_of("details", said.details),
            reference=self._column_of("reference", said.reference),
            amount=self._column_of("amount", said.amount, "number"),
            withdrawal=self._column_of("withdrawal", said.withdrawal, "number"),
            deposit=self._column_of("deposit", said.deposit, "number"),
            indicator=said.indicator
            and msgspec.structs.replace(
                said.indicator, field=self._column_of("indicator.field", said.indicator.field)
            ),
            balance=self._column_of("balance", said.balance, "number"),
            currency=said.currency
            if isinstance(said.currency, Constant)
            else self._column_of("currency", said.currency),
        )

    def _check_values(self, said: Transaction) -> None:
        """Check the values that stand in the declaration itself."""
        if isinstance(said.currency, Constant) and not re.fullmatch(
            "[A-Z]{3}", said.currency.constant
        ):
            raise self._refuse(
                "transaction.currency.constant", "needs a code of three capital letters"
            )
        if said.indicator and set(said.indicator.withdrawal) & set(said.indicator.deposit):
            raise self._refuse("transaction.indicator", "a value stands for both directions")

    def _column_of(self, role: str, text: str | None, kind: str = "string") -> str | None:
        """Return the column with a meaning, after a check of its type."""
        if text is None:
            return None
        key = f"transaction.{role}"
        column = self._column(key, text)
        if kind != "string" and self.fields[column].type != kind:
            raise self._refuse(key, f"the field {text!r} needs `type: {kind}`")
        return column

    def _columns_of(self, role: str, said: str | list[str] | Origin | None) -> Any:
        """Return the columns with a meaning as a list."""
        if said is None or isinstance(said, Origin):
            return said
        texts = [said] if isinstance(said, str) else said
        columns = [self._column(f"transaction.{role}", text) for text in texts]
        if len(set(columns)) < len(columns):
            raise self._refuse(f"transaction.{role}", "names a column twice")
        return columns

    def _account_pattern(self, source: Declaration) -> AccountPattern | None:
        """Return how the account is found that stands in no column."""
        said = source.transaction and source.transaction.account_number
        if not isinstance(said, Origin):
            return None
        key = "transaction.account_number"
        found = [
            (where, text)
            for where in ("constant", "preamble", "path")
            if (text := getattr(said, where)) is not None
        ]
        if len(found) != 1:
            raise self._refuse(key, "needs one of constant, preamble and path")
        where, text = found[0]
        if where == "constant":
            return None
        try:
            groups = re.compile(text).groups
        except re.error as error:
            reason = f"is no regular expression ({printable(str(error))})"
            raise self._refuse(f"{key}.{where}", reason) from error
        if groups != 1:
            raise self._refuse(f"{key}.{where}", f"needs one group in parentheses, not {groups}")
        if where == "preamble" and not source.preamble:
            raise self._refuse(f"{key}.preamble", "needs `preamble: true`")
        if ACCOUNT in self.fields:
            raise self._refuse(key, f"a field has the name {ACCOUNT!r}, too: give it another one")
        return AccountPattern(text, is_in_path=where == "path")


def is_date_format(text: str) -> bool:
    """Return whether a text has a day, a month and a year once each, and nothing else to parse."""
    parts = re.findall("%.?", text)
    return sorted(PARTS_OF_DATE.get(part, part) for part in parts) == ["day", "month", "year"]


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
