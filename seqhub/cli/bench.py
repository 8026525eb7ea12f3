"""The `seqhub bench` command."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.errors import Stopped
from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, progress_bar, show
from seqhub.cli.train import named_value
from seqhub.errors import InvalidConfigError, UnknownNameError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from seqhub.experiments.bench.engines import Engine
    from seqhub.experiments.bench.run import BenchProgress, Estimate
    from seqhub.records import BenchRecord

ENGINES = ("processes", "submitit", "ray")
_GRID = (
    *("models", "tasks", "params", "budget", "budgets", "seeds", "tuning_seeds", "learning_rates", "rows"),
    "recipes",  # only in the file
)
_EXECUTION = ("engine", "jobs", "job_option", "ray_address", "max_hours", "out")


def bench_command(
    grid_file: Annotated[
        Path | None, typer.Argument(metavar="[GRID.toml]", help="File with options", show_default=False)
    ] = None,
    models: Annotated[str | None, typer.Option(help="Model ids, separated by commas", show_default=False)] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Task ids, separated by commas, the most important first", show_default=False)
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(
            help="Numbers of parameters without embedding and head, as in 50k,500k", show_default="that of each model"
        ),
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Training tokens of each run", show_default="5M")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds of the results", show_default="5")] = None,
    tuning_seeds: Annotated[
        int | None, typer.Option(help="Number of seeds that choose the learning rate", show_default="1")
    ] = None,
    learning_rates: Annotated[
        str | None, typer.Option(help="Learning rates to choose from", show_default="0.001,0.003,0.01")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Number of rows of each validation or test distribution", show_default="1000")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the benchmark", show_default="bench")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Where cells run: processes, submitit or ray", show_default="processes")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Number of cells at a time, or of jobs", show_default="all cores, or 1"),
    ] = None,
    job_option: Annotated[
        list[str] | None,
        typer.Option(metavar="<str>", help="NAME=VALUE for submitit, as in slurm_partition=cpu; may be repeated"),
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Ray cluster", show_default="a new one on this machine")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(help="Estimated hours above which the last tasks are omitted", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue or extend the benchmark in the folder")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure the speed of each model, and count cells and hours only")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare models on tasks with equal budgets.

    Each model is trained on each task from several seeds, with a learning rate that other seeds chose. The folder gets
    a table, figures and the result of each cell.
    """
    given = {
        "models": models, "tasks": tasks, "params": params, "budget": budget, "seeds": seeds,
        "tuning_seeds": tuning_seeds, "learning_rates": learning_rates, "rows": rows, "out": out, "engine": engine,
        "jobs": jobs, "job_option": job_option, "ray_address": ray_address, "max_hours": max_hours,
    }  # fmt: skip
    form = Form.of(as_json, quiet)
    with _cells_bar(visible=form is Form.TABLE) as bar:
        progress = bar.add_task("starting", total=None, state="")
        from seqhub.experiments.bench.grid import Grid, read_grid  # slow, so imported under the progress bar
        from seqhub.experiments.bench.run import bench, estimate

        values = {} if grid_file is None else read_grid(grid_file, (*_GRID, *_EXECUTION))
        values |= {name: value for name, value in given.items() if value is not None}
        folder = Path(_text("out", values.get("out", "bench")))
        hours = values.get("max_hours")
        if hours is not None and not (isinstance(hours, (int, float)) and hours > 0):
            raise InvalidConfigError.of("max_hours", hours, "a number above 0")
        chosen = Grid.of({name: value for name, value in values.items() if name in _GRID})
        runner = _engine(values)
        if dry_run:
            found = estimate(chosen, folder, runner, hours)
            bar.update(progress, visible=False)
        else:

            def callback(now: "BenchProgress") -> None:
                failed = f", {now.failed:,} failed" if now.failed else ""
                state = f"{now.cell}{failed}"
                bar.update(progress, description=now.stage, total=now.total, completed=now.done, state=state)

            try:
                record = bench(chosen, folder, runner, resume=resume, max_hours=hours, callback=callback)
            except KeyboardInterrupt:  # also between two stages
                raise Stopped(
                    f"stopped; finished cells are kept; to continue, run the same command with --resume ({folder})"
                ) from None
            bar.update(progress, visible=False)
    if dry_run:
        show(
            form,
            {"cells": found.cells, "finished": found.finished, "hours": found.hours}
            | {"omitted": list(map(_unit, found.omitted)), "failed": {_unit(u): r for u, r in found.failed.items()}},
            brief=f"{found.hours:.3g}",
            table=lambda console: _print_estimate(console, found),
        )
        return
    show(form, record.as_json(), brief=str(folder), table=lambda console: _print_rows(console, record, folder))


def _engine(values: dict[str, Any]) -> "Engine":
    """Return the engine of the options; those of another engine are errors."""
    from seqhub.experiments.bench.engines import Processes, Ray, Submitit

    name = _text("engine", values.get("engine", "processes"))
    if name not in ENGINES:
        raise UnknownNameError.of("engine", name, ENGINES)
    for option, owner in (("job_option", "submitit"), ("ray_address", "ray")):
        if option in values and name != owner:
            raise InvalidConfigError(f"--{option.replace('_', '-')} with --engine {name}: only for --engine {owner}")
    jobs = values.get("jobs")
    if jobs is not None and not (type(jobs) is int and 1 <= jobs <= 10_000):
        raise InvalidConfigError.of("jobs", jobs, "1 to 10,000")
    if name == "submitit":
        options = values.get("job_option", [])
        options = [options] if isinstance(options, str) else options
        return Submitit(jobs or 1, dict(map(named_value, options)))
    if name == "ray":
        address = values.get("ray_address")
        if address is not None and jobs is not None:
            raise InvalidConfigError("--jobs with --ray-address: the cluster decides how many cells run at a time")
        return Ray(None if address is None else _text("ray_address", address), jobs)
    return Processes(jobs)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, (str, Path)):
        raise InvalidConfigError.of(name, value, "a text")
    return str(value)


def _cells_bar(visible: bool) -> "AbstractContextManager[Progress]":
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    texts = TextColumn("{task.description}"), TextColumn("{task.fields[state]}")
    columns = SpinnerColumn(), texts[0], BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), texts[1]
    return progress_bar(*columns, visible=visible)


def _unit(unit: Any) -> str:
    size = "" if unit.params is None else f" {unit.params:,}"
    return f"{unit.task} {unit.model}{size}"


def _print_estimate(console: "Console", found: "Estimate") -> None:
    lines = [(stage, f"{count:,}", f"{found.finished[stage]:,}") for stage, count in found.cells.items()]
    console.print(grid(("stage", "cells", "finished"), lines, right=(1, 2)))
    for unit, reason in found.failed.items():
        console.print(f"{_unit(unit)} failed: {reason}")
    for unit in found.omitted:
        console.print(f"{_unit(unit)} is omitted because of --max-hours")
    console.print(f"at most about {found.hours:.3g} hours, by the measured speeds; solved runs end early")


def _print_rows(console: "Console", record: "BenchRecord", folder: Path) -> None:
    """Print one row for each model and distribution, then failures."""
    lines = []
    for row in record.rows:
        for name, result in row["distributions"].items():
            task = row["task"] if name == "test" else f"{row['task']}@{name}"
            spread = result["score"]
            numbers = [spread[each] for each in ("median", "least", "most")]
            texts = ["–" if number is None else f"{number:.3f}" for number in numbers]
            lines.append((task, row.get("sized_model", row["model"]), *texts, f"{result['solved']}/{result['seeds']}"))
    if lines:
        heads = ("task", "model", "score", "least", "most", "solved")
        console.print(grid(heads, lines, right=(2, 3, 4, 5)))
    for row in record.rows:
        for what, reason in row["failed"].items():
            console.print(f"{row['task']} {row['model']}: {what} failed: {reason}")
    console.print(str(folder / "README.md"))
