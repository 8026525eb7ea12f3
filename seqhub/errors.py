"""Everything that seqhub raises on purpose.

    SeqhubError
    ├── UnknownNameError       a task, config, split, model, criterion ... that does not exist   (ValueError)
    ├── InvalidConfigError     settings that cannot hold, alone or together                      (ValueError)
    ├── InvalidInputError      data that break a rule: symbols, lengths, shapes, sizes           (ValueError)
    ├── CorruptFileError       a file that is truncated, tampered with or not what it claims     (ValueError)
    ├── OutputExistsError      a folder that already holds another run or dataset                (FileExistsError)
    ├── SaveError              a save that could not be finished; what was there before survives (OSError)
    ├── HubError               a Hub that is absent or refuses                                   (OSError)
    └── VerificationError      what was loaded back differs from its record                      (AssertionError)

A message has three parts on one line: what was given, what is allowed, where.
"""

from collections.abc import Iterable


class SeqhubError(Exception):
    """Base of all errors that seqhub raises on purpose; the command line prints them as one line."""


class UnknownNameError(SeqhubError, ValueError):
    """A name that is not in a registry."""

    @classmethod
    def of(cls, kind: str, given: object, known: Iterable[str]) -> "UnknownNameError":
        """Word the message the same way everywhere.

        >>> str(UnknownNameError.of("task", "qrs", ["qrsu"]))
        "no task 'qrs'; known: qrsu"
        """
        return cls(f"no {kind} {given!r}; known: {', '.join(known)}")


class InvalidConfigError(SeqhubError, ValueError):
    """Settings that cannot hold, alone or together."""


class InvalidInputError(SeqhubError, ValueError):
    """Data that break a rule: symbols, lengths, shapes, sizes."""


class CorruptFileError(SeqhubError, ValueError):
    """A file that is truncated, tampered with or not what it claims to be."""


class OutputExistsError(SeqhubError, FileExistsError):
    """A folder that already holds something this command would overwrite."""


class SaveError(SeqhubError, OSError):
    """A save that could not be finished; what was there before is still whole."""


class HubError(SeqhubError, OSError):
    """A Hub that is absent or refuses; what was to be sent stays on disk."""


class DataWarning(UserWarning):
    """Rows that next to nothing can be learnt from; a run goes on."""


class VerificationError(SeqhubError, AssertionError):
    """Something loaded back differs from what its record says."""
