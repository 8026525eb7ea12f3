"""Exceptions of seqhub.

    SeqhubError
    ├── UnknownNameError       a task, config, split, model or criterion that does not exist   (ValueError)
    ├── InvalidConfigError     settings that are not allowed, alone or together                  (ValueError)
    ├── InvalidInputError      data that break a rule: symbols, lengths, shapes, sizes           (ValueError)
    ├── CorruptFileError       a file that is truncated, tampered with or not what it claims     (ValueError)
    ├── OutputExistsError      a folder that already holds another run or dataset                (FileExistsError)
    ├── SaveError              a save that failed; what was there before is unchanged            (OSError)
    ├── HubError               a Hub that cannot be reached or refuses a request                 (OSError)
    └── VerificationError      what was loaded back differs from its record                      (AssertionError)

A message is one line: what was given, what is allowed, where.
"""

from collections.abc import Iterable


class SeqhubError(Exception):
    """Base of all errors that seqhub raises on purpose; the command line prints them as one line."""


class UnknownNameError(SeqhubError, ValueError):
    """A name that is not in a registry."""

    @classmethod
    def of(cls, kind: str, given: object, known: Iterable[str]) -> "UnknownNameError":
        """Return the error for a name of some kind.

        >>> str(UnknownNameError.of("task", "qrs", ["qrsu"]))
        "no task 'qrs'; known: qrsu"
        """
        return cls(f"no {kind} {given!r}; known: {', '.join(known)}")


class InvalidConfigError(SeqhubError, ValueError):
    """Settings that are not allowed, alone or together.

    Attributes:
        setting: Name, value and rule of one setting that is at fault, or None; the command line shows it as an option.
        where: Task or file that the message ends with.
    """

    setting: tuple[str, object, str] | None = None
    where: str = ""

    @classmethod
    def of(cls, name: str, value: object, rule: str, where: object = "") -> "InvalidConfigError":
        """Return the error for one setting.

        >>> str(InvalidConfigError.of("batch_size", 0, "at least 1", "qrsu/hard"))
        'batch_size=0: must be at least 1 (qrsu/hard)'
        """
        error = cls(f"{name}={value!r}: must be {rule}" + (f" ({where})" if where else ""))
        error.setting, error.where = (name, value, rule), str(where)
        return error


class InvalidInputError(SeqhubError, ValueError):
    """Data that break a rule: symbols, lengths, shapes, sizes."""


class CorruptFileError(SeqhubError, ValueError):
    """A file that is truncated, tampered with or not what it claims to be."""


class OutputExistsError(SeqhubError, FileExistsError):
    """A folder that already holds something this command would overwrite."""


class SaveError(SeqhubError, OSError):
    """A save that failed; what was there before is unchanged."""


class HubError(SeqhubError, OSError):
    """A Hub that cannot be reached or refuses a request; local files are unchanged."""


class DataWarning(UserWarning):
    """Rows from which little can be learnt; a run continues."""


class VerificationError(SeqhubError, AssertionError):
    """Something loaded back differs from what its record says."""
