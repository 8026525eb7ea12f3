"""What a model's outputs are worth, sequence by sequence, for every kind of target: tensors in, tensors out.

Shapes: B sequences, T steps, C classes or symbols, F values at a step.
"""

import torch
from torch import Tensor

from seqhub.tasks.base import NO_LABEL, Layout


def right_share(layout: Layout, logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """How much of each sequence is right, 0 to 1: (B,) float32.

    A class is right where it is the likeliest, a number or a reconstruction where it is within `layout.tolerance`. Of
    targets with a class or a symbol per step it is the share of the steps that count.

    Args:
        layout: What is to be learnt.
        logits: `class` (B, C), or (B, 1) of a single logit for the second of two classes; `number` (B, 1);
            `step_class` and `next_symbol` (B, T, C); `inputs` (B, T, F).
        labels: As a feed gives them.
        mask: (B, T), 1 at real steps.
    """
    if layout.target == "class":
        return (class_scores(logits).argmax(dim=-1) == labels).float()
    if layout.target == "number":
        return ((logits[..., 0] - labels).abs() <= layout.tolerance).float()
    if layout.target == "inputs":
        return (_squared_error(logits, labels, mask) <= layout.tolerance).float()
    logits, labels = _aligned(layout, logits, labels)
    counted = labels != NO_LABEL
    right = (class_scores(logits).argmax(dim=-1) == labels) & counted
    return right.sum(dim=1) / counted.sum(dim=1).clamp(min=1)


def judge(layout: Layout, logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """(B, 4): error of the worst output, mean error of the outputs, loss, and `right_share`.

    Errors are absolute differences from the targets: of class probabilities from 1 and 0, or of real outputs. The loss
    is the mean cross-entropy in nats, or the mean squared error.
    """
    logits = logits.float()
    right = right_share(layout, logits, labels, mask)
    if layout.target == "class":
        worst, mean, loss = _against_classes(class_scores(logits), labels)
    elif layout.target == "number":
        worst = mean = (logits[..., 0] - labels).abs()
        loss = worst.square()
    elif layout.target == "inputs":
        error = (logits.flatten(2) - labels.flatten(2)).abs() * mask.unsqueeze(-1)
        worst = error.amax(dim=(1, 2))
        mean = error.sum(dim=(1, 2)) / (mask.sum(dim=1) * error.size(-1))
        loss = _squared_error(logits, labels, mask)
    else:
        logits, labels = _aligned(layout, logits, labels)
        counted = labels != NO_LABEL
        steps = counted.sum(dim=1).clamp(min=1)
        by_step = _against_classes(class_scores(logits), labels.clamp(min=0))
        worst = by_step[0].masked_fill(~counted, 0).amax(dim=1)
        mean, loss = (each.masked_fill(~counted, 0).sum(dim=1) / steps for each in by_step[1:])
    return torch.stack([worst, mean, loss, right], dim=1)


def class_scores(logits: Tensor) -> Tensor:
    """Scores of both classes where there is a single logit, which is that of the second against 0."""
    return torch.cat([torch.zeros_like(logits), logits], dim=-1) if logits.size(-1) == 1 else logits


def _aligned(layout: Layout, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and labels of the same step: a next symbol is the one a step later."""
    return (logits[:, :-1], labels[:, 1:]) if layout.target == "next_symbol" else (logits, labels)


def _against_classes(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Worst error, mean error and cross-entropy of scores (..., C) against classes (...)."""
    log_probabilities = logits.log_softmax(dim=-1)
    targets = torch.nn.functional.one_hot(labels, logits.size(-1))
    difference = (log_probabilities.exp() - targets).abs()
    loss = -log_probabilities.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return difference.amax(dim=-1), difference.mean(dim=-1), loss


def _squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of each sequence over its real steps: (B,)."""
    error = (outputs.flatten(2) - targets.flatten(2)).square().mean(dim=-1)
    return (error * mask).sum(dim=1) / mask.sum(dim=1)
