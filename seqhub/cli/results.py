"""The commands `seqhub evaluate`, `card` and `plot`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqhub.cli.options import AsJson, Quiet, TrustRemoteCode
from seqhub.cli.output import Form, grid, show, status
from seqhub.errors import InvalidInputError
from seqhub.tasks.ref import DISTRIBUTION, TaskRef

if TYPE_CHECKING:
    from seqhub.records import RunRecord
    from seqhub.tasks.schema import TaskSchema

Folder = Annotated[Path, typer.Argument(help="Folder of a finished run", show_default=False)]


def evaluate_command(
    folder: Folder,
    num_examples: Annotated[
        int | None, typer.Option(help="Number of validation and of test sequences", show_default="as published")
    ] = None,
    sibling_examples: Annotated[
        int, typer.Option(help="Number of test sequences of each other config of the task; 0 for none")
    ] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of the data; 0 for the published data")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="File that the run was trained on, if any", show_default="none")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task id, for a model of transformers.Trainer without run.json; run.json is written",
            show_default="as in run.json",
        ),
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate the model of a run.

    The metrics on unseen splits and other configs of the task are added to its record.
    """
    from seqhub.evaluation.evaluate import evaluate

    form = Form.of(as_json, quiet)
    with status("loading", visible=form is Form.TABLE) as update:
        record = evaluate(
            folder,
            num_examples=num_examples,
            sibling_examples=sibling_examples,
            seed=seed,
            data=data,
            callback=lambda part: update(f"evaluating on {part}"),
            task=task,
            trust_remote_code=trust_remote_code,
        )
    show(
        form,
        record.evaluation,
        brief=[f"{part}\t{metrics['accuracy']:.6f}" for part, metrics in record.evaluation.items()],
        table=lambda console: console.print(evaluation_table(record)),
    )


def evaluation_table(record: "RunRecord") -> object:
    """Return a table with one row for each split and the metrics of the task's target."""
    task, config = record.task.definition, record.task.config
    schema = task.schema(config)
    legal = ("legal",) if task.has_grammar and not record.task.is_custom else ()
    if schema.target == "multi_label":
        heads: tuple[str, ...] = ("split", "sequences", "micro F1", "95 % interval", "macro F1", "exact", "loss (nats)")
    elif schema.tolerance:
        within = f"within {schema.tolerance:g}"
        heads = ("split", "sequences", within, "95 % interval", "mean squared error")
    elif schema.target == "class":
        heads = ("split", "sequences", "accuracy", "95 % interval", "loss (nats)", "off by 0.3")
    elif schema.target == "sequence":
        heads = ("split", "sequences", "exact", "95 % interval", "tokens", "edits", "loss")
    elif schema.target == "step_class":
        heads = ("split", "sequences", "steps", "right", "scaled", "exact", "loss (nats)")
    else:
        heads = ("split", "sequences", "steps", "right", *legal, "exact", "loss (nats)")
    rows = [
        (shown_split(part, record.task), *_cells(metrics, schema.target, bool(legal)))
        for part, metrics in record.evaluation.items()
    ]
    return grid(heads, rows, right=tuple(i for i, head in enumerate(heads) if i and "interval" not in head))


def shown_split(part: str, task: TaskRef) -> str:
    """Return the name of a split in tables: without the config of the run, and without `/test` for test distributions.

    >>> [shown_split(part, TaskRef.parse("parity/every")) for part in ("test", "every@len256/test", "last/test")]
    ['test', '@len256', 'last/test']
    """
    return part.removeprefix(task.config_name).removesuffix("/test") if DISTRIBUTION in part else part


def _cells(metrics: Mapping[str, Any], target: str, grammar: bool) -> tuple[str, ...]:
    """Return the cells of one split, without its name."""
    sequences, accuracy, loss = f"{metrics['examples']:,}", f"{metrics['accuracy']:.2%}", f"{metrics['loss']:.4f}"
    if target == "step_class":
        scaled = f"{metrics['scaled']:.4f}" if "scaled" in metrics else "-"
        return sequences, f"{metrics['steps']:,}", accuracy, scaled, f"{metrics['whole']:,}", loss
    if target == "next_symbol":
        legal = (f"{metrics['legal']['accuracy']:.2%}" if "legal" in metrics else "-",) if grammar else ()
        return sequences, f"{metrics['steps']:,}", accuracy, *legal, f"{metrics['whole']:,}", loss
    low, high = metrics["micro_interval" if target == "multi_label" else "interval"]
    interval = f"{low:.2%} to {high:.2%}"
    if target == "sequence":
        return (
            sequences,
            accuracy,
            interval,
            f"{metrics['token_accuracy']:.2%}",
            f"{metrics['edit_distance']:.4f}",
            loss,
        )
    if target == "multi_label":
        return sequences, f"{metrics['micro_f1']:.2%}", interval, f"{metrics['macro_f1']:.2%}", accuracy, loss
    if target == "class":
        return sequences, accuracy, interval, loss, f"{metrics['abs_wrong']:,}"
    return sequences, accuracy, interval, f"{metrics['mse']:.3g}"


def plot_command(
    folder: Folder,
    text: Annotated[
        str | None, typer.Option(help="Sequence for the plot of states", show_default="the first test row")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plot the figures of a run.

    They show learning curves, states over one sequence and accuracy by sequence length.
    """
    paths = [str(path) for path in draw(folder, text, trust_remote_code=trust_remote_code)]
    show(Form.of(as_json, quiet), paths, brief=paths, table=lambda console: console.print("\n".join(paths)))


def draw(folder: Path, text: str | None = None, *, trust_remote_code: bool = False) -> list[Path]:
    """Write the figures of a run to its `figures` folder; figures that do not apply are omitted.

    Args:
        folder: Folder of a finished run.
        text: Sequence for the plot of states; None for the first test row.
        trust_remote_code: Consent to run the code of a wrapped module, see `evaluation.load.load_model`.

    Raises:
        InvalidInputError: A text for a task with real values, or with symbols that are not in its vocabulary.
    """
    from seqhub.evaluation.by_length import exact_match_by_length
    from seqhub.evaluation.introspect import load_tracer
    from seqhub.plots.accuracy_by_length import levels, plot_lengths
    from seqhub.plots.alignment import plot_alignment
    from seqhub.plots.attribution import plot_attribution
    from seqhub.plots.calibration import plot_calibration
    from seqhub.plots.confusion import plot_confusion
    from seqhub.plots.curves import plot_curves
    from seqhub.plots.exact_match_by_length import plot_exact_match
    from seqhub.plots.states import plot_states
    from seqhub.plots.tasks import draw_task_figures
    from seqhub.records import RunRecord
    from seqhub.training.history import read_history

    record = RunRecord.load(folder)
    task, schema = record.task.definition, record.schema
    title = f"{record.task}, {record.model}" + ("" if record.seed is None else f", seed {record.seed}")
    history = read_history(folder)
    if text is not None and schema.vocabulary is None:
        raise InvalidInputError(f"--text {text!r}: {record.task} has real values; omit the option")
    tracer = load_tracer(folder, trust_remote_code=trust_remote_code)
    trace = tracer(record.probes[0] if text is None else text)
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    written = []
    if trace.states:
        written.append(figures / "states.png")
        symbols = [] if schema.vocabulary is None else schema.vocabulary.split(trace.inputs)
        plot_states(
            symbols or trace.inputs,
            trace.states,
            written[-1],
            title=title,
            readout=trace.readout,
            labels=_readout_names(folder, schema),
            marked=[i for i, symbol in enumerate(symbols) if symbol in tuple(task.marked)],
        )
    if history:
        written.append(figures / "curves.png")
        plot_curves(
            history,
            written[-1],
            title=title,
            criteria=record.criteria,
            chance=record.task.chance,
            loss_unit=schema.loss_unit,
        )
    if trace.attention is not None:
        written.append(figures / "alignment.png")
        vocabulary = schema.vocabulary
        source = trace.inputs if vocabulary is None else vocabulary.split(trace.inputs)
        plot_alignment(source, trace.generated, trace.attention, written[-1], title=title)
    exact = exact_match_by_length(record)
    if len(exact) > 1:
        written.append(figures / "lengths.png")
        plot_exact_match(exact, written[-1], title=f"{record.name}: exact match by length of the source")
    elif levels(record):
        written.append(figures / "lengths.png")
        plot_lengths(record, written[-1])
    tested: Any = record.evaluation.get("test", {})
    if record.task.is_custom and "confusion" in tested:
        written.append(figures / "confusion.png")
        plot_confusion(tested["confusion"], schema.labels, written[-1], title=f"{title}: test rows")
    if "calibration" in tested:
        written.append(figures / "calibration.png")
        plot_calibration(tested["calibration"], written[-1], title=f"{title}: test rows")
    if record.task.is_custom and trace.saliency is not None:
        written.append(figures / "attribution.png")
        channels, output = _channel_names(record, trace.saliency.shape[1]), _output_name(schema, trace.logits)
        plot_attribution(trace.inputs, trace.saliency, channels, written[-1], title=title, output=output)
    return written + draw_task_figures(figures, record, tracer)


def _channel_names(record: "RunRecord", number: int) -> list[str]:
    """Return the names of the values of a step: columns if there is one for each channel, and the marks of gaps."""
    reading = record.data.get("reading", {})
    channels = len(reading.get("features", {}).get("center", range(number)))
    inputs = list(reading.get("inputs", ()))
    names = inputs if len(inputs) == channels else [f"value {place}" for place in range(channels)]
    return names + [f"{name} missing" for name in names] if number == 2 * channels else names


def _output_name(schema: "TaskSchema", logits: Any) -> str:
    if schema.target == "number":
        return "predicted number"
    from seqhub.plots.style import class_names

    return f"score of the class {class_names(schema.labels)[int(logits.argmax())]!r}" if len(logits) > 1 else "score"


def _readout_names(folder: Path, schema: "TaskSchema") -> tuple[str, ...]:
    """Return the classes or symbols that the head of a run scores, with padding; none for a number."""
    import json

    if schema.target == "next_symbol":
        vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        return tuple(sorted(vocabulary, key=vocabulary.get))
    if not schema.labels:
        return ()
    names = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
    return tuple(names.values()) if len(names) > 1 else schema.labels


def card_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run or a built dataset", show_default=False)],
    repo: Annotated[
        str | None,
        typer.Option(help="Repository that the card names; `seqhub push` sets it, too", show_default="the folder"),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Repository of the dataset of a run", show_default="none")] = None,
    license_name: Annotated[
        str | None, typer.Option("--license", help="Licence of the model of a run, as in mit", show_default="none")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the card of a run or dataset.

    The card, README.md, is rendered from the record in the folder.
    """
    from seqhub.cards.write import write_card

    paths = [str(path) for path in write_card(folder, repo, dataset_id=dataset, license=license_name)]
    show(Form.of(as_json, quiet), paths, brief=paths, table=lambda console: console.print("\n".join(paths)))
