"""Per-example metrics for every type of target, on tensors.

Shapes: B sequences, T steps, C classes or symbols, F values at a step.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from seqhub.tasks.schema import NO_LABEL, TaskSchema


def example_accuracy(
    schema: TaskSchema, logits: Tensor, labels: Tensor, mask: Tensor, logistic: bool = False
) -> Tensor:
    """Return the accuracy of each sequence, 0 to 1: (B,) float32.

    A class is correct if it is the most probable one, a set of labels if the outputs above 1/2 are exactly its labels,
    numbers or a reconstruction if the error of each is within `schema.tolerance`. For targets with a class or a symbol
    per step, it is the share of correct steps among those that count. A `sequence` is correct if every symbol and the
    end are the most probable ones after the symbols before; then greedy generation returns exactly the target.

    Args:
        schema: Schema of the rows.
        logits: `class` (B, C), or (B, 1) for a single logit of the second of two classes; `number` (B, 1);
            `multi_label` (B, C); `numbers` (B, K); `step_class`, `next_symbol` and `sequence` (B, T, C); `inputs`
            (B, T, F).
        labels: Labels as in a batch of a `BatchLoader`.
        mask: (B, T), 1 at real steps.
        logistic: Whether the outputs are logistic units, see `predict.logistic_outputs`.
    """
    if schema.target == "class":
        return (class_scores(logits).argmax(dim=-1) == labels).float()
    if schema.target == "multi_label":
        return ((logits > 0) == (labels > 0)).all(dim=-1).float()
    if schema.target == "number":
        return ((_number(logits, logistic) - labels).abs() <= schema.tolerance).float()
    if schema.target == "numbers":
        return ((_numbers(logits, logistic) - labels).abs() <= schema.tolerance).all(dim=-1).float()
    if schema.target == "inputs":
        return (_squared_error(logits, labels, mask) <= schema.tolerance).float()
    logits, labels = _aligned(schema, logits, labels)
    counted = labels != NO_LABEL
    correct = (class_scores(logits).argmax(dim=-1) == labels) & counted
    if schema.target == "sequence":
        return (correct == counted).all(dim=1).float()
    return correct.sum(dim=1) / counted.sum(dim=1).clamp(min=1)


def example_metrics(schema: TaskSchema, logits: Tensor, labels: Tensor, mask: Tensor, logistic: bool = False) -> Tensor:
    """Return largest error, mean error, loss and accuracy of each sequence: (B, 4).

    Errors are absolute differences from the targets: of class probabilities from 1 and 0, or of real outputs. The loss
    is the mean cross-entropy in nats, over labels for `multi_label`, or the mean squared error. Logistic outputs are
    compared with 1 and 0 independently of each other, or with the number; their loss is half the sum of the squared
    errors of all outputs and steps. The accuracy is that of `example_accuracy`.
    """
    logits = logits.float()
    accuracy = example_accuracy(schema, logits, labels, mask, logistic)
    class_errors = _logistic_class_errors if logistic else _class_errors
    if schema.target == "class":
        worst, mean, loss = class_errors(logits, labels)
    elif schema.target == "number":
        worst = mean = (_number(logits, logistic) - labels).abs()
        loss = worst.square() / (2 if logistic else 1)
    elif schema.target == "multi_label":
        error = (logits.sigmoid() - labels).abs()
        worst, mean = error.amax(dim=-1), error.mean(dim=-1)
        loss = binary_cross_entropy_with_logits(logits, labels.float(), reduction="none").mean(dim=-1)
    elif schema.target == "numbers":
        error = (_numbers(logits, logistic) - labels).abs()
        worst, mean = error.amax(dim=-1), error.mean(dim=-1)
        loss = error.square().mean(dim=-1) / (2 if logistic else 1)
    elif schema.target == "inputs":
        error = (logits.flatten(2) - labels.flatten(2)).abs() * mask.unsqueeze(-1)
        worst = error.amax(dim=(1, 2))
        mean = error.sum(dim=(1, 2)) / (mask.sum(dim=1) * error.size(-1))
        loss = _squared_error(logits, labels, mask)
    else:
        logits, labels = _aligned(schema, logits, labels)
        counted = labels != NO_LABEL
        steps = counted.sum(dim=1).clamp(min=1)
        by_step = class_errors(logits, labels.clamp(min=0))
        worst = by_step[0].masked_fill(~counted, 0).amax(dim=1)
        mean, loss = (each.masked_fill(~counted, 0).sum(dim=1) for each in by_step[1:])
        mean, loss = mean / steps, loss if logistic else loss / steps
    return torch.stack([worst, mean, loss, accuracy], dim=1)


def class_scores(logits: Tensor) -> Tensor:
    """Return scores (..., C); a single logit belongs to the second of two classes, and the first one has score 0."""
    return torch.cat([torch.zeros_like(logits), logits], dim=-1) if logits.size(-1) == 1 else logits


def class_outputs(logits: Tensor, logistic: bool) -> Tensor:
    """Return the outputs for each class, in [0, 1]: softmax probabilities, or independent logistic outputs."""
    if not logistic:
        return class_scores(logits).softmax(dim=-1)
    return (torch.cat([-logits, logits], dim=-1) if logits.size(-1) == 1 else logits).sigmoid()


def _aligned(schema: TaskSchema, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores and labels of the same step; for `next_symbol`, the label is the symbol of the next step."""
    return (logits[:, :-1], labels[:, 1:]) if schema.target == "next_symbol" else (logits, labels)


def _class_errors(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return largest error, mean error and cross-entropy of scores (..., C) for labels (...)."""
    logits = class_scores(logits)
    log_probabilities = logits.log_softmax(dim=-1)
    targets = torch.nn.functional.one_hot(labels, logits.size(-1))
    difference = (log_probabilities.exp() - targets).abs()
    loss = -log_probabilities.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return difference.amax(dim=-1), difference.mean(dim=-1), loss


def _logistic_class_errors(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return largest error, mean error and half the sum of squared errors of logistic outputs."""
    single = logits.size(-1) == 1
    targets = labels.unsqueeze(-1) if single else torch.nn.functional.one_hot(labels, logits.size(-1))
    difference = (logits.sigmoid() - targets).abs()
    return difference.amax(dim=-1), difference.mean(dim=-1), difference.square().sum(dim=-1) / 2


def _number(logits: Tensor, logistic: bool) -> Tensor:
    return _numbers(logits, logistic)[..., 0]


def _numbers(logits: Tensor, logistic: bool) -> Tensor:
    return logits.sigmoid() if logistic else logits


def _squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error of each sequence over its real steps: (B,)."""
    error = (outputs.flatten(2) - targets.flatten(2)).square().mean(dim=-1)
    return (error * mask).sum(dim=1) / mask.sum(dim=1)
