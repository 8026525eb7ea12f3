"""Long sequences cut into chunks of steps: truncated backpropagation through time.

Each chunk is an optimizer step of its own. The state goes on from chunk to chunk, the gradient does not (Williams &
Peng, 1990, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories").
"""

from collections.abc import Iterator

from torch import Tensor

Batch = dict[str, Tensor]


def chunks(batch: Batch, steps: int) -> Iterator[Batch]:
    """Cut tensors (B, T, ...) into parts of `steps` steps, the last one shorter where they do not divide T.

    Args:
        batch: As a feed gives it, with labels for each step.
        steps: Of a chunk; 0 for the batch as it is.

    >>> import torch
    >>> [part["labels"].tolist() for part in chunks({"labels": torch.arange(5).view(1, 5)}, 2)]
    [[[0, 1]], [[2, 3]], [[4]]]
    """
    if not steps:
        yield batch
        return
    for start in range(0, batch["labels"].size(1), steps):
        yield {name: tensor[:, start : start + steps] for name, tensor in batch.items()}
