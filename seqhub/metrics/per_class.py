"""Per-class accuracy of a classifier on a data loader."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import NO_LABEL

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def count_correct(model: "PreTrainedModel", batches: Iterable[Mapping[str, "Tensor"]]) -> dict[str, tuple[int, int]]:
    """Return the number of correct predictions and the total number of each class, as (correct, total).

    Args:
        model: Classifier of sequences or of steps with mutually exclusive classes. A single logit belongs to the second
            of two classes; their names are `not` its label and its label. The training mode is restored afterwards.
        batches: Iterable of batches of model inputs with `labels`, class indices (B,) or (B, T), NO_LABEL at steps that
            do not count: a `DataLoader`, a `BatchLoader` or a list. A `DatasetLoader` is restarted at its first row.

    Raises:
        InvalidInputError: The model is not such a classifier, a label is out of range, or the shapes of labels and
            predictions differ.
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
                inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
                labels = inputs.pop("labels").cpu()
                predictions = class_scores(model(**inputs).logits).argmax(dim=-1).cpu()
                if predictions.shape != labels.shape:
                    raise InvalidInputError(
                        f"labels of shape {tuple(labels.shape)}; must be {tuple(predictions.shape)}, as the predictions"
                    )
                counted = labels != NO_LABEL
                labels, predictions = labels[counted].long(), predictions[counted]
                wrong = labels[(labels < 0) | (labels >= len(names))]
                if len(wrong):
                    raise InvalidInputError(f"label {int(wrong[0])}: must be 0 to {len(names) - 1}")
                counts[0] += torch.bincount(labels[labels == predictions], minlength=len(names))
                counts[1] += torch.bincount(labels, minlength=len(names))
    finally:
        model.train(training)
    return {name: (int(correct), int(total)) for name, correct, total in zip(names, *counts.tolist(), strict=True)}


def _classes(model: "PreTrainedModel") -> list[str]:
    """Return the class names of a classifier."""
    names = [name for _, name in sorted((model.config.id2label or {}).items())]
    problem = model.config.problem_type
    if problem == "multi_label_classification" and len(names) == 1:
        return [f"not {names[0]}", names[0]]
    if problem not in (None, "single_label_classification") or len(names) < 2 or not hasattr(model, "classifier"):
        raise InvalidInputError(
            f"{type(model).__name__} with problem_type {problem} and {len(names)} labels; must be a classifier "
            "with mutually exclusive classes"
        )
    return names
