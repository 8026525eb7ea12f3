"""Errors and warnings of the compiler of cells."""

from seqhub.errors import DataWarning


class NotCompilableError(Exception):
    """Raised if a cell has no native kernel; the message is one line with the operation and the source line."""


class PlainLoopWarning(DataWarning):
    """Warning that a cell runs as a loop of eager steps: with equal results, but slower."""
