"""The outputs of recent steps, turned into numbers only when a check is due."""

from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor


class Window:
    """Outputs of the steps since the last check; nothing is computed from them, or sent, before it is due."""

    def __init__(self) -> None:
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Keep one step's logits (rows of this process, C) and labels (rows,)."""
        self._logits.append(logits)
        self._labels.append(labels)

    def collect(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Empty the window: (N, 4) in order of presentation over all processes.

        Columns: error of the worst output, mean error of the outputs, loss in nats, 1 where the answer was right.
        """
        rows = [len(labels) for labels in self._labels]
        logits = torch.cat(self._logits).float()
        labels = torch.cat(self._labels)
        log_probabilities = logits.log_softmax(dim=-1)
        targets = torch.nn.functional.one_hot(labels, logits.shape[-1])
        difference = (log_probabilities.exp() - targets).abs()
        loss = -log_probabilities.gather(1, labels[:, None])[:, 0]
        right = (logits.argmax(dim=-1) == labels).float()
        table = torch.stack([difference.amax(dim=1), difference.mean(dim=1), loss, right], dim=1).cpu().double()
        self._logits, self._labels = [], []
        by_process = gather_object([table.split(rows)])
        by_step = zip(*by_process, strict=True)
        return torch.cat([part for step in by_step for part in step]).numpy()
