"""Exceptions of seqhub.

    SeqhubError
    ├── UnknownNameError       unknown task, config, split, model, criterion, ...                (ValueError)
    ├── InvalidConfigError     setting or combination of settings that is not allowed            (ValueError)
    ├── InvalidInputError      invalid data: symbols, lengths, shapes, sizes                     (ValueError)
    ├── CorruptFileError       file that is truncated, modified or of another kind               (ValueError)
    ├── OutputExistsError      folder that already contains another run or dataset               (FileExistsError)
    ├── SaveError              failed save; the previous content is unchanged                    (OSError)
    ├── HubError               Hub that cannot be reached or rejects a request                   (OSError)
    └── VerificationError      loaded content that differs from its record                       (AssertionError)

A message is one line: the given value, the allowed values, the place.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SeqhubError(Exception):
    """Base class of all errors of seqhub; the command line prints them as one line."""


class UnknownNameError(SeqhubError, ValueError):
    """Name that is not in a registry."""

    @classmethod
    def of(cls, kind: str, given: object, known: Iterable[str]) -> "UnknownNameError":
        """Return the error for an unknown name.

        Args:
            kind: Kind of the name, such as `task`.
            given: The name.
            known: The allowed names.

        >>> str(UnknownNameError.of("task", "qrs", ["qrsu"]))
        "no task 'qrs'; known: qrsu"
        """
        return cls(f"no {kind} {given!r}; known: {', '.join(known) or 'none'}")

    @classmethod
    def with_near(cls, kind: str, given: str, known: Iterable[str]) -> "UnknownNameError":
        """Return the error for an unknown name, with the known names that are most like it first.

        Args:
            kind: Kind of the name, such as `option`.
            given: The name.
            known: The allowed names.

        >>> str(UnknownNameError.with_near("option", "modles", ["models", "tasks"]))
        "no option 'modles'; did you mean models? known: models, tasks"
        """
        names = list(known)
        near = get_close_matches(given, names, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return cls(f"no {kind} {given!r}; {hint}known: {', '.join(names)}")


class InvalidConfigError(SeqhubError, ValueError):
    """Invalid setting, or combination of settings.

    Attributes:
        setting: Name, value and rule of a single invalid setting, or None; the command line shows it as an option.
        where: Task or file, at the end of the message.
    """

    setting: tuple[str, object, str] | None = None
    where: str = ""

    @classmethod
    def of(cls, name: str, value: object, rule: str, where: object = "") -> "InvalidConfigError":
        """Return the error for one setting.

        Args:
            name: Name of the setting.
            value: The given value.
            rule: Allowed values, as in "at least 1".
            where: Task or file, if any.

        >>> str(InvalidConfigError.of("batch_size", 0, "at least 1", "qrsu/hard"))
        'batch_size=0: must be at least 1 (qrsu/hard)'
        """
        error = cls(f"{name}={value!r}: must be {rule}" + (f" ({where})" if where else ""))
        error.setting, error.where = (name, value, rule), str(where)
        return error


class InvalidInputError(SeqhubError, ValueError):
    """Invalid data: symbols, lengths, shapes, sizes."""


class CorruptFileError(SeqhubError, ValueError):
    """File that is truncated, modified or of another kind."""


class OutputExistsError(SeqhubError, FileExistsError):
    """Folder that already contains files that would be overwritten."""


class SaveError(SeqhubError, OSError):
    """Failed save; the previous content is unchanged."""


class HubError(SeqhubError, OSError):
    """Hub that cannot be reached or rejects a request; local files are unchanged."""


class DataWarning(UserWarning):
    """Warning about rows from which a model can learn little; the run continues."""


class PlainLoopWarning(UserWarning):
    """Warning that a recurrent cell runs as a loop of eager steps: with equal results, but slower."""


class VerificationError(SeqhubError, AssertionError):
    """Loaded content that differs from its record."""
