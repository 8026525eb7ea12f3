"""What a model's outputs are worth, sequence by sequence, for every kind of target: tensors in, tensors out.

Shapes: B sequences, T steps, C classes or symbols, F values at a step.
"""

import torch
from torch import Tensor

from seqhub.tasks.schema import NO_LABEL, TaskSchema


def right_share(schema: TaskSchema, logits: Tensor, labels: Tensor, mask: Tensor, logistic: bool = False) -> Tensor:
    """How much of each sequence is right, 0 to 1: (B,) float32.

    A class is right where it is the likeliest, a number or a reconstruction where it is within `schema.tolerance`. Of
    targets with a class or a symbol per step it is the share of the steps that count.

    Args:
        schema: What is to be learnt.
        logits: `class` (B, C), or (B, 1) of a single logit for the second of two classes; `number` (B, 1);
            `step_class` and `next_symbol` (B, T, C); `inputs` (B, T, F).
        labels: As a feed gives them.
        mask: (B, T), 1 at real steps.
        logistic: Whether the outputs are logistic units, as `predict.logistic_outputs` says of a model.
    """
    if schema.target == "class":
        return (class_scores(logits).argmax(dim=-1) == labels).float()
    if schema.target == "number":
        return ((_number(logits, logistic) - labels).abs() <= schema.tolerance).float()
    if schema.target == "inputs":
        return (_squared_error(logits, labels, mask) <= schema.tolerance).float()
    logits, labels = _aligned(schema, logits, labels)
    counted = labels != NO_LABEL
    right = (class_scores(logits).argmax(dim=-1) == labels) & counted
    return right.sum(dim=1) / counted.sum(dim=1).clamp(min=1)


def example_metrics(schema: TaskSchema, logits: Tensor, labels: Tensor, mask: Tensor, logistic: bool = False) -> Tensor:
    """(B, 4): error of the worst output, mean error of the outputs, loss, and `right_share`.

    Errors are absolute differences from the targets: of class probabilities from 1 and 0, or of real outputs. The loss
    is the mean cross-entropy in nats, or the mean squared error. Logistic outputs are held against 1 and 0, each by
    itself, or against the number; their loss is half the sum of the squared errors of all outputs and steps.
    """
    logits = logits.float()
    right = right_share(schema, logits, labels, mask, logistic)
    against_classes = _logistic_against_classes if logistic else _against_classes
    if schema.target == "class":
        worst, mean, loss = against_classes(logits, labels)
    elif schema.target == "number":
        worst = mean = (_number(logits, logistic) - labels).abs()
        loss = worst.square() / (2 if logistic else 1)
    elif schema.target == "inputs":
        error = (logits.flatten(2) - labels.flatten(2)).abs() * mask.unsqueeze(-1)
        worst = error.amax(dim=(1, 2))
        mean = error.sum(dim=(1, 2)) / (mask.sum(dim=1) * error.size(-1))
        loss = _squared_error(logits, labels, mask)
    else:
        logits, labels = _aligned(schema, logits, labels)
        counted = labels != NO_LABEL
        steps = counted.sum(dim=1).clamp(min=1)
        by_step = against_classes(logits, labels.clamp(min=0))
        worst = by_step[0].masked_fill(~counted, 0).amax(dim=1)
        mean, loss = (each.masked_fill(~counted, 0).sum(dim=1) for each in by_step[1:])
        mean, loss = mean / steps, loss if logistic else loss / steps
    return torch.stack([worst, mean, loss, right], dim=1)


def class_scores(logits: Tensor) -> Tensor:
    """Scores of both classes where there is a single logit, which is that of the second against 0."""
    return torch.cat([torch.zeros_like(logits), logits], dim=-1) if logits.size(-1) == 1 else logits


def class_outputs(logits: Tensor, logistic: bool) -> Tensor:
    """What the outputs say of each class, in [0, 1]: probabilities, or logistic outputs, each by itself."""
    if not logistic:
        return class_scores(logits).softmax(dim=-1)
    return (torch.cat([-logits, logits], dim=-1) if logits.size(-1) == 1 else logits).sigmoid()


def _aligned(schema: TaskSchema, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and labels of the same step: a next symbol is the one a step later."""
    return (logits[:, :-1], labels[:, 1:]) if schema.target == "next_symbol" else (logits, labels)


def _against_classes(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Worst error, mean error and cross-entropy of scores (..., C) against classes (...)."""
    logits = class_scores(logits)
    log_probabilities = logits.log_softmax(dim=-1)
    targets = torch.nn.functional.one_hot(labels, logits.size(-1))
    difference = (log_probabilities.exp() - targets).abs()
    loss = -log_probabilities.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return difference.amax(dim=-1), difference.mean(dim=-1), loss


def _logistic_against_classes(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Worst error, mean error and half the sum of squared errors of logistic outputs."""
    single = logits.size(-1) == 1
    targets = labels.unsqueeze(-1) if single else torch.nn.functional.one_hot(labels, logits.size(-1))
    difference = (logits.sigmoid() - targets).abs()
    return difference.amax(dim=-1), difference.mean(dim=-1), difference.square().sum(dim=-1) / 2


def _number(logits: Tensor, logistic: bool) -> Tensor:
    return logits[..., 0].sigmoid() if logistic else logits[..., 0]


def _squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of each sequence over its real steps: (B,)."""
    error = (outputs.flatten(2) - targets.flatten(2)).square().mean(dim=-1)
    return (error * mask).sum(dim=1) / mask.sum(dim=1)
