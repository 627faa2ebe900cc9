"""What went wrong, for a person to read."""


class StackError(Exception):
    """Something the user can mend; its text is one line that says what happened and what to do."""
