"""Buffer of model outputs, from which metrics are computed at each validation."""

from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from seqhub.metrics.per_example import example_metrics
from seqhub.tasks.schema import TaskSchema


class MetricBuffer:
    """Outputs of the steps since the last validation; they are not processed or gathered before `collect`.

    Args:
        schema: Schema of the task.
        logistic: True for logistic output units; as in `per_example.example_accuracy`.
    """

    def __init__(self, schema: TaskSchema, logistic: bool = False) -> None:
        self.schema = schema
        self.logistic = logistic
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor, mask: Tensor) -> None:
        """Add the outputs of one step for the rows of this process; shapes as in `per_example.example_accuracy`."""
        self._steps.append((logits, labels, mask))

    def collect(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Empty the buffer and return `example_metrics`, (N, 4), of all processes, in the order of presentation."""
        rows = [len(labels) for _, labels, _ in self._steps]
        if self.schema.target == "class":  # equal shapes, so computed in one call
            logits, labels = (torch.cat([step[part] for step in self._steps]) for part in (0, 1))
            metrics = example_metrics(self.schema, logits, labels, labels, self.logistic)
        else:
            metrics = torch.cat([example_metrics(self.schema, *step, self.logistic) for step in self._steps])
        self._steps = []
        by_process = gather_object([metrics.cpu().double().split(rows)])
        by_step = zip(*by_process, strict=True)
        return torch.cat([part for step in by_step for part in step]).numpy()
