"""Errors of the compiler of cells."""


class NotCompilableError(Exception):
    """Raised if a cell has no native kernel; the message is one line with the operation and the source line."""
