"""Accumulation of the metrics of a split over batches, for every type of target."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.metrics.calibration import Calibration
from seqhub.metrics.classification import TOLERANCE, classification_metrics
from seqhub.metrics.edit_distance import edit_distance
from seqhub.metrics.intervals import wilson_interval
from seqhub.metrics.multi_label import metrics_by_number, multi_label_metrics
from seqhub.tasks.schema import NO_LABEL, StoppingRule, TaskSchema

if TYPE_CHECKING:
    from torch import Tensor


class MetricAccumulator:
    """Accumulator of outputs and targets, for the metrics in `run.json`.

    Every target has `examples` (sequences), `accuracy` in [0, 1] and `loss`; see `metrics` for the others.

    Args:
        schema: Schema of the rows.
        rows: Number of sequences to accumulate; further ones are ignored.
        stopping_rule: Stopping rule of the task's source; its tolerance determines which sequences are wrong. None if
            the source has no rule.
        logistic: Whether the outputs are logistic units, as for `per_example.example_accuracy`.
    """

    def __init__(
        self, schema: TaskSchema, rows: int, stopping_rule: StoppingRule | None = None, logistic: bool = False
    ) -> None:
        self.schema = schema
        self.rows = rows
        self.logistic = logistic
        self.tolerance = stopping_rule.tolerance if stopping_rule is not None else 0.0
        self.examples = 0
        self._parts: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._counts = {"steps": 0, "right": 0, "whole": 0}
        self._prefix: dict[int, list[int]] = {}  # k -> sequences whose first k steps are right, and those with k steps
        self._prefix_share = 0.0  # sum over sequences
        self._loss = 0.0
        self._squared = 0.0  # sum of the loss, for squared errors
        self._wrong = 0  # sequences with an output outside the tolerance of the task's source
        classes = len(schema.labels) if schema.has_class_table else 0
        self._confusion = np.zeros((classes, classes), dtype=np.int64)
        self.calibration = Calibration()  # of classes of sequences or steps
        self._shares = {"token_accuracy": 0.0, "edit_distance": 0.0}  # sums over sequences
        self._by_length: dict[int, list[int]] = {}  # steps of the inputs -> exact matches, and sequences

    @property
    def full(self) -> bool:
        """True if all rows have been added."""
        return self.examples >= self.rows

    def add(
        self, logits: "Tensor", labels: "Tensor", mask: "Tensor", generated: Sequence[Sequence[int] | None] = ()
    ) -> None:
        """Add a batch.

        Args:
            logits: Shapes as in `per_example.example_accuracy`.
            labels: As above.
            mask: As above.
            generated: For the target `sequence`, the generated ids of each row without start, end and padding; None
                for rows that equal their target.
        """
        from seqhub.metrics.per_example import example_metrics

        left = self.rows - self.examples
        logits, labels, mask = logits[:left].cpu(), labels[:left].cpu(), mask[:left].cpu()
        values = probabilities = None
        if self._needs_values:
            values = example_metrics(self.schema, logits, labels, mask, self.logistic).numpy().astype(np.float64)
        if self.schema.target == "next_symbol":
            logits, labels = logits[:, :-1], labels[:, 1:]
        if self.schema.target not in ("number", "inputs"):
            probabilities = self._outputs(logits)
        lengths = mask.sum(dim=1).tolist() if self.schema.target == "sequence" else ()
        self.add_outputs(probabilities, labels.numpy(), values, generated, lengths)

    @property
    def _needs_values(self) -> bool:
        """True if the metrics of each sequence are used."""
        if self.schema.target == "multi_label":
            return False
        return bool(self.tolerance or self.logistic or self.schema.target in ("number", "numbers", "inputs"))

    def _outputs(self, logits: "Tensor") -> NDArray[np.float64]:
        """Return probabilities, or the outputs for several numbers."""
        if self.schema.target == "multi_label":
            return logits.double().sigmoid().numpy()
        if self.schema.target == "numbers":
            return (logits.sigmoid() if self.logistic else logits).double().numpy()
        from seqhub.metrics.per_example import class_outputs

        return class_outputs(logits.double(), self.logistic).numpy()

    def add_outputs(
        self,
        probabilities: NDArray[np.float64] | None,
        labels: NDArray[Any],
        values: NDArray[np.float64] | None,
        generated: Sequence[Sequence[int] | None] = (),
        lengths: Sequence[int] = (),
    ) -> None:
        """Add the outputs of a batch; rows beyond the number to accumulate are ignored.

        Args:
            probabilities: Outputs for each class or label, (B, C), or (B, T, C) with one target per step; outputs for
                several numbers, (B, K); None for other real targets.
            labels: Targets; for `next_symbol`, those of the next step.
            values: (B, 4), the result of `per_example.example_metrics`; None if it is not needed.
            generated: As in `add`.
            lengths: Number of steps of each sequence, for targets that are sequences.
        """
        left = self.rows - self.examples
        labels = labels[:left]
        self.examples += len(labels)
        if self._needs_values and values is not None:
            values = values[:left]
            self._squared += float(values[:, 2].sum())
            if self.tolerance:
                self._wrong += int((~(values[:, 0] < self.tolerance)).sum())
        if probabilities is None:
            assert values is not None, "real targets have no probabilities"
            self._parts.append((values, labels))
            return
        probabilities = probabilities[:left]
        if self.schema.target == "numbers":
            assert values is not None, "several numbers need their metrics"
            self._parts.append((values, np.stack([probabilities, labels.astype(np.float64)], axis=1)))
        elif self.schema.target in ("class", "multi_label"):
            self._parts.append((probabilities, labels))
            if self.schema.target == "class":
                self.calibration.add(probabilities, labels)
        elif self.schema.target == "sequence":
            self._add_sequences(probabilities, labels, lengths[:left], generated)
        else:
            self._add_steps(probabilities, labels)

    def _add_steps(self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
        """Add counts for a class or a symbol per step; the probabilities of all steps would need too much memory."""
        if not np.isfinite(probabilities).all():
            raise InvalidInputError("probabilities contain NaN or infinity; must be finite")
        counted = labels != NO_LABEL
        predicted = probabilities.argmax(axis=-1)
        hits = (predicted == labels) | ~counted
        self._counts["whole"] += int(hits.all(axis=1).sum())
        self._counts["right"] += int((hits & counted).sum())
        self._counts["steps"] += int(counted.sum())
        if self.schema.target == "step_class":
            self._add_prefixes(hits, counted)
            self.calibration.add(probabilities[counted], labels[counted])
        label_probabilities = np.take_along_axis(probabilities, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
        self._loss -= float(np.log(np.maximum(label_probabilities[counted], np.finfo(np.float64).tiny)).sum())
        if self.schema.has_class_table:
            np.add.at(self._confusion, (labels[counted], predicted[counted]), 1)

    def _add_sequences(
        self,
        probabilities: NDArray[np.float64],
        labels: NDArray[np.int64],
        lengths: Sequence[int],
        generated: Sequence[Sequence[int] | None],
    ) -> None:
        """Add counts for targets that are sequences; see `metrics`."""
        self._add_steps(probabilities, labels)
        counted = labels != NO_LABEL
        hits = (probabilities.argmax(axis=-1) == labels) & counted
        self._shares["token_accuracy"] += float((hits.sum(axis=1) / counted.sum(axis=1)).sum())
        for length, exact in zip(lengths, (hits == counted).all(axis=1), strict=True):
            right, total = self._by_length.get(length, (0, 0))
            self._by_length[length] = [right + int(exact), total + 1]
        for label, real, ids in zip(labels, counted, generated, strict=False):
            if ids is not None:
                target = label[real][:-1].tolist()  # without the end
                self._shares["edit_distance"] += edit_distance(ids, target) / max(len(ids), len(target))

    def _add_prefixes(self, hits: NDArray[np.bool_], counted: NDArray[np.bool_]) -> None:
        """Add counts of the steps before the first wrong one, among the steps that count."""
        steps = counted.sum(axis=1)
        before = (counted & np.logical_and.accumulate(hits, axis=1)).sum(axis=1)
        self._prefix_share += float((np.maximum(before, steps == 0) / np.maximum(steps, 1)).sum())
        for k in (1 << power for power in range(int(steps.max(initial=0)).bit_length())):
            right, total = self._prefix.get(k, (0, 0))
            self._prefix[k] = [right + int((before >= k).sum()), total + int((steps >= k).sum())]

    def metrics(self) -> dict[str, Any]:
        """Return the metrics as plain JSON values.

        Returns:
            For `class`, the result of `classification_metrics`. For `step_class`, over all steps that count: `steps`,
            `accuracy`, `loss` in nats per step, `per_class`, `confusion`, `whole`, the number of sequences without a
            wrong step, `prefix`, k -> {correct, total} for powers of two, the number of sequences whose first k steps
            are all right among those with at least k, and `mean_prefix`, the mean share of the steps before the first
            wrong one. For `next_symbol` the same without classes and prefixes. For `number`: `accuracy`, the share
            within `tolerance`, with its Wilson `interval`, `mse` (also as `loss`) and `mean_absolute_error`. For
            `numbers` the same, where a row is correct if each of its numbers is, and `per_number` of
            `metrics_by_number`. For `multi_label` see `multi_label_metrics`. For `inputs`: `accuracy`, the share of
            sequences with a mean squared error within `tolerance`, its `interval`, `mse` (also as `loss`), the mean
            over sequences, and `worst_mse`. For `sequence`: `accuracy`, the share of exact matches, whose greedy output
            is the target, and its `interval`; `tokens`, the number of target symbols and ends, and `loss` in nats for
            each; `token_accuracy`, the mean share of these that are the most probable ones after the target's previous
            symbols; and `edit_distance`, the mean number of edits between greedy output and target, divided by the
            length of the longer one. The last two have an interval over sequences (`token_interval`, `edit_interval`),
            because the tokens of a sequence depend on each other; `by_length`, number of steps of the inputs ->
            {correct, total} for exact matches. For a task whose source has a stopping rule with a tolerance, also
            `paper`: the `tolerance` of every output, the number of `wrong` sequences and their `share`. The `loss` of
            logistic outputs is half their squared error instead of nats.
        """
        if not self.examples:
            raise InvalidInputError("0 sequences; metrics need at least 1")
        target = self.schema.target
        if target == "class":
            probabilities, labels = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
            tolerance = self.tolerance or TOLERANCE
            found = classification_metrics(probabilities, labels, self.schema.labels, tolerance)
            if not self.schema.has_class_table:
                del found["per_class"], found["confusion"]
            if self.logistic:
                found["loss"] = self._squared / self.examples
        elif target == "multi_label":
            probabilities, labels = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
            found = multi_label_metrics(probabilities, labels, self.schema.labels)
        elif target == "sequence":
            found = self._sequence_metrics()
        else:
            found = self._step_metrics() if target in ("step_class", "next_symbol") else self._real_metrics()
        if self.tolerance:
            share = self._wrong / self.examples
            found["paper"] = {"tolerance": self.tolerance, "wrong": self._wrong, "share": share}
        return found

    def _sequence_metrics(self) -> dict[str, Any]:
        tokens, exact = self._counts["steps"], self._counts["whole"]
        metrics: dict[str, Any] = {
            "examples": self.examples,
            "tokens": tokens,
            "accuracy": exact / self.examples,
            "interval": list(wilson_interval(exact, self.examples)),
            "loss": self._loss / tokens,
        }
        for name, interval in (("token_accuracy", "token_interval"), ("edit_distance", "edit_interval")):
            share = min(self._shares[name], self.examples)  # a sum of shares may exceed it by rounding
            metrics |= {name: share / self.examples, interval: list(wilson_interval(share, self.examples))}
        lengths = sorted(self._by_length.items())
        metrics["by_length"] = {str(n): {"correct": right, "total": total} for n, (right, total) in lengths}
        return metrics

    def _step_metrics(self) -> dict[str, Any]:
        steps = self._counts["steps"]
        metrics: dict[str, Any] = {
            "examples": self.examples,
            "steps": steps,
            "accuracy": self._counts["right"] / steps,
            "loss": (self._squared if self.logistic else self._loss) / steps,
            "whole": self._counts["whole"],
        }
        if self._prefix:
            prefixes = sorted(self._prefix.items())
            metrics["prefix"] = {str(k): {"correct": right, "total": total} for k, (right, total) in prefixes}
            metrics["mean_prefix"] = self._prefix_share / self.examples
        if self.schema.has_class_table:
            metrics["per_class"] = {
                name: {"correct": int(self._confusion[i, i]), "total": int(self._confusion[i].sum())}
                for i, name in enumerate(self.schema.labels)
            }
            metrics["confusion"] = self._confusion.tolist()
        return metrics

    def _real_metrics(self) -> dict[str, Any]:
        values = np.concatenate([part for part, _ in self._parts])
        if not np.isfinite(values).all():
            raise InvalidInputError("outputs contain NaN or infinity; must be finite")
        correct = int(values[:, 3].sum())
        metrics = {
            "examples": self.examples,
            "accuracy": correct / self.examples,
            "interval": list(wilson_interval(correct, self.examples)),
            "loss": float(values[:, 2].mean()),
            "mse": float(values[:, 2].mean()) * (2 if self.logistic else 1),
            "tolerance": self.schema.tolerance,
        }
        if self.schema.target == "number":
            return metrics | {"mean_absolute_error": float(values[:, 1].mean())}
        if self.schema.target == "numbers":
            pairs = np.concatenate([part for _, part in self._parts])
            by_number = metrics_by_number(pairs[:, 0], pairs[:, 1], self.schema.numbers)
            return metrics | {"mean_absolute_error": float(values[:, 1].mean()), "per_number": by_number}
        return metrics | {"worst_mse": float(values[:, 2].max())}
