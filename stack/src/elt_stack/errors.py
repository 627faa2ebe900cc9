"""Errors that a user can fix."""


class StackError(Exception):
    """A problem that the user can fix. Its text is one line: what happened and what to do."""
