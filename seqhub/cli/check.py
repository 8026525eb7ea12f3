"""The `seqhub check` command."""

from typing import TYPE_CHECKING, Annotated

import typer

from seqhub.cli.errors import DIFFERENT
from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show, status

if TYPE_CHECKING:
    from rich.console import Console


def check_command(
    target: Annotated[
        str,
        typer.Argument(
            help="Task, task id, task file, model preset, or model family or its folder", show_default=False
        ),
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a task or a model.

    The checks cover definition, rows, splits, training and card, also of your own tasks. The exit code is 1 if a check
    fails.
    """
    form = Form.of(as_json, quiet)
    with status(target, visible=form is Form.TABLE) as update:
        from seqhub.testing.check import checks_of, run_checks

        checks = checks_of(target)
        results = []
        for check, result in zip(checks, run_checks(checks), strict=True):
            update(f"{check.subject} {check.name}")
            results.append(result)
    failed = [result for result in results if result.error]
    rows = [(result.subject, result.name, result.error or "passed", f"{result.seconds:.1f}") for result in results]

    def table(console: "Console") -> None:
        console.print(grid(("subject", "check", "result", "seconds"), rows, right=(3,)))

    show(
        form,
        [vars(result) for result in results],
        brief=[f"{result.subject}\t{result.name}\t{result.error}" for result in failed],
        table=table,
    )
    if failed:
        raise typer.Exit(DIFFERENT)
