"""How many of each class a classifier gets right, over any loader."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import NO_LABEL

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def count_right(model: "PreTrainedModel", batches: Iterable[Mapping[str, "Tensor"]]) -> dict[str, tuple[int, int]]:
    """Count right answers and all of each class, as (right, total).

    Args:
        model: A classifier of sequences or of steps, whose classes exclude each other. A single logit is that of the
            second of two classes, named by its label and by `not` its label. Its mode is left as it is.
        batches: Any iterable of what the model takes, with `labels`, (B,) or (B, T) class numbers, NO_LABEL where none
            counts: a `DataLoader`, a feed, a list. A feed of fixed rows is read from its first row on, wherever it was.

    Raises:
        InvalidInputError: The model is no such classifier, or the labels are none of its classes or not as many as its
            answers.
    """
    import torch

    from seqhub.data.loader import DatasetLoader
    from seqhub.metrics.per_example import class_scores

    names = _classes(model)
    counts = torch.zeros(2, len(names), dtype=torch.int64)
    training = model.training
    if isinstance(batches, DatasetLoader):
        batches.restart()
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                given = {name: tensor.to(model.device) for name, tensor in batch.items()}
                labels = given.pop("labels").cpu()
                answers = class_scores(model(**given).logits).argmax(dim=-1).cpu()
                if answers.shape != labels.shape:
                    raise InvalidInputError(f"labels {tuple(labels.shape)} for answers {tuple(answers.shape)}")
                counted = labels != NO_LABEL
                labels, answers = labels[counted].long(), answers[counted]
                wrong = labels[(labels < 0) | (labels >= len(names))]
                if len(wrong):
                    raise InvalidInputError(f"label {int(wrong[0])}; the classes are 0 to {len(names) - 1}")
                counts[0] += torch.bincount(labels[labels == answers], minlength=len(names))
                counts[1] += torch.bincount(labels, minlength=len(names))
    finally:
        model.train(training)
    return {name: (int(right), int(total)) for name, right, total in zip(names, *counts.tolist(), strict=True)}


def _classes(model: "PreTrainedModel") -> list[str]:
    """Names of the classes that a classifier tells apart, of which each row or step has one."""
    names = [name for _, name in sorted((model.config.id2label or {}).items())]
    problem = model.config.problem_type
    if problem == "multi_label_classification" and len(names) == 1:
        return [f"not {names[0]}", names[0]]
    if problem not in (None, "single_label_classification") or len(names) < 2 or not hasattr(model, "classifier"):
        raise InvalidInputError(f"{type(model).__name__}, {problem}, {len(names)} labels; need a classifier")
    return names
