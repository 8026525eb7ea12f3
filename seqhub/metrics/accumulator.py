"""Metrics of one split, gathered batch by batch, for every kind of target."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.metrics.classification import TOLERANCE, classification_metrics
from seqhub.metrics.intervals import wilson_interval
from seqhub.tasks.schema import NO_LABEL, StoppingRule, TaskSchema

if TYPE_CHECKING:
    from torch import Tensor


class MetricAccumulator:
    """Takes in outputs and targets, and says what `run.json` keeps of them.

    Every target has `examples` (sequences), `accuracy` in [0, 1] and `loss`; see `metrics` for the rest.

    Args:
        schema: What is to be learnt.
        rows: Sequences to take in; more are left out.
        stopping_rule: By whose tolerance a sequence is wrong for the source of its task; None where it has none.
        logistic: Whether outputs are logistic units; as in `judging.right_share`.
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
        self._loss = 0.0
        self._squared = 0.0  # the loss, where it is of squares
        self._off = 0  # sequences with an output further off than the task's source allows
        self._confusion = np.zeros((len(schema.labels), len(schema.labels)), dtype=np.int64)

    @property
    def full(self) -> bool:
        """Whether all rows are in."""
        return self.examples >= self.rows

    def add(self, logits: "Tensor", labels: "Tensor", mask: "Tensor") -> None:
        """Take in a batch; shapes as in `judging.right_share`."""
        from seqhub.metrics.per_example import class_outputs, example_metrics

        left = self.rows - self.examples
        logits, labels, mask = logits[:left].cpu(), labels[:left].cpu(), mask[:left].cpu()
        self.examples += len(labels)
        if self.tolerance or self.logistic or self.schema.target in ("number", "inputs"):
            judged = example_metrics(self.schema, logits, labels, mask, self.logistic).numpy().astype(np.float64)
            self._squared += float(judged[:, 2].sum())
            if self.tolerance:
                self._off += int((~(judged[:, 0] < self.tolerance)).sum())
        if self.schema.target in ("number", "inputs"):
            self._parts.append((judged, labels.numpy()))
            return
        if self.schema.target == "next_symbol":
            logits, labels = logits[:, :-1], labels[:, 1:]
        probabilities = class_outputs(logits.double(), self.logistic).numpy()
        if self.schema.target == "class":
            self._parts.append((probabilities, labels.numpy()))
        else:
            self._count(probabilities, labels.numpy())

    def _count(self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
        """Take in a class or a symbol per step: as counts, as the probabilities of all steps would fill the memory."""
        if not np.isfinite(probabilities).all():
            raise InvalidInputError("probabilities hold NaN or infinity")
        counted = labels != NO_LABEL
        predicted = probabilities.argmax(axis=-1)
        hits = (predicted == labels) | ~counted
        self._counts["whole"] += int(hits.all(axis=1).sum())
        self._counts["right"] += int((hits & counted).sum())
        self._counts["steps"] += int(counted.sum())
        of_label = np.take_along_axis(probabilities, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
        self._loss -= float(np.log(np.maximum(of_label[counted], np.finfo(np.float64).tiny)).sum())
        if self.schema.labels:
            np.add.at(self._confusion, (labels[counted], predicted[counted]), 1)

    def metrics(self) -> dict[str, Any]:
        """Plain JSON values.

        Returns:
            For `class`, what `classification_metrics` returns. For `step_class`, of all steps that count: `steps`,
            `accuracy`, `loss` in nats per step, `per_class`, `confusion`, and `whole`, sequences without a wrong step.
            For `next_symbol` the same without classes. For `number`: `accuracy`, the share within `tolerance`, with its
            Wilson `interval`, `mse` (also as `loss`) and `mean_absolute_error`. For `inputs`: `accuracy`, the share of
            sequences with a mean squared error within `tolerance`, its `interval`, `mse` (also as `loss`), the mean
            over sequences, and `worst_mse`. For a task whose source says when a sequence is wrong, also `paper`: the
            `tolerance` of every output there, the number of `wrong` sequences and their `share`. The `loss` of logistic
            outputs is half their squared error, in place of nats.
        """
        if not self.examples:
            raise InvalidInputError("no sequences to measure; need one or more")
        target = self.schema.target
        if target == "class":
            probabilities, labels = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
            tolerance = self.tolerance or TOLERANCE
            found = classification_metrics(probabilities, labels, self.schema.labels, tolerance)
            if self.logistic:
                found["loss"] = self._squared / self.examples
        else:
            found = self._step_metrics() if target in ("step_class", "next_symbol") else self._real_metrics()
        if self.tolerance:
            share = self._off / self.examples
            found["paper"] = {"tolerance": self.tolerance, "wrong": self._off, "share": share}
        return found

    def _step_metrics(self) -> dict[str, Any]:
        steps = self._counts["steps"]
        metrics: dict[str, Any] = {
            "examples": self.examples,
            "steps": steps,
            "accuracy": self._counts["right"] / steps,
            "loss": (self._squared if self.logistic else self._loss) / steps,
            "whole": self._counts["whole"],
        }
        if self.schema.labels:
            metrics["per_class"] = {
                name: {"correct": int(self._confusion[i, i]), "total": int(self._confusion[i].sum())}
                for i, name in enumerate(self.schema.labels)
            }
            metrics["confusion"] = self._confusion.tolist()
        return metrics

    def _real_metrics(self) -> dict[str, Any]:
        judged = np.concatenate([part for part, _ in self._parts])
        if not np.isfinite(judged).all():
            raise InvalidInputError("outputs hold NaN or infinity")
        right = int(judged[:, 3].sum())
        metrics = {
            "examples": self.examples,
            "accuracy": right / self.examples,
            "interval": list(wilson_interval(right, self.examples)),
            "loss": float(judged[:, 2].mean()),
            "mse": float(judged[:, 2].mean()) * (2 if self.logistic else 1),
            "tolerance": self.schema.tolerance,
        }
        if self.schema.target == "number":
            return metrics | {"mean_absolute_error": float(judged[:, 1].mean())}
        return metrics | {"worst_mse": float(judged[:, 2].max())}
