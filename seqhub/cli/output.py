"""Output of results: a table, JSON, or one line for each value."""

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from seqhub.errors import DataWarning, PlainLoopWarning

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn


class Form(StrEnum):
    """Output format of results."""

    TABLE = "table"
    JSON = "json"
    QUIET = "quiet"

    @classmethod
    def of(cls, as_json: bool, quiet: bool) -> "Form":
        """Return the format for the two flags that every command has; JSON takes precedence."""
        return cls.JSON if as_json else cls.QUIET if quiet else cls.TABLE


def show(form: Form, result: Any, *, brief: str | Iterable[str], table: "Callable[[Console], None]") -> None:
    """Print a result.

    Args:
        form: Output format.
        result: Plain values, for JSON.
        brief: Lines for `--quiet`: values for a script, such as a path.
        table: Function that prints the result as a table.
    """
    if form is Form.JSON:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    elif form is Form.QUIET:
        lines = [brief] if isinstance(brief, str) else list(brief)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    else:
        table(stdout())


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings of seqhub as one line on standard error, without file and line of the code that issued them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        default_show = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **options: Any) -> None:
            if issubclass(category, (DataWarning, PlainLoopWarning)):
                sys.stderr.write(f"warning: {message}\n")
            else:
                default_show(message, category, *rest, **options)

        warnings.showwarning = show
        yield


def stdout() -> "Console":
    """Return a console for results."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def stderr() -> "Console":
    """Return a console for progress; like `stdout`, it does not interpret [brackets] as markup."""
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def status(text: str, *, visible: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done; yield a function that replaces the text."""
    if not (visible and sys.stderr.isatty()):
        yield lambda text: None  # without rich, whose import takes a tenth of a short run
        return
    with stderr().status(text) as shown:
        yield shown.update


@contextmanager
def progress_bar(*columns: "ProgressColumn", visible: bool) -> "Iterator[Progress]":
    """Show a bar on standard error; after an error it is removed, so that the error is the only line."""
    from rich.progress import Progress

    with Progress(*columns, console=stderr(), disable=not visible) as bar:
        try:
            yield bar
        except BaseException:
            bar.live.transient = True
            bar.live.stop()
            bar.disable = True
            raise


def grid(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = (), unbroken: Sequence[int] = ()
) -> Any:
    """Return a plain table for a console.

    Args:
        columns: Names; no header if all are empty.
        rows: Cells of each row.
        right: Indices of right-aligned columns.
        unbroken: Indices of columns whose cells are never broken into lines.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns))
    for number, name in enumerate(columns):
        justify: Literal["left", "right"] = "right" if number in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=number in unbroken)
    for row in rows:
        table.add_row(*row)
    return table
