"""Evaluation of a saved model on unseen splits; the metrics are written to its record."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seqhub.data.collate import CollatedArrays, collate_batch
from seqhub.data.digest import split_digest
from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.import_model import create_record
from seqhub.evaluation.inference import ModelScorer, generate_targets
from seqhub.evaluation.load import load_model
from seqhub.evaluation.native_inference import NativeScorer
from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.metrics.classification import scaled_score
from seqhub.metrics.grammar import Scorer, legal_metrics
from seqhub.models.predict import logistic_outputs
from seqhub.records import RunRecord
from seqhub.records.run import SplitMetrics
from seqhub.tasks.base import Task
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import StoppingRule, TaskConfig
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

BATCH_SIZE = 1_000  # sequences
MAX_ROWS = 10_000_000  # sequences of a split, limited by memory

_SPLITS = ("validation", "test")


def evaluate(
    folder: Path | str,
    *,
    num_examples: int | None = None,
    sibling_examples: int = 2_000,
    seed: int = 0,
    data: Path | str | None = None,
    callback: Callable[[str], None] | None = None,
    task: str | TaskRef | None = None,
    trust_remote_code: bool = False,
) -> RunRecord:
    """Evaluate a model on `validation`, `test` and the `test` splits of its siblings, and save the metrics.

    The metrics are added to the record of the model. Siblings are the other configs of the task with the same schema,
    and the test distributions of the config.

    Args:
        folder: Model folder with its run.json; the latter is optional if `task` is given.
        num_examples: Number of sequences of each split of the model's config; None for the published number.
        sibling_examples: Number of sequences of each sibling; 0 for none.
        seed: Seed of the data; 0 is the published one.
        data: File that the run was trained on, or the id of a dataset of a Hub, for a task with rows from a file; such
            a run has no siblings.
        callback: Called with the name of each split before it is evaluated.
        task: Task id of a model that was trained without `seqhub train`, as by `transformers.Trainer`; a run.json with
            the available information is written to its folder.
        trust_remote_code: Consent to run the code of a wrapped module, see `load_model`.

    Raises:
        FileNotFoundError: There is no model, or neither a record nor a `task`.
        CorruptFileError: See `load_model`.
        InvalidConfigError: `num_examples` is below 1, `sibling_examples` is below 0, or one is above ten million.
        InvalidInputError: The record is of another task than `task`, or the model does not fit the task; or the file of
            the run is missing, or its rows are not those that the run was trained on.
    """
    for name, number, lowest in (("num_examples", num_examples, 1), ("sibling_examples", sibling_examples, 0)):
        if number is not None and not lowest <= number <= MAX_ROWS:
            raise InvalidConfigError.of(name, number, f"{lowest} to {MAX_ROWS:,}")
    record = _record(folder := Path(folder), task)
    if data is not None:
        from seqhub.data.user_sources import resolve_file  # imports Arrow

        data = resolve_file(data)
    definition, config = record.task.definition, record.task.config
    source = DataSource.of_run(record, data, folder)
    model = load_model(folder, definition.schema(config).head, trust_remote_code=trust_remote_code)
    parts = {
        name: (source.split(name, seed), source.sizes[name] if num_examples is None else num_examples)
        for name in _SPLITS
    }
    if sibling_examples and not record.task.is_custom:
        parts |= {
            f"{ref.config_name}/test": (Split(ref, "test", seed), sibling_examples)
            for ref in record.task.test_distributions.values()
            if _fits(model, definition, config, ref.config)
        }
        tested = [ref.config.parameters() for ref in record.task.test_distributions.values()]  # these have equal rows
        siblings = [
            sibling.name
            for sibling in definition.configs
            if sibling != config and sibling.parameters() not in tested and _fits(model, definition, config, sibling)
        ]
        parts |= {
            f"{name}/test": (Split(TaskRef(record.task.name, name), "test", seed), sibling_examples)
            for name in siblings
        }

    started = time.perf_counter()
    for key, (split, count) in parts.items():
        if callback is not None:
            callback(f"{split.ref} {split.name}")
        record.evaluation[key] = measure(model, split, count)
    record.timings["evaluate"] = round(time.perf_counter() - started, 3)
    record.save(folder)
    return record


def _record(folder: Path, task: str | TaskRef | None) -> RunRecord:
    """Return the record of a folder, or create one for a model without a record."""
    if (folder / RunRecord.FILE_NAME).is_file() or task is None:
        try:
            record = RunRecord.load(folder)
        except FileNotFoundError as error:
            if not (folder / "config.json").is_file():
                raise
            raise FileNotFoundError(
                f"{error}; for a model that was not trained by seqhub, give its task, as in --task qrsu/easy"
            ) from None
        if task is not None and (ref := TaskRef.parse(task)) != record.task:
            raise InvalidInputError(f"task {ref}: {folder / RunRecord.FILE_NAME} is a record of {record.task}")
        return record
    return create_record(folder, task)


def _fits(model: "PreTrainedModel", task: Task[Any], config: TaskConfig, sibling: TaskConfig) -> bool:
    """Return whether a model of one config can be evaluated on another: same schema, and a length that it accepts."""
    fixed = getattr(model.config, "num_steps", None)
    return task.schema(sibling) == task.schema(config) and (fixed is None or sibling.length == (fixed, fixed))


def measure(model: "PreTrainedModel", split: Split, rows: int) -> SplitMetrics:
    """Return the metrics of a model on the first rows of a split, with their seed, lengths and digest.

    All rows are used if the split has fewer.
    """
    rows = rows if split.size is None else min(rows, split.size)
    accumulated = _accumulate(model, split, rows, _batches(split, rows))
    return _metrics(accumulated, split, rows, ModelScorer(model, split.schema), _metadata(split, rows))


class FixedRows:
    """Rows that many models are evaluated on, generated once and kept in memory.

    Args:
        split: Split whose first rows are used, as in `measure`.
        rows: Number of rows.
    """

    def __init__(self, split: Split, rows: int) -> None:
        self.split = split
        self.rows = rows if split.size is None else min(rows, split.size)
        self._metadata = _metadata(split, self.rows)
        self._lock = Lock()
        self._batches: list[dict[str, Tensor]] | None = None
        self._arrays: list[CollatedArrays] | None = None

    def measure(self, model: "PreTrainedModel") -> SplitMetrics:
        """Return the result of `measure` for the model."""
        with self._lock:
            if self._batches is None:
                count = -(-self.rows // _batch_size(self.split, self.rows))
                self._batches = list(islice(_batches(self.split, self.rows), count))
        accumulated = _accumulate(model, self.split, self.rows, self._batches)
        return _metrics(accumulated, self.split, self.rows, ModelScorer(model, self.split.schema), self._metadata)

    def measure_natively(self, scorer: NativeScorer) -> SplitMetrics:
        """Return the metrics of a natively trained model, which differ from those of `measure` by rounding."""
        split, rows = self.split, self.rows
        with self._lock:
            if self._arrays is None:
                self._arrays = [collate_batch(batch, split.schema) for batch in split.batches(0, rows)]
        accumulated = MetricAccumulator(split.schema, rows, _stopping_rule(split), scorer.trainer.objective.logistic)
        size = _batch_size(split, rows)
        for arrays in self._arrays:
            for first in range(0, len(arrays), size):
                scorer.accumulate(arrays[first : first + size], accumulated)
        return _metrics(accumulated, split, rows, scorer, self._metadata)


def _batches(split: Split, rows: int) -> Iterator[dict[str, "Tensor"]]:
    """Return batches of a split from its first row on; the last one may contain more rows than requested."""
    from seqhub.data.loader import loader_of

    return iter(loader_of(split, _batch_size(split, rows)))


def _batch_size(split: Split, rows: int) -> int:
    return split.schema.rows_at_once(split.longest, min(BATCH_SIZE, rows))


def _metrics(
    accumulated: MetricAccumulator, split: Split, rows: int, scorer: Scorer, metadata: dict[str, Any]
) -> SplitMetrics:
    metrics = accumulated.metrics()
    if split.ref.is_custom and split.schema.target in ("class", "step_class"):
        metrics["calibration"] = accumulated.calibration.metrics()
    chance = split.ref.chance
    if chance is not None and chance < 1:
        metrics["scaled"] = scaled_score(metrics["accuracy"], chance)
    if split.task.has_grammar and not split.ref.is_custom:
        metrics["legal"] = legal_metrics(split, rows, scorer)
        if (stopping_rule := _stopping_rule(split)) is not None and stopping_rule.rule == "legal":
            wrong = metrics["legal"]["wrong"]
            metrics["paper"] = {"wrong": wrong, "share": wrong / rows}
    return cast("SplitMetrics", metrics | metadata)


def _metadata(split: Split, rows: int) -> dict[str, Any]:
    """Return lengths, seed and digest of the rows."""
    ragged = split.ragged
    parts = [ragged.lengths[:rows]] if ragged else [batch.lengths for batch in split.batches(0, rows)]
    lengths = np.concatenate(parts)
    return {
        "length": [int(lengths.min()), int(lengths.max())],
        "mean_length": float(lengths.mean()),
        "seed": split.seed,
        "digest": split_digest(split, rows),
    }


def _stopping_rule(split: Split) -> StoppingRule | None:
    return stopping_rule_of(split.ref)


def accumulate_metrics(model: "PreTrainedModel", split: Split, rows: int) -> MetricAccumulator:
    """Return the accumulated metrics of a model on the first rows of a split."""
    return _accumulate(model, split, rows, _batches(split, rows))


def _accumulate(
    model: "PreTrainedModel", split: Split, rows: int, batches: Iterable[dict[str, "Tensor"]]
) -> MetricAccumulator:
    import torch

    from seqhub.metrics.per_example import example_accuracy

    result, device = MetricAccumulator(split.schema, rows, _stopping_rule(split), logistic_outputs(model)), model.device
    with torch.inference_mode():
        for batch in batches:
            inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
            logits, labels, mask = model(**inputs).logits, batch["labels"], batch["attention_mask"]
            generated: list[list[int] | None] = []
            if split.schema.target == "sequence":
                wrong = example_accuracy(split.schema, logits, labels.to(device), mask) == 0
                generated = generate_targets(model, split.schema, inputs, wrong)
            result.add(logits, labels, mask, generated)
            if result.full:
                break
    return result
