"""Model cards: a run record and its task in, Markdown out. Nothing is trained, loaded or fetched here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from seqhub.cards import wording
from seqhub.cards.citations import bibliography
from seqhub.cards.rendering import NAMESPACE, fill, split_repo_id
from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.records import RunRecord
from seqhub.tasks.base import OWN, Example, Layout, TaskConfig
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import Split

_CAPTIONS = {
    "curves": "Loss and accuracy against the training sequences presented",
    "states": "Hidden and cell state over one test sequence, with the class probabilities after each step",
    "lengths": "Test accuracy with its 95 % interval against sequence length",
}
_INITIALIZATIONS = {
    "forget_bias": "a raised forget bias",
    "chrono": "chrono initialisation",
    "identity": "identity initialisation",
}
_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}


def render(record: RunRecord, *, repo_id: str | None = None, figures: Sequence[str] = ()) -> str:
    """The README.md of a model folder.

    Args:
        record: What the run left. Sections for which it holds no data are left out.
        repo_id: Where the folder is, or will be, published; `seqhub/<name of the run>` unless said otherwise. Its
            dataset is expected under the same namespace.
        figures: Pictures to show, as paths within the folder, in this order.

    Raises:
        InvalidInputError: `repo_id` is not `namespace/name`.
        UnknownNameError: The record is of a task or config that does not exist.
    """
    task, config = resolve(record.address)
    repo_id = repo_id or f"{NAMESPACE}/{record.name}"
    dataset_id = f"{split_repo_id(repo_id)[0]}/{task.name}"
    results = _by_config(record)
    layout = task.layout(config)
    record.require_metrics(layout.target)
    own_file = config is OWN
    if own_file:  # what the task does not know of a file, the record does
        layout, config = _of_file(record, layout)
    example = Example(record.probes[0], None) if own_file else Split(record.address, "test")[0]
    given = own_file or Split(record.address).size is not None
    start, rest = _start(layout, example.inputs)
    levels = _levels(results, [level.name for level in task.configs])
    main = next((split for split in ("test", "validation") if split in record.evaluation), None)
    return fill(
        "model_card",
        front_matter=_front_matter(record, dataset_id).to_yaml(),
        record=record,
        task=task,
        config=config,
        layout=layout,
        success=None if own_file else task.success(config),
        say=wording,
        auto_class=AUTO_CLASSES[layout.head],
        chance=None if own_file else task.chance(config),
        repo_id=repo_id,
        dataset_id=dataset_id,
        example=example,
        start=start,
        rest=rest,
        given=given,
        own_file=own_file,
        seen=given and task.splits_overlap(config),
        accuracy_is=wording.accuracy_is(layout, given),
        main=main,
        own={name: metrics for (level, name), metrics in results.items() if level == config.name},
        levels=levels,
        lengths_differ=len({tuple(metrics["length"]) for _, metrics in levels}) > 1,
        results=results,
        paper_sequences=task.paper_sequences.get(config.name),
        differences=_differences(record),
        figures=[(path, _caption(PurePosixPath(path).stem, record, layout)) for path in figures],
        bibliography=bibliography(task.source, record.model, str(record.model_config.get("initialization"))),
    )


def render_eval_results(record: RunRecord, *, repo_id: str | None = None) -> str:
    """The text of `.eval_results/seqhub.yaml`: test accuracies, as the Hub's leaderboards read them.

    Args:
        record: What the run left.
        repo_id: As for `render`.
    """
    task, config = resolve(record.address)
    layout = task.layout(config)
    namespace = split_repo_id(repo_id)[0] if repo_id else NAMESPACE
    entries = [
        EvalResultEntry(
            dataset_id=f"{namespace}/{task.name}",
            task_id=level,
            value=metrics["accuracy"],
            notes=f"accuracy on {wording.counted(layout, metrics)} of the test split (data seed {metrics['seed']}); "
            f"one model (training seed {record.seed}), trained on {record.address}",
        )
        for (level, split), metrics in _by_config(record).items()
        if split == "test"
    ]
    text: str = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
    return text


def _front_matter(record: RunRecord, dataset_id: str) -> ModelCardData:
    task, config = resolve(record.address)
    layout = task.layout(config)
    results = [
        EvalResult(
            task_type=wording.hub_task(layout),
            dataset_type=dataset_id,
            dataset_name=task.name,
            dataset_config=level,
            dataset_split=split,
            dataset_args={"seed": metrics["seed"], "rows": metrics["examples"]},
            metric_type=metric,
            metric_name=name,
            metric_value=metrics[metric],
        )
        for (level, split), metrics in _by_config(record).items()
        for metric, name in wording.measured(layout)
    ]
    return ModelCardData(
        model_name=record.name,
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag=wording.hub_task(layout),
        tags=["seqhub", "sequence-memory", task.name, record.model],
        datasets=[dataset_id],
        metrics=["accuracy", *(["mse"] if layout.tolerance else [])] if results else None,
        eval_results=results or None,
    )


def _caption(name: str, record: RunRecord, layout: Layout) -> str:
    """What a figure shows; of those that only one task has, their file says it: `input-and-output.png`."""
    if name == "states" and not (layout.target == "class" and record.model == "lstm"):
        return "State over one test sequence, under its input, and what is read out after each step"
    if name == "lengths" and layout.target in ("step_class", "next_symbol"):
        return "Test accuracy against sequence length"
    words = name.replace("-", " ")
    return _CAPTIONS.get(name) or words[:1].upper() + words[1:]


def _of_file(record: RunRecord, layout: Layout) -> tuple[Layout, TaskConfig]:
    """Classes and lengths of a run on a file of the user's, as far as it was measured."""
    parts = list(record.evaluation.values())
    lengths = [length for metrics in parts for length in metrics["length"]] or list(OWN.length)
    labels = tuple(parts[0]["per_class"]) if parts and layout.labels else layout.labels
    return replace(layout, labels=labels), replace(OWN, length=(min(lengths), max(lengths)))


def _start(layout: Layout, inputs: Any) -> tuple[str, int]:
    """The text that the example on the card is given, and how many symbols the model is to write after it.

    All of it and none, or its first third and the rest where the next symbol is the target.
    """
    if layout.alphabet is None:
        return "", 0
    if layout.target != "next_symbol":
        return str(inputs), 0
    symbols = layout.alphabet.split(inputs)
    given = -(-len(symbols) // 3)
    return layout.alphabet.separator.join(symbols[:given]), len(symbols) - given


def _by_config(record: RunRecord) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The evaluation by config and split: "test" is the test split of the run's own config."""
    _, config = resolve(record.address)
    return {
        (key.rpartition("/")[0] or config.name, key.rpartition("/")[2]): metrics
        for key, metrics in record.evaluation.items()
    }


def _levels(results: Mapping[tuple[str, str], Any], names: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Test metrics by config, in the order of the task file; empty unless there is more than one."""
    tested = [(name, results[name, "test"]) for name in names if (name, "test") in results]
    return tested if len(tested) > 1 else []


def _differences(record: RunRecord) -> list[str]:
    """What this run did that the experiments of 1997 did not."""
    batch_size = record.training.get("batch_size", 1)
    return [
        *([f"mini-batches of {batch_size}"] if batch_size > 1 else []),
        *([_OPTIMIZERS[name]] if (name := record.training.get("optimizer")) in _OPTIMIZERS else []),
        "a forget gate" if record.model == "lstm" else f"a `{record.model}` in place of an LSTM",
        *([_INITIALIZATIONS[name]] if (name := record.training.get("initialization")) in _INITIALIZATIONS else []),
    ]
