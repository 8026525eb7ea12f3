"""A model of torch, asked about sequences of a task: what criteria and evaluation want to know of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqhub.models.predict import logistic_outputs
from seqhub.tasks.schema import Batch, TaskSchema

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_AT_ONCE = 256  # sequences


class ModelScorer:
    """Outputs of a model, with its mode left as it is.

    Args:
        model: Any of this package's for the target of `schema`.
        schema: What the rows hold.
    """

    def __init__(self, model: "PreTrainedModel", schema: TaskSchema) -> None:
        self.model = model
        self.schema = schema

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        """(N, 4), what `judging.example_metrics` says of its outputs."""
        from seqhub.metrics.per_example import example_metrics

        logistic = logistic_outputs(self.model)
        return np.concatenate(
            self._of_batches(
                rows,
                lambda logits, labels, mask: (
                    example_metrics(self.schema, logits, labels, mask, logistic).cpu().double().numpy()
                ),
            )
        )

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        """(N, T, C), its outputs at every step, column k for the symbol of id k."""
        return np.concatenate(self._of_batches(rows, lambda logits, _, __: logits.float().cpu().numpy()))

    def _of_batches(
        self, rows: Batch, read: "Callable[[Tensor, Tensor, Tensor], NDArray[np.floating]]"
    ) -> list[NDArray[np.floating]]:
        """Apply a function to logits, labels and mask of some rows at a time, all as wide as the longest."""
        import torch

        from seqhub.data.collate import drawn_columns, tensors

        columns, width = drawn_columns(rows, self.schema), int(rows.lengths.max())
        training, found = self.model.training, []
        self.model.eval()
        try:
            with torch.inference_mode():
                for first in range(0, len(rows), _AT_ONCE):
                    batch = tensors(columns[slice(first, first + _AT_ONCE)], width)
                    batch = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
                    labels = batch.pop("labels")
                    found.append(read(self.model(**batch).logits, labels, batch["attention_mask"]))
        finally:
            self.model.train(training)
        return found
