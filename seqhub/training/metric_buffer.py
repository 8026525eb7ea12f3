"""The outputs of recent steps, turned into numbers only when a check is due."""

from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from seqhub.metrics.per_example import example_metrics
from seqhub.tasks.schema import TaskSchema


class MetricBuffer:
    """Outputs of the steps since the last check; nothing is computed from them, or sent, before it is due.

    Args:
        schema: What is to be learnt.
        logistic: Whether outputs are logistic units; as in `judging.right_share`.
    """

    def __init__(self, schema: TaskSchema, logistic: bool = False) -> None:
        self.schema = schema
        self.logistic = logistic
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor, mask: Tensor) -> None:
        """Keep one step's outputs, of the rows of this process; shapes as in `judging.right_share`."""
        self._kept.append((logits, labels, mask))

    def collect(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Empty the window: (N, 4), what `example_metrics` says, in order of presentation over all processes."""
        rows = [len(labels) for _, labels, _ in self._kept]
        if self.schema.target == "class":  # all of one shape, so judged at once
            logits, labels = (torch.cat([step[part] for step in self._kept]) for part in (0, 1))
            judged = example_metrics(self.schema, logits, labels, labels, self.logistic)
        else:
            judged = torch.cat([example_metrics(self.schema, *step, self.logistic) for step in self._kept])
        self._kept = []
        by_process = gather_object([judged.cpu().double().split(rows)])
        by_step = zip(*by_process, strict=True)
        return torch.cat([part for step in by_step for part in step]).numpy()
