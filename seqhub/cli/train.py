"""The command line of a run: `seqhub train` and `python -m seqhub.training`, with or without a launcher."""

import inspect
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.errors import USER_MISTAKE, Stopped
from seqhub.cli.file_summary import summary_rows
from seqhub.cli.output import Form, grid, plain_warnings, progress_bar, show, status, stderr
from seqhub.errors import InvalidConfigError
from seqhub.models.ids import ModelId
from seqhub.tasks.ref import FILE
from seqhub.training.config import TrainConfig, settings
from seqhub.training.configure import configure
from seqhub.training.launch import PeerFailedError, launch, notes_on_settings
from seqhub.training.recipes import RECIPES

if TYPE_CHECKING:
    from rich.console import Console

    from seqhub.records import RunRecord
    from seqhub.training.state import TrainerState

# Settings with options of their own below; `metavar` keeps the type column narrow, so that names are not cut off
_OWN = {"task", "output_dir", "trackers", "record", "model_options", "data_options"}

_FLAGS = {  # without a --no- form, or with another name
    "trust_remote_code": ("--trust-remote-code",),
    "balanced_sampling": ("--balanced-sampling",),
    "base_model": ("--from",),
}

RecipeName = Annotated[
    str, typer.Option("--recipe", help=f"Settings that replace the defaults below: {' or '.join(RECIPES)}")
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="<str>", help="NAME=VALUE of another field of the model's config class; may be repeated"),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(metavar="<str>", help="NAME=VALUE for reading the file of --data, as in label=stars; may be repeated"),
]


_MOST_CLASSES = 30  # in the table of classes
_FILE = "A file of your own rows"  # panel of the help

FILE_OPTIONS: dict[str, tuple[Any, str]] = {  # name -> type and help, see `data.file_kinds.FileOptions`
    "kind": (
        str,
        "Kind of rows: text or series, and -class, -number, -multi-label, -numbers, -step-class, -next-symbol or "
        "-sequence, as in text-class",
    ),
    "inputs": (list[str], "Column of texts or series; repeated for the channels or the steps of a series"),
    "target": (list[str], "Column of the labels or numbers to be predicted; repeated for several labels or numbers"),
    "tokens": (str, "Symbols of a text: characters, words, or the folder or repository of a tokenizer"),
    "max_vocab": (int, "Largest number of different symbols; rarer ones are unknown"),
    "min_count": (int, "Smallest number of occurrences of a symbol in the training rows"),
    "max_length": (int, "Number of steps after which a sequence is cut off"),
    "missing": (str, "Missing values in series: refuse, mask, last, mean or zero"),
    "scale": (str, "Scaling of series by the training rows: standard, robust or none"),
    "group": (str, "Column whose equal values stay in the same split, as in patient"),
    "time": (str, "Column that orders the rows: the earliest are for training, the latest for the test"),
    "id": (str, "Column whose equal values are the steps of one series, in a table with one step in each row"),
    "order": (str, "Column that orders the steps of an --id; by default the order of the file"),
    "separator": (str, "Separator of the values in a line of a CSV file"),
    "header": (str, "Line of a CSV file with the names of the columns: first or none"),
    "label_separator": (str, "Separator of the labels in a cell of the --target column, as in ';'"),
}
_CHOSEN = ("kind", "inputs", "target", "tokens")
_METAVARS = {list[str]: "<str>"}
_FILE_DEFAULTS = {
    "max_vocab": "20000",
    "missing": "refuse",
    "scale": "standard",
    "header": "first",
}  # others: chosen by the content


def with_file_options(command: Any) -> Any:
    """Add the options for reading a file of rows to a command, which gets them among its other options."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    rest = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    added = []
    for name, (kind, text) in FILE_OPTIONS.items():
        shown = _FILE_DEFAULTS.get(name, "chosen by the content" if name in _CHOSEN else False)
        option = typer.Option(help=text, show_default=shown, rich_help_panel=_FILE, metavar=_METAVARS.get(kind))
        parameter = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
        )
        added.append(parameter)
    command.__signature__ = signature.replace(parameters=[*own, *added, *rest])
    command.__annotations__ |= {p.name: p.annotation for p in added}
    return command


def train_command(
    task: Annotated[
        str, typer.Argument(help="Task id, as in qrsu/hard, or a file of your own rows", show_default=False)
    ],
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of this run", show_default="runs/TASK-CONFIG-MODEL or runs/FILE-MODEL"),
    ] = None,
    recipe_name: RecipeName = "solve",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the checkpoint in the folder, if there is one")
    ] = False,
    tracker: Annotated[
        list[str] | None,
        typer.Option(metavar="<str>", help="Tracker besides history.jsonl: tensorboard or trackio; may be repeated"),
    ] = None,
    recorded: Annotated[
        list[str] | None,
        typer.Option(
            "--record",
            metavar="<str>",
            help="Norms to record in history.jsonl: gradients or activations; may be repeated",
        ),
    ] = None,
    model_option: ModelOption = None,
    data_option: DataOption = None,
    params: Annotated[
        str | None,
        typer.Option(help="Choose the width for this number of parameters without embedding and head, as in 50k"),
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Choose the width for this number of values in the state of a sequence, as in 4k")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folder")] = False,
    **options: Any,
) -> None:
    """Train a model on a task.

    The run ends when a stopping criterion is met. On several GPUs: accelerate launch -m seqhub.training qrsu/hard
    """
    form = Form.of(as_json, quiet)
    own = {"output_dir": output_dir, "trackers": tuple(tracker or ()), "record": tuple(recorded or ())}
    with status(f"reading {task}", visible=form is Form.TABLE and launch().rank == 0):  # a large file takes minutes
        config = configured(task, recipe_name, model_option, data_option, options | own)
    if params is not None or state is not None:
        in_id = dict(ModelId.parse(options.get("model") or "lstm").options).get("hidden_size")
        config = _sized(config, params, state, options.get("hidden_size") or in_id)
    if config.task.name == FILE and form is Form.TABLE and launch().rank == 0:
        from seqhub.training.dataloaders import data_source

        source = data_source(config)
        stderr().print(grid((source.name, ""), summary_rows(source)))
    record = run(config, resume=resume, visible=form is Form.TABLE)
    if record is not None:  # the main process
        show(
            form,
            record.as_json(),
            brief=str(config.output_dir),
            table=lambda console: _summary(console, record, config.output_dir),
        )


def _sized(config: TrainConfig, params: str | None, state: str | None, hidden_size: int | None) -> TrainConfig:
    """Return the settings with the width of the model for `--params` or `--state`."""
    from seqhub.models.sizing import whole_number
    from seqhub.training.model_setup import with_size

    given = {"params": params, "state": state, "hidden_size": hidden_size, "from": config.base_model}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise InvalidConfigError(f"{' and '.join(chosen)}: each sets the width of the model; give one of them")
    if params is not None:
        return with_size(config, whole_number("params", params), "parameters")
    return with_size(config, whole_number("state", state), "state")


def configured(
    task: str,
    recipe_name: str,
    model_option: list[str] | None,
    data_option: list[str] | None,
    options: Mapping[str, Any],
) -> TrainConfig:
    """Return the settings of a command line: given options (not None), then the recipe, then the defaults."""
    given = {name: value for name, value in options.items() if value is not None}
    chosen = {name: given.pop(name) for name in FILE_OPTIONS if name in given}
    if "freeze" in given:
        given["freeze"] = tuple(given["freeze"])
    return configure(
        task,
        recipe_name=recipe_name,
        kind=chosen.pop("kind", None),
        data_options=dict(map(named_value, data_option or ())) | chosen,
        model_options=dict(map(named_value, model_option or ())),
        **given,
    )


def named_value(text: str) -> tuple[str, Any]:
    """Return name and value of `NAME=VALUE`; the value is parsed as JSON if possible.

    >>> named_value("pooling=mean"), named_value("step_shape=[2, 2]")
    (('pooling', 'mean'), ('step_shape', [2, 2]))
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidConfigError(f"option {text!r}; must be NAME=VALUE, as in pooling=mean")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def run(config: TrainConfig, *, resume: bool, visible: bool) -> "RunRecord | None":
    """Train with a progress bar if `visible`; of several processes only the main one prints."""
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[state]}"))
    started = launch()
    main_process = started.rank == 0
    notes = notes_on_settings(config.precision, config.cpu, config.threads)
    with progress_bar(*columns, TimeElapsedColumn(), visible=visible and main_process) as bar:
        task = bar.add_task(f"{config.task} {config.model}", total=1.0, state="starting")
        from seqhub.training.runtime import has_accelerator
        from seqhub.training.train import TrainingInterrupted, train  # slow, so imported under the progress bar

        if started.size > 1 and not config.cpu and not has_accelerator():
            notes.append(f"no GPU was found; {started.size} processes train on the CPU, as with --cpu")
        if main_process:
            for note in notes:
                stderr().print(f"note: {note}")

        def callback(now: "TrainerState") -> None:
            state = f"accuracy {now.validation_accuracy:.1%}, {now.sequences:,} sequences, loss {now.loss:.3f}"
            bar.update(task, completed=now.validation_accuracy, state=state)

        try:
            with plain_warnings():
                return train(config, resume=resume, callback=callback)
        except TrainingInterrupted as stop:
            raise Stopped(f"{stop} ({config.output_dir})" if main_process else "") from None
        except PeerFailedError as error:
            if str(error):
                raise
            raise SystemExit(USER_MISTAKE) from None  # the other process has printed the error
        except (MemoryError, RuntimeError) as error:
            is_memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
            if not is_memory and "out of memory" not in str(error):
                raise
            sizes = ("hidden_size", "num_hidden_layers", "batch_size")
            given = ", ".join(f"{name}={value}" for name in sizes if (value := getattr(config, name)) is not None)
            raise InvalidConfigError(f"{given}: too large for the memory of this machine ({config.task})") from error


def _summary(console: "Console", record: "RunRecord", folder: Path) -> None:
    from seqhub.records.class_scores import class_scores_of, macro_f1
    from seqhub.records.comparison import compare_with_baselines

    comparison, confusion = compare_with_baselines(record), None
    if comparison is None:
        rows = [
            (name, f"after {met:,} training sequences" if met else "not met") for name, met in record.criteria.items()
        ]
    else:
        rows = [(f"{comparison.split} rows", comparison.metric)]
        rows += [(name, comparison.shown(name)) for name in comparison.values]
        confusion = record.evaluation[comparison.split].get("confusion")
        if confusion is not None:
            rows.append(("macro F1", f"{macro_f1(confusion):.2%}"))
        if "per_label" in record.evaluation[comparison.split]:
            metrics: Any = record.evaluation[comparison.split]
            rows += [("macro F1", f"{metrics['macro_f1']:.2%}"), ("exact match", f"{metrics['accuracy']:.2%}")]
    if record.best is not None:
        at = f"after {record.best['sequences']:,.0f} training sequences"
        rows.append(("lowest validation loss", f"{record.best['loss']:.4g}, {at}; these weights are saved"))
    if (base := record.base_model) is not None:
        frozen = f", {len(base['frozen'])} of its parameters not trained" if base["frozen"] else ""
        outputs = "new outputs" if base["new"] else "the same outputs"
        rows.append(("base model", f"{base['name']}, {outputs}{frozen}"))
    rows.append(("training", f"{record.sequences_seen:,} sequences in {record.timings['train']:.1f} s"))
    rows.append(("parameters", f"{record.num_parameters:,}"))
    rows.append(("folder", str(folder)))
    console.print(grid((f"{record.task} {record.model}", f"seed {record.seed}"), rows))
    if comparison is not None:
        names = record.schema.labels
        if confusion is not None and len(names) <= _MOST_CLASSES:
            heads = ("class", f"{comparison.split} rows", "recall", "precision", "F1")
            scores = zip(names, class_scores_of(confusion), strict=True)
            cells = [(name, f"{each.rows:,}", *(_share(value) for value in each[1:])) for name, each in scores]
            console.print(grid(heads, cells, right=(1, 2, 3, 4)))
        _summary_of_several(console, record, comparison.split)
        console.print(comparison.sentence)


def _summary_of_several(console: "Console", record: "RunRecord", split: str) -> None:
    """Print the scores of each of several labels or numbers."""
    from seqhub.records.class_scores import label_scores_of

    metrics: Any = record.evaluation[split]
    if 0 < len(metrics.get("per_label", ())) <= _MOST_CLASSES:
        heads = ("label", f"{split} rows", "recall", "precision", "F1")
        scores = zip(metrics["per_label"], label_scores_of(metrics["per_label"]), strict=True)
        cells = [(name, f"{each.rows:,}", *(_share(value) for value in each[1:])) for name, each in scores]
        console.print(grid(heads, cells, right=(1, 2, 3, 4)))
    if 0 < len(metrics.get("per_number", ())) <= _MOST_CLASSES:
        units = record.data["reading"]["target_deviation"]
        numbers = [
            (name, f"{each['mean_absolute_error'] * unit:.4g}", f"{each['r2']:.3f}")
            for (name, each), unit in zip(metrics["per_number"].items(), units, strict=True)
        ]
        console.print(grid(("number", "mean absolute error", "R2"), numbers, right=(1, 2)))


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2%}"


def with_settings(command: Any, without: Collection[str] = ()) -> Any:
    """Add one option for each setting of `TrainConfig` to a command, with its name, text and default."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    added = []
    for name, kind, text, default in settings():
        if name in _OWN or name in without or default is MISSING:
            continue
        plain = next((t for t in (bool, int, float) if t in (kind, *getattr(kind, "__args__", ()))), str)
        several = kind == tuple[str, ...]
        annotated: Any = list[str] if several else plain
        shown = False if default is None and "default" in text else str(default).lower()
        flags = _FLAGS.get(name, ())
        option = typer.Option(
            *flags, help=text, show_default=shown and not several, metavar="<str>" if several else None
        )
        added.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotated | None, option]
            )
        )
    command.__signature__ = signature.replace(parameters=[*own, *added])
    command.__annotations__ |= {p.name: p.annotation for p in added}
    return command


train_command = with_settings(with_file_options(train_command))
