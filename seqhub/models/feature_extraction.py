"""Padded batches of real values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor


def value_batch(rows: Sequence[Any], num_features: int | None = None, *, first_row: int = 0) -> dict[str, Tensor]:
    """Return one batch of real values, padded on the right.

    Args:
        rows: B arrays, tensors or nested lists of (steps, ...), of the same shape except for the number of steps.
        num_features: Number of values per step; by default as in the first row.
        first_row: Row number of the first row in error messages.

    Returns:
        `input_values` (B, T, ...), float32, and `attention_mask` (B, T), 0 at padded steps.

    Raises:
        InvalidInputError: If a row is not such an array, has no step, another number of features, NaN or infinity; the
            message has the first such row.

    >>> batch = value_batch([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
    >>> batch["input_values"].shape, batch["attention_mask"].tolist()
    (torch.Size([2, 2, 2]), [[1, 0], [1, 1]])
    """
    import torch

    expected: tuple[int, ...] | None = None if num_features is None else (num_features,)
    tensors = []
    for number, row in enumerate(rows, first_row):
        try:
            tensor = (row if isinstance(row, torch.Tensor) else torch.tensor(row)).cpu().float()
        except (TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InvalidInputError(f"row {number} is not an array of (steps, features): {reason}") from error
        given = tuple(tensor.shape)
        if len(given) < 2:
            raise InvalidInputError(f"row {number} has shape {given}; need (steps, features)")
        if 0 in given:
            raise InvalidInputError(f"row {number} has shape {given}; need at least one step and one feature")
        expected = given[1:] if expected is None else expected
        if given[1:] != expected:
            raise InvalidInputError(f"row {number} has steps of {given[1:]}; need {expected}")
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
