"""A statement whose columns get their meaning, with the evidence and the questions on the way."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from data_ingestion.errors import InputError, printable
from data_ingestion.inspection.layout import Layout
from data_ingestion.inspection.values import clean, dates_of, kind_of, number_in
from data_ingestion.inspection.words import fold

MONEY = ("amount", "withdrawal", "deposit", "balance")
# The answers that name columns, and the meaning of each.
COLUMN_ANSWERS = ("transaction_date", "value_date", "details", "reference", *MONEY)
CHOICES = {
    "date_order": ("dmy", "mdy", "ymd"),
    "sign": ("usual", "inverted"),
    "decimal_mark": (".", ","),
}
TEXT_ANSWERS = ("name", "path", "encoding", "account_number", "currency", "indicator")
KEYS = (*TEXT_ANSWERS, *CHOICES, *COLUMN_ANSWERS)


class AnswerError(InputError):
    """An answer that does not fit the file."""


@dataclass
class Column:
    """A column of the rows of data.

    Attributes:
        index: Its position.
        name: Its text in all lines of the header.
        values: Its cleaned values.
    """

    index: int
    name: str
    values: list[str]

    @cached_property
    def filled(self) -> list[str]:
        """The values that are there."""
        return [value for value in self.values if kind_of(value) != "empty"]

    @cached_property
    def distinct(self) -> list[str]:
        """The values that are there, each once."""
        return list(dict.fromkeys(self.filled))

    @cached_property
    def is_full(self) -> bool:
        """Whether every row has a value."""
        return len(self.filled) == len(self.values)

    @cached_property
    def kind(self) -> str:
        """`empty`, `date`, `number` or `text`."""
        if not self.filled:
            return "empty"
        kinds = Counter(map(kind_of, self.filled))
        if kinds["date"] >= 0.6 * len(self.filled):
            return "date"
        numbers = sum(number_in(value) is not None for value in self.filled)
        return "number" if numbers >= 0.9 * len(self.filled) else "text"


@dataclass(frozen=True)
class Question:
    """A question that the file cannot answer.

    Attributes:
        text: The question.
        choices: The answers that settle it, such as `sign=usual`.
    """

    text: str
    choices: Sequence[str]


@dataclass
class Statement:
    """A statement, and everything that is known about it.

    Attributes:
        layout: How it is written.
        answers: What a person has said, by key.
        roles: The columns of each meaning.
        left_out: Why a row is no transaction, by row.
        notes: The evidence, in sentences.
        questions: What stays open.
        orders: The possible orders of day, month and year.
        undecided: The columns of amounts that a question is about.
        learned: Values that mark withdrawals, and deposits, as the balances show.
        marks: The decimal mark of each column of numbers that has a meaning.
        is_inverted: Whether the sign of the amounts is inverted.
        has_negative_deposits: Whether the column of deposits has a minus.
        is_before: Whether the balance is that before the transaction.
        indicator: The values that mark withdrawals and deposits.
        account: How a declaration tells the account number.
        currency: The code of the currency of all rows.
    """

    layout: Layout
    answers: Mapping[str, str]
    roles: dict[str, list[int]] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    undecided: list[int] = field(default_factory=list)
    learned: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    marks: dict[int, str] = field(default_factory=dict)
    is_inverted: bool = False
    has_negative_deposits: bool = False
    is_before: bool = False
    indicator: tuple[list[str], list[str]] | None = None
    account: object = None
    currency: str | None = None

    def __post_init__(self) -> None:
        self.columns: list[Column] = []
        self.take_rows()

    def take_rows(self) -> None:
        """Take the columns of all rows that are not left out."""
        cells = [self.layout.rows[row].cells for row in self.rows]
        self.columns = [
            Column(index, self.name_of(index), [clean(row[index]) for row in cells])
            for index in range(self.layout.width)
        ]

    @property
    def rows(self) -> list[int]:
        """The rows of transactions."""
        return [row for row in self.layout.data if row not in self.left_out]

    @property
    def has_titles(self) -> bool:
        """Whether the file has a header."""
        return self.layout.header is not None

    @property
    def used(self) -> set[int]:
        """The columns that have a meaning."""
        return {index for indexes in self.roles.values() for index in indexes}

    def name_of(self, index: int) -> str:
        """Return the text of a column in the header, or an empty one."""
        return self.layout.names[index].strip("# '\ufeff")

    def label(self, index: int) -> str:
        """Return the name under which answers and comments know a column."""
        titles = self.layout.titles
        title = titles[index] if index < len(titles) else ""
        return title if title and titles.count(title) == 1 else f"column_{index + 1}"

    def column(self, role: str) -> Column | None:
        """Return the first column with a meaning."""
        indexes = self.roles.get(role)
        return self.columns[indexes[0]] if indexes else None

    def line_of(self, position: int) -> int:
        """Return the line of the row at a position in the columns' values."""
        return self.layout.rows[self.rows[position]].line

    def days(self, order: str) -> list[date | None]:
        """Return the date of each transaction under an order."""
        column = self.columns[self.roles["transaction_date"][0]]
        found = [dates_of(value).get(order) for value in column.values]
        return [reading and reading.day for reading in found]

    def ask(self, text: str, *choices: str) -> None:
        """Add a question with the answers that settle it."""
        self.questions.append(Question(text, choices))

    def answered(self, key: str) -> list[Column] | None:
        """Return the columns that an answer names: none for `none`, None without an answer.

        Raises:
            AnswerError: The answer names an unknown column.
        """
        text = self.answers.get(key)
        if text is None or fold(text) == "none":
            return None if text is None else []
        if (whole := self._find(text)) is not None:
            return [whole]
        if key != "details":
            raise self._unknown(key, text)
        found = []
        for part in text.split(","):
            column = self._find(part)
            if column is None:
                raise self._unknown(key, part)
            found.append(column)
        return found

    def _find(self, text: str) -> Column | None:
        for column in self.columns:
            if text.strip() in (self.label(column.index), f"column_{column.index + 1}"):
                return column
        fitting = [c for c in self.columns if fold(self.label(c.index)) == fold(text) != ""]
        return fitting[0] if len(fitting) == 1 else None

    def _unknown(self, key: str, text: str) -> AnswerError:
        names = ", ".join(printable(self.label(c.index), 40) for c in self.columns if c.filled)
        return AnswerError(
            f"--answer {key}={printable(text, 40)}: is no column; the columns are {names}, or none"
        )
