"""Truncated backpropagation through time (TBPTT): segments of long sequences.

Each segment has its own optimizer step. The state is carried from segment to segment, the gradient is not (Williams &
Peng, 1990, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories").
"""

from collections.abc import Iterator

from torch import Tensor

Batch = dict[str, Tensor]


def segments(batch: Batch, steps: int) -> Iterator[Batch]:
    """Split tensors (B, T, ...) into segments of `steps` steps; the last one is shorter if T is not a multiple.

    Args:
        batch: Batch of a data loader, with labels for each step.
        steps: Number of steps of a segment; 0 for the whole batch.

    >>> import torch
    >>> [part["labels"].tolist() for part in segments({"labels": torch.arange(5).view(1, 5)}, 2)]
    [[[0, 1]], [[2, 3]], [[4]]]
    """
    if not steps:
        yield batch
        return
    for start in range(0, batch["labels"].size(1), steps):
        yield {name: tensor[:, start : start + steps] for name, tensor in batch.items()}
