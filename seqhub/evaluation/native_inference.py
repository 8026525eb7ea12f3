"""Batched inference of natively trained models, without torch: metrics of rows, and outputs for stopping criteria."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.collate import CollatedArrays, collate_batch
from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.metrics.classification import class_probabilities
from seqhub.native.trainer import NativeTrainer
from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema


class NativeScorer:
    """Outputs and per-example metrics of the model of a trainer, as `inference.ModelScorer` has for torch.

    Args:
        trainer: Trainer with the current weights.
        pad: Id of padding; only for the target `next_symbol`.
        schema: Schema of the rows.
    """

    def __init__(self, trainer: NativeTrainer, pad: int | None, schema: TaskSchema) -> None:
        self.trainer = trainer
        self.pad = pad
        self.schema = schema

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        """Return the metrics of each row, (N, 4), as `per_example.example_metrics` does."""
        return self.metrics(collate_batch(rows, self.schema))

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        """Return the outputs at every step, (N, T, C), with column k for the symbol with id k."""
        return self.outputs(collate_batch(rows, self.schema))[:, : int(rows.lengths.max())]

    def metrics(self, rows: CollatedArrays) -> NDArray[np.float64]:
        """Return the metrics of each row, (N, 4)."""
        return self.trainer.evaluate(rows.inputs, rows.lengths, rows.labels)

    def outputs(self, rows: CollatedArrays) -> NDArray[Any]:
        """Return the logits of a model of torch for the same rows: (N, C), or (N, T, C) with one target per step."""
        return self._with_padding(self.trainer.logits(rows.inputs, rows.lengths))

    def accumulate(self, rows: CollatedArrays, into: MetricAccumulator) -> None:
        """Add the outputs for some rows to the metrics of a split."""
        count, steps = rows.inputs.shape[:2]
        logits = np.zeros(self.trainer.logits_shape(count, steps), self.trainer.dtype)
        values = self.trainer.evaluate(rows.inputs, rows.lengths, rows.labels, logits)
        labels, target = rows.labels, self.schema.target
        if target == "next_symbol":
            real = np.arange(1, steps) < rows.lengths[:, None]
            labels = np.where(real, rows.inputs[:, 1:].astype(np.int64), NO_LABEL)
            logits = logits[:, :-1]
        if target == "step_class":
            real = np.arange(steps) < rows.lengths[:, None]
            labels = np.where(real, labels[:, :steps], NO_LABEL)
        probabilities = None
        if target != "number":
            probabilities = class_probabilities(self._with_padding(logits), self.trainer.objective.logistic)
        into.add_outputs(probabilities, labels, values)

    def _with_padding(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return logits of all ids from those in the order of the one-hot vectors; other targets are unchanged."""
        if self.schema.target != "next_symbol" or self.pad is None:
            return logits
        lowest = np.full((*logits.shape[:-1], 1), np.finfo(logits.dtype).min, logits.dtype)
        return np.roll(np.concatenate([lowest, logits], axis=-1), self.pad, axis=-1)
