"""Batched inference for stopping criteria and evaluation."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqhub.models.predict import logistic_outputs
from seqhub.tasks.schema import Batch, TaskSchema

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_BATCH_SIZE = 256  # sequences


def generate_targets(
    model: "PreTrainedModel", schema: TaskSchema, batch: dict[str, "Tensor"], rows: "Tensor"
) -> "list[list[int] | None]":
    """Return the ids that a model generates greedily for some rows, without start, end and padding; None for others.

    Args:
        model: Model for the target `sequence`, in evaluation mode.
        schema: Schema of the rows.
        batch: Inputs on the device of the model; those of the decoder are ignored.
        rows: (B,), True for the rows to generate for.
    """
    generated: list[list[int] | None] = [None] * len(rows)
    if not bool(rows.any()):
        return generated
    inputs = {name: tensor[rows] for name, tensor in batch.items() if not name.startswith("decoder_")}
    outputs = model.generate(  # type: ignore[operator]
        **inputs, max_new_tokens=schema.max_target + 1, do_sample=False, num_beams=1
    )
    for row, ids in zip(rows.nonzero().flatten().tolist(), outputs[:, 1:].tolist(), strict=True):
        end = ids.index(schema.end_id) if schema.end_id in ids else len(ids)
        generated[row] = ids[:end]
    return generated


class ModelScorer:
    """Outputs and per-example metrics of a model in evaluation mode; its training mode is restored afterwards.

    Args:
        model: seqhub model for the target of `schema`.
        schema: Schema of the rows.
    """

    def __init__(self, model: "PreTrainedModel", schema: TaskSchema) -> None:
        self.model = model
        self.schema = schema

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        """Return the result of `per_example.example_metrics` for each row, (N, 4)."""
        from seqhub.metrics.per_example import example_metrics

        logistic = logistic_outputs(self.model)
        return np.concatenate(
            self._map_batches(
                rows,
                lambda logits, labels, mask: (
                    example_metrics(self.schema, logits, labels, mask, logistic).cpu().double().numpy()
                ),
            )
        )

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        """Return the outputs at every step, (N, T, C), with column k for the symbol with id k."""
        return np.concatenate(self._map_batches(rows, lambda logits, _, __: logits.float().cpu().numpy()))

    def _map_batches(
        self, rows: Batch, function: "Callable[[Tensor, Tensor, Tensor], NDArray[np.floating]]"
    ) -> list[NDArray[np.floating]]:
        """Apply a function to logits, labels and mask of each batch; all batches are padded to the longest row."""
        import torch

        from seqhub.data.collate import collate_batch, to_tensors

        arrays, width = collate_batch(rows, self.schema), int(rows.lengths.max())
        size = self.schema.rows_at_once(width, _BATCH_SIZE)
        training, results = self.model.training, []
        self.model.eval()
        try:
            with torch.inference_mode():
                for first in range(0, len(rows), size):
                    batch = to_tensors(arrays[slice(first, first + size)], width)
                    batch = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
                    labels = batch.pop("labels")
                    results.append(function(self.model(**batch).logits, labels, batch["attention_mask"]))
        finally:
            self.model.train(training)
        return results
