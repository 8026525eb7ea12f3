"""What a command says: a table, JSON or next to nothing on standard output; errors as one line on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from seqhub.errors import SeqhubError, VerificationError

if TYPE_CHECKING:
    from rich.console import Console

USER_MISTAKE, DIFFERENT, INTERRUPTED = 2, 1, 130  # exit codes


class Form(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    QUIET = "quiet"

    @classmethod
    def of(cls, as_json: bool, quiet: bool) -> "Form":
        """From the two flags that every command has; JSON wins."""
        return cls.JSON if as_json else cls.QUIET if quiet else cls.TABLE


def show(form: Form, result: Any, *, brief: str | Iterable[str], table: "Callable[[Console], None]") -> None:
    """Print a result.

    Args:
        form: How.
        result: Plain values, for JSON.
        brief: Lines for `--quiet`: what a script would want to read, such as a path.
        table: Prints it for a person.
    """
    if form is Form.JSON:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    elif form is Form.QUIET:
        lines = [brief] if isinstance(brief, str) else list(brief)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    else:
        table(stdout())


def stdout() -> "Console":
    """A console for results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def stderr() -> "Console":
    """A console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> Any:
    """A plain table; `right` numbers the columns that hold figures, and columns without names have no head."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns))
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn mistakes of a user into one line and an exit code; faults of this package keep their traceback.

    Exits with 2 for mistakes, 1 where something loaded back differs from its record, 130 after Ctrl-C.
    """
    import typer

    try:
        yield
    except VerificationError as error:
        _fail(str(error), DIFFERENT)
    except (SeqhubError, OSError) as error:
        _fail(str(error), USER_MISTAKE)
    except typer.TyperException as error:
        _fail(_wording(error), USER_MISTAKE)
    except KeyboardInterrupt as error:
        _fail(str(error) or "stopped", INTERRUPTED)


def _wording(error: Any) -> str:
    """The message of a wrong command line, with the command whose help tells more."""
    context = getattr(error, "ctx", None)
    hint = f" (see `{context.command_path} --help`)" if context is not None else ""
    return " ".join(str(error.format_message()).split()).rstrip(".") + hint


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    raise SystemExit(code)
