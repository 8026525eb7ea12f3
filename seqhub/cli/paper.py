"""The `seqhub paper` command."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.errors import Stopped
from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show
from seqhub.cli.sweep import bar_state, seeds_bar
from seqhub.errors import InvalidConfigError, UnknownNameError

if TYPE_CHECKING:
    from seqhub.experiments.hs97.table import Row
    from seqhub.records import SweepRecord
    from seqhub.sweeps.sweep import SweepProgress

PAPERS = ("hs97",)


def paper_command(
    paper: Annotated[str, typer.Argument(help="hs97 for Hochreiter & Schmidhuber (1997)", show_default=False)],
    rows: Annotated[
        str, typer.Option(help="Names of rows, separated by commas, as in 3a,4-t100,6b", show_default="all")
    ] = "",
    seeds: Annotated[int, typer.Option(help="Number of seeds of each row")] = 10,
    first_seed: Annotated[int, typer.Option(help="First seed; the others follow it")] = 0,
    model: Annotated[
        str, typer.Option(help="lstm with its recipes, or a network of the paper: lstm_hs97, lstm_hs97_as_written")
    ] = "lstm",
    threads: Annotated[
        int | None, typer.Option(help="Number of runs at a time", show_default="the number of cores")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder of all runs and the record", show_default="runs/PAPER")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Reproduce the tables of a paper, row by row.

    Each row is trained from many seeds, up to the stopping criterion of the paper and up to a stricter one.

    Run the same command again to continue after an interruption. Other rows are added to the record in the folder.
    """
    if paper not in PAPERS:
        raise UnknownNameError.of("paper", paper, PAPERS)
    if seeds < 1:
        raise InvalidConfigError(f"--seeds {seeds}: must be at least 1")
    form = Form.of(as_json, quiet)
    folder = output_dir or Path("runs") / paper
    with seeds_bar(visible=form is Form.TABLE) as bar:
        progress = bar.add_task("starting", total=seeds, state="")
        from seqhub.experiments.hs97.card import summarize
        from seqhub.experiments.hs97.table import rows_of, run_rows  # slow, so imported under the progress bar
        from seqhub.sweeps.sweep import SweepInterrupted, SweepProgress

        def callback(row: "Row", stop: str, now: "SweepProgress | SweepRecord") -> None:
            if isinstance(now, SweepProgress):
                bar.update(progress, description=f"{row.name} {stop}", **bar_state(now))
            else:
                bar.console.print(_row_summary(row, stop, now))
                bar.reset(progress, description=f"{row.name} {stop} done", state="")

        chosen = rows_of([name.strip() for name in rows.split(",") if name.strip()])
        try:
            record = run_rows(
                chosen, folder, range(first_seed, first_seed + seeds), model=model, threads=threads, callback=callback
            )
        except SweepInterrupted:
            raise Stopped(f"stopped; run the same command to continue ({folder})") from None
        bar.update(progress, visible=False)
    path = folder / record.FILE_NAME
    recorded = [(row.name, record.rows[row.name]) for row in chosen]
    lines = [
        _cells(name, row, stop, summarize(row["results"][model][stop]))
        for name, row in recorded
        for stop in row["results"].get(model, {})  # networks without changes have no runs as written
    ]
    heads = ("row", "stop", "1997", "solved", "median", "range", "wrong tests")
    show(
        form,
        record.as_json(),
        brief=str(path),
        table=lambda console: console.print(grid(heads, lines, right=(2, 3, 4, 5, 6)), str(path), sep="\n"),
    )


def _row_summary(row: "Row", stop: str, done: "SweepRecord") -> str:
    """Return the summary of a row, printed when the row is done."""
    found, seeds = done.summary["criteria"]["paper"], done.summary["seeds"]
    text = f"{row.name} {stop}: {found['count']} of {seeds} solved"
    if found["count"]:
        text += f", median {found['median']:,.0f} ({found['least']:,} to {found['most']:,})"
    return f"{text}; {row.paper_sequences:,} in the paper"


def _cells(name: str, row: Mapping[str, Any], stop: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    counts, wrong = found["counts"], found["wrong"]
    sequences = (f"{found['median']:,.0f}", f"{counts[0]:,}–{counts[-1]:,}") if counts else ("–", "–")
    tests = f"{wrong[0]}–{wrong[-1]}" if wrong else "–"
    return name, stop, f"{row['sequences']:,}", f"{found['solved']} of {found['total']}", *sequences, tests
