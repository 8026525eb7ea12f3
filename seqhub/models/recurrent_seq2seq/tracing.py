"""Padding without branches on values, for tracing and export.

This file is saved with the weights, so it does not import seqhub. Every model family has an identical copy.

A traced or exported program runs on other batches than its example. It therefore has the same operations for every
batch, length and padding: no branches on the contents of a tensor, and no sizes that depend on them.
"""

import torch
from torch import Tensor

# PyTorch 2.6 does not distinguish torch.export from torch.compile
is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def is_tracing() -> bool:
    """Return whether torch.jit.trace is running."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def is_recording() -> bool:
    """Return whether torch.jit.trace or torch.export is running."""
    return is_tracing() or bool(is_exporting())


def real_steps_order(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the permutation that moves the real steps of each row to the front, and its inverse.

    Args:
        mask: (B, T), True at real steps.

    Returns:
        order: (B, T), the step at each new position: real steps first, then padded steps, each in original order.
        back: (B, T), the new position of each step.
    """
    count = mask.long().cumsum(1)
    steps = torch.arange(mask.size(1), device=mask.device).expand_as(count)
    back = torch.where(mask, count - 1, count[:, -1:] + steps - count)
    return torch.zeros_like(back).scatter(1, back, steps), back
