"""The `seqhub sweep` command."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.errors import Stopped
from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, plain_warnings, progress_bar, show, stderr
from seqhub.cli.train import (
    DataOption,
    ModelOption,
    RecipeName,
    configured,
    named_value,
    with_settings,
)
from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.tasks.ref import FILE
from seqhub.training.configure import default_folder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from seqhub.records import SweepRecord
    from seqhub.sweeps.sweep import SweepProgress

ENGINES = ("local", "submitit")
_FIXED = {"seed", "threads", "checkpoint_every"}  # set by the sweep itself


def sweep_command(
    task: Annotated[
        str, typer.Argument(help="Task id, as in qrsu/hard, or a file of your own rows", show_default=False)
    ],
    seeds: Annotated[int, typer.Option(help="Number of seeds")] = 10,
    first_seed: Annotated[int, typer.Option(help="First seed; the others follow it")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="Number of runs at a time", show_default="the number of cores")
    ] = None,
    test_rows: Annotated[
        int, typer.Option(help="Number of test sequences for each model, the same for all seeds; 0 for none")
    ] = 2_560,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder of the sweep", show_default="runs/TASK-CONFIG-MODEL-sweep")
    ] = None,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep weights, config and tokenizer of each seed")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue with the seeds that are missing or have failed")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, or submitit for jobs on a SLURM cluster with a shared folder")
    ] = "local",
    jobs: Annotated[int, typer.Option(help="Number of jobs that submitit distributes the seeds to")] = 1,
    job_option: Annotated[
        list[str] | None,
        typer.Option(metavar="<str>", help="NAME=VALUE for submitit, as in slurm_partition=cpu; may be repeated"),
    ] = None,
    recipe_name: RecipeName = "solve",
    model_option: ModelOption = None,
    data_option: DataOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    **options: Any,
) -> None:
    """Train a model from many seeds.

    Runs are trained in parallel, and a record summarises them.
    """
    if engine not in ENGINES:
        raise UnknownNameError.of("engine", engine, ENGINES)
    for name, given in (("--jobs", jobs != 1), ("--job-option", job_option)):
        if given and engine != "submitit":
            raise InvalidConfigError(f"{name} with --engine {engine}: only for --engine submitit")
    if seeds < 1:
        raise InvalidConfigError(f"--seeds {seeds}: must be at least 1")
    config = configured(task, recipe_name, model_option, data_option, options | {"output_dir": output_dir})
    if output_dir is None:
        rows = config.file if config.task.name == FILE else None
        run_folder = default_folder(config.task, config.model, 0, rows)
        config = replace(config, output_dir=run_folder.with_name(f"{run_folder.name}-sweep"))
    form = Form.of(as_json, quiet)
    with seeds_bar(visible=form is Form.TABLE) as bar:
        progress = bar.add_task(f"{config.task} {config.model}", total=seeds, state="starting")
        from seqhub.sweeps.slurm import Cluster  # slow, so imported under the progress bar
        from seqhub.sweeps.sweep import SweepInterrupted, run_locally, sweep
        from seqhub.training.native_loop import reason_not_native

        reason = reason_not_native(config)
        if reason is not None and form is Form.TABLE:
            stderr().print(f"not native, so slower, with one process for each run: {reason}")

        def callback(now: "SweepProgress") -> None:
            bar.update(progress, **bar_state(now))

        try:
            with plain_warnings():
                record = sweep(
                    config,
                    range(first_seed, first_seed + seeds),
                    threads=threads,
                    test_rows=test_rows,
                    keep_models=keep_models,
                    resume=resume,
                    run=Cluster(jobs, dict(map(named_value, job_option or ())))
                    if engine == "submitit"
                    else run_locally,
                    callback=callback,
                )
        except SweepInterrupted as stop:
            raise Stopped(f"{stop} ({config.output_dir})") from None
    show(
        form,
        record.as_json(),
        brief=str(config.output_dir),
        table=lambda console: _summary(console, record, config.output_dir),
    )


def seeds_bar(visible: bool) -> "AbstractContextManager[Progress]":
    """Return a progress bar that counts finished seeds and shows `bar_state`."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    texts = TextColumn("{task.description}"), TextColumn("{task.fields[state]}")
    columns = SpinnerColumn(), texts[0], BarColumn(24), MofNCompleteColumn(), texts[1], TimeElapsedColumn()
    return progress_bar(*columns, visible=visible)


def bar_state(now: "SweepProgress") -> dict[str, Any]:
    """Return the progress of a sweep for `seeds_bar`."""
    failed = f", {now.failed:,} failed" if now.failed else ""
    return {"completed": now.done + now.failed, "state": f"{now.solved:,} of {now.done:,} solved{failed}"}


def _summary(console: "Console", record: "SweepRecord", folder: Path) -> None:
    """Print one row for each criterion and test metric, then failures and times."""
    summary = record.summary
    heads = (f"{record.task} {record.model}", "seeds", "median", "mean", "min", "max")
    rows = [
        (f"sequences to {name}", *_cells(values, summary["seeds"], "{:,.0f}"))
        for name, values in summary["criteria"].items()
    ]
    rows += [
        (f"test {name.replace('_', ' ')}", *_cells(values, summary["seeds"], "{:.4g}"))
        for name, values in summary["test"].items()
    ]
    console.print(grid(heads, rows, right=(1, 2, 3, 4, 5)))
    for seed, reason in record.failed.items():
        console.print(f"seed {seed} failed: {reason}")
    times = f"{record.timings['runs']:.1f} s of runs"
    if "wall" in record.timings:
        times += f" in {record.timings['wall']:.1f} s, {record.threads} at a time"
    console.print(f"{summary['solved']} of {summary['seeds']} seeds solved ({', '.join(record.solved_by)}); {times}")
    console.print(str(folder))


def _cells(values: Mapping[str, Any], seeds: int, form: str) -> tuple[str, ...]:
    numbers = [values[name] for name in ("median", "mean", "least", "most")]
    return f"{values['count']} of {seeds}", *("-" if number is None else form.format(number) for number in numbers)


sweep_command = with_settings(sweep_command, without=_FIXED)
