"""Model cards, rendered from the record of a run. Nothing is trained, loaded or fetched here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from seqhub.cards import text
from seqhub.cards.citations import bibliography
from seqhub.cards.rendering import fill, place, split_repo_id
from seqhub.models.ids import ModelId
from seqhub.models.registry import HEADS as AUTO_CLASSES
from seqhub.records import RunRecord
from seqhub.records.comparison import compare_with_baselines
from seqhub.tasks.ref import FILE
from seqhub.tasks.schema import Example, TaskConfig, TaskSchema
from seqhub.tasks.splits import Split

_CAPTIONS = {
    "curves": "Loss and accuracy against the training sequences presented",
    "states": "Hidden and cell state over one test sequence, with the class probabilities after each step",
    "confusion": "How often each class was predicted on the test rows, as shares of each target",
    "calibration": "Share of right predictions on the test rows against the probability of the predicted class",
    "attribution": "Gradient times input of each value of one test row, and its sum for each channel",
    "lengths": "Test accuracy with its 95 % interval against sequence length",
    "alignment": "Attention of each generated symbol to the steps of a test sequence",
}
_INITIALIZATIONS = {
    "forget_bias": "a raised forget bias",
    "chrono": "chrono initialisation",
    "identity": "identity initialisation",
}
_SHOWN_STEPS = 3  # of a series in the code on the card
_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}


def render(
    record: RunRecord,
    *,
    repo_id: str | None = None,
    folder: str | None = None,
    dataset_id: str | None = None,
    license: str | None = None,
    figures: Sequence[str] = (),
) -> str:
    """Return the README.md of a model folder.

    Args:
        record: Record of the run. Sections that it has no data for are omitted.
        repo_id: Repository that the folder is or will be published as; None for a card that is read in the folder.
        folder: Path of the folder, relative to where the code on the card is run; default `./<name of the run>`.
        dataset_id: Repository of the dataset, if there is one.
        license: Licence of the model, as the Hub spells it; None if none was given.
        figures: Paths of the figures within the folder, in this order.

    Raises:
        InvalidInputError: `repo_id` or `dataset_id` is not `namespace/name`.
        UnknownNameError: The record is of a task or config that does not exist.
    """
    task, config = record.task.definition, record.task.config
    where = place(repo_id, folder, record.name)
    if dataset_id is not None:
        split_repo_id(dataset_id)
    results = _by_config(record)
    schema = task.schema(config)
    record.require_metrics(schema)
    own_file = record.task.is_custom
    if own_file:  # the record has the classes and lengths of a file, the task does not
        schema, config = record.schema, _with_lengths(record, config)
    example = Example(record.probes[0], None) if own_file else Split(record.task, "test")[0]
    fixed = own_file or Split(record.task).size is not None
    start, rest = _start(schema, example.inputs)
    levels = _levels(results, [*(level.name for level in task.configs), *_distribution_names(record)])
    own = {name: metrics for (level, name), metrics in results.items() if level == config.name}
    main = next((split for split in ("test", "validation") if split in record.evaluation), None)
    return fill(
        "model_card",
        front_matter=_front_matter(record, dataset_id, license).to_yaml(),
        record=record,
        task=task,
        config=config,
        schema=schema,
        stopping_rule=None if own_file else task.stopping_rule(config),
        say=text,
        auto_class=AUTO_CLASSES[schema.head],
        chance=record.task.chance,
        where=where,
        example=example,
        raw=_raw_steps(record),
        comparison=compare_with_baselines(record),
        reading=record.data.get("reading", {}),
        start=start,
        rest=rest,
        fixed=fixed,
        own_file=own_file,
        seen=fixed and task.splits_overlap(config),
        accuracy_is=text.accuracy_is(schema, fixed),
        main=main,
        own=own,
        levels=levels,
        level_heads=text.level_heads([metrics for _, metrics in levels]),
        prefixes=text.prefixes(levels or [(config.name, own["test"])] if "test" in own else levels),
        lengths_differ=len({tuple(metrics["length"]) for _, metrics in levels}) > 1,
        results=results,
        paper_sequences=task.paper_sequences.get(config.name),
        differences=_differences(record),
        figures=[(path, _caption(PurePosixPath(path).stem, record, schema)) for path in figures],
        bibliography=bibliography(task.source, record.model, str(record.model_config.get("initialization"))),
    )


def render_eval_results(record: RunRecord, *, dataset_id: str) -> str:
    """Return the text of `.eval_results/seqhub.yaml`: test accuracies for the Hub's leaderboards.

    Args:
        record: Record of the run.
        dataset_id: Repository of the dataset.

    Raises:
        InvalidInputError: `dataset_id` is not `namespace/name`.
    """
    task, config = record.task.definition, record.task.config
    schema = task.schema(config)
    split_repo_id(dataset_id)
    entries = [
        EvalResultEntry(
            dataset_id=dataset_id,
            task_id=level,
            value=metrics["accuracy"],
            notes=f"accuracy on {text.counted(schema, metrics)} of the test split (data seed {metrics['seed']}); "
            f"one model{'' if record.seed is None else f' (training seed {record.seed})'}, trained on {record.task}",
        )
        for (level, split), metrics in _by_config(record).items()
        if split == "test"
    ]
    rendered: str = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
    return rendered


def _front_matter(record: RunRecord, dataset_id: str | None, license: str | None) -> ModelCardData:
    task, config = record.task.definition, record.task.config
    schema = task.schema(config)
    results = [
        EvalResult(
            task_type=text.hub_task(schema),
            dataset_type=dataset_id or ("file" if record.task.is_custom else task.name),
            dataset_name=str(record.data.get("source", "a file")) if record.task.is_custom else task.name,
            dataset_config=level,
            dataset_split=split,
            dataset_args={"seed": metrics["seed"], "rows": metrics["examples"]},
            metric_type=metric,
            metric_name=name,
            metric_value=metrics[metric],
        )
        for (level, split), metrics in _by_config(record).items()
        for metric, name in text.measured(schema)
    ]
    return ModelCardData(
        model_name=record.name,
        license=license,
        library_name="transformers",
        pipeline_tag=text.hub_task(schema),
        tags=["seqhub", *_tags(record), ModelId(record.model).short],
        base_model=None if record.base_model is None else record.base_model["name"],
        base_model_relation=None if record.base_model is None else "finetune",
        datasets=None if dataset_id is None else [dataset_id],
        metrics=["accuracy", *(["mse"] if schema.tolerance else [])] if results else None,
        eval_results=results or None,
    )


def _tags(record: RunRecord) -> list[str]:
    return [] if record.task.name == FILE else ["sequence-memory", record.task.definition.name]


def _caption(name: str, record: RunRecord, schema: TaskSchema) -> str:
    """Return the caption of a figure; for figures of a single task, made from the file name."""
    if name == "states" and not (schema.target == "class" and record.model == "lstm"):
        return "Hidden state over one test sequence, below its input, with the readout after each step"
    if name == "lengths" and schema.target in ("step_class", "next_symbol"):
        return "Test accuracy against sequence length"
    words = name.replace("-", " ")
    return _CAPTIONS.get(name) or words[:1].upper() + words[1:]


def _with_lengths(record: RunRecord, config: TaskConfig) -> TaskConfig:
    """Return the config of a run on a file with the lengths of its rows, taken from the record."""
    known = record.data.get("statistics", {})
    parts = (known, *record.evaluation.values())
    lengths = [length for metrics in parts for length in metrics.get("length", ())] or list(config.length)
    return replace(config, length=(min(lengths), max(lengths)))


def _raw_steps(record: RunRecord) -> str:
    """Return the first steps of the first probe before filling and scaling, as Python code; empty for other runs."""
    features = record.data.get("reading", {}).get("features")
    if features is None:
        return ""
    center, spread = features["center"], features["spread"]
    steps = [
        [
            None if step[len(center) :][channel : channel + 1] == [1.0] else float(f"{value * width + middle:.5g}")
            for channel, (value, middle, width) in enumerate(zip(step[: len(center)], center, spread, strict=True))
        ]
        for step in record.probes[0][:_SHOWN_STEPS]
    ]
    return str(steps)


def _start(schema: TaskSchema, inputs: Any) -> tuple[str, int]:
    """Return the text of the example on the card, and how many symbols the model generates after it.

    The whole text and 0, except where the next symbol is the target: then the first third, and the rest.
    """
    if schema.vocabulary is None:
        return "", 0
    if schema.target != "next_symbol":
        return str(inputs), 0
    symbols = schema.vocabulary.split(inputs)
    given = -(-len(symbols) // 3)
    return schema.vocabulary.separator.join(symbols[:given]), len(symbols) - given


def _by_config(record: RunRecord) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the evaluation by config and split; "test" is the test split of the run's own config."""
    config = record.task.config
    return {
        (key.rpartition("/")[0] or config.name, key.rpartition("/")[2]): metrics
        for key, metrics in record.evaluation.items()
    }


def _levels(results: Mapping[tuple[str, str], Any], names: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return test metrics by config, in the order of the task file; empty unless there are several."""
    tested = [(name, results[name, "test"]) for name in names if (name, "test") in results]
    return tested if len(tested) > 1 else []


def _distribution_names(record: RunRecord) -> list[str]:
    return [] if record.task.is_custom else [ref.config_name for ref in record.task.test_distributions.values()]


def _differences(record: RunRecord) -> list[str]:
    """Return differences between this run and the experiments of 1997."""
    batch_size = record.training.get("batch_size", 1)
    return [
        *([f"mini-batches of {batch_size}"] if batch_size > 1 else []),
        *([_OPTIMIZERS[name]] if (name := record.training.get("optimizer")) in _OPTIMIZERS else []),
        "a forget gate" if record.model == "lstm" else f"a `{record.model}` in place of an LSTM",
        *([_INITIALIZATIONS[name]] if (name := record.training.get("initialization")) in _INITIALIZATIONS else []),
    ]
