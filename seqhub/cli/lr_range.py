"""The `seqhub lr-range` command."""

from pathlib import Path
from typing import Annotated, Any

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show, status
from seqhub.cli.train import DataOption, ModelOption, RecipeName, configured, with_settings
from seqhub.models.ids import ModelId

# Settings that the test sets itself, or that have no effect in it
_FIXED = {
    "learning_rate", "schedule", "warmup", "decay", "decay_every", "error_reference", "error_floor", "epochs",
    "max_sequences", "stop_at", "criterion_scale", "allowed_wrong", "accuracy", "evaluate_every", "evaluate_size",
    "checkpoint_every",
}  # fmt: skip


def lr_range_command(
    task: Annotated[str, typer.Argument(help="Task id, as in qrsu/hard", show_default=False)],
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to write", show_default="lr-range-TASK-CONFIG-MODEL.png")
    ] = None,
    lowest: Annotated[float, typer.Option(help="Learning rate of the first step")] = 1e-5,
    highest: Annotated[float, typer.Option(help="Learning rate of the last step")] = 10.0,
    steps: Annotated[int, typer.Option(help="Number of optimizer steps, unless the loss diverges earlier")] = 200,
    recipe_name: RecipeName = "solve",
    model_option: ModelOption = None,
    data_option: DataOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    **options: Any,
) -> None:
    """Run a learning-rate range test.

    The learning rate rises at each step of a run with the settings of `seqhub train`, and the loss is plotted. The run
    is not saved.
    """
    config = configured(task, recipe_name, model_option, data_option, options)
    path = picture or Path(f"lr-range-{config.task.slug}-{ModelId.parse(config.model).short}.png")
    form = Form.of(as_json, quiet)
    with status(f"{config.task} {config.model}", visible=form is Form.TABLE):
        from seqhub.plots.lr_range import plot_rates
        from seqhub.sweeps.lr_range import lr_range, steepest

        losses = lr_range(config, lowest=lowest, highest=highest, steps=steps)
    best = steepest(losses)
    falls = None if best is None else best.learning_rate
    plot_rates(
        [step.learning_rate for step in losses],
        [step.loss for step in losses],
        [step.smoothed for step in losses],
        path,
        title=f"{config.task}, {config.model}, seed {config.seed}: learning-rate range test",
        loss_unit=config.task.schema.loss_unit,
        marked=falls,
    )
    result = {"picture": str(path), "falls_fastest_at": falls, "steps": [vars(step) for step in losses]}
    rows = [
        ("loss falls fastest at", "nowhere" if falls is None else f"{falls:.3g}"),
        ("lowest at", f"{min(losses, key=lambda step: step.smoothed).learning_rate:.3g}"),
        ("ended at", f"{losses[-1].learning_rate:.3g}, after {len(losses)} of {steps} steps"),
        ("picture", str(path)),
    ]
    show(
        form, result, brief=str(path), table=lambda console: console.print(grid((str(config.task), config.model), rows))
    )


lr_range_command = with_settings(lr_range_command, without=_FIXED)
