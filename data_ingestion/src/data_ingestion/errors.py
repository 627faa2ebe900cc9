"""The errors that end a command with one line for people. Any other exception is a bug of ours."""


class CommandError(Exception):
    """Says in one line what happened and what to do; `exit_code` is what the process ends with."""

    exit_code = 1


class InputError(CommandError):
    """The input or the usage is bad: trying again gains nothing."""

    exit_code = 2


class WarehouseError(CommandError):
    """The warehouse cannot be used: not there after retries, or it refuses us."""

    exit_code = 3


def printable(text: str, limit: int = 200) -> str:
    """`text` safe to show in a terminal or a log: control characters escaped, length bounded."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "…"
