"""Errors that end a command with one line for people. Any other exception is a bug."""

from data_ingestion.model import RowCounts


class CommandError(Exception):
    """An error whose text says, in one line, what happened and what to do.

    Attributes:
        exit_code: The exit code of the process.
    """

    exit_code = 1


class InputError(CommandError):
    """The input or the usage is bad: a retry cannot succeed."""

    exit_code = 2


class FileRefusedError(InputError):
    """The file as a whole cannot be loaded; `counts` holds what was read before the error."""

    def __init__(self, message: str, counts: RowCounts) -> None:
        super().__init__(message)
        self.counts = counts


class WarehouseError(CommandError):
    """The warehouse stays unavailable after retries, or refuses the login or a statement."""

    exit_code = 3


def printable(text: str, limit: int = 200) -> str:
    """Return `text` safe for a terminal or a log.

    Control characters are escaped, and text beyond `limit` characters is cut.
    """
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "…"
