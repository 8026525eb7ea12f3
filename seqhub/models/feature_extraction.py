"""Batches of real values, checked before a model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor


def value_batch(rows: Sequence[Any], num_features: int | None = None, *, first_row: int = 0) -> dict[str, Tensor]:
    """Make one batch of real values, padded on the right.

    Args:
        rows: B arrays, tensors or nested lists of (steps, ...), alike but for the number of steps.
        num_features: Values of a step, of a model that takes a vector each; None for as many as in the first row.
        first_row: Number of the first row in a message.

    Returns:
        `input_values` (B, T, ...), float32, and `attention_mask` (B, T), 0 at padded steps.

    Raises:
        InvalidInputError: At the first row that is not such an array, has no step or other features than wanted, or
            holds a value that is NaN or infinite.

    >>> batch = value_batch([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
    >>> batch["input_values"].shape, batch["attention_mask"].tolist()
    (torch.Size([2, 2, 2]), [[1, 0], [1, 1]])
    """
    import torch

    wanted: tuple[int, ...] | None = None if num_features is None else (num_features,)
    tensors = []
    for number, row in enumerate(rows, first_row):
        try:
            tensor = (row if isinstance(row, torch.Tensor) else torch.tensor(row)).cpu().float()
        except (TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InvalidInputError(f"row {number} is no array of (steps, features): {reason}") from error
        given = tuple(tensor.shape)
        if len(given) < 2:
            raise InvalidInputError(f"row {number} has shape {given}; need (steps, features)")
        if 0 in given:
            raise InvalidInputError(f"row {number} has shape {given}; need at least one step and one feature")
        wanted = given[1:] if wanted is None else wanted
        if given[1:] != wanted:
            raise InvalidInputError(f"row {number} has steps of {given[1:]}; need {wanted}")
        finite = tensor.flatten(1).isfinite().all(1)
        if not finite.all():
            step = int(finite.int().argmin())
            bad = tensor[step][~tensor[step].isfinite()][0].item()
            raise InvalidInputError(f"{bad} at step {step} of row {number}; need finite numbers")
        tensors.append(tensor)
    lengths = torch.tensor([len(tensor) for tensor in tensors])
    return {
        "input_values": torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True),
        "attention_mask": (torch.arange(int(lengths.max())) < lengths.unsqueeze(1)).long(),
    }
