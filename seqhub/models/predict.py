"""What a classifier says of texts or values, as scores, probabilities or labels.

Scores (logits) are what the model gives and what its loss takes; probabilities are made of them here, once, in
float64. Taking the softmax of probabilities again is the mistake these functions are there to prevent: it flattens
them, keeps the order, and so goes unnoticed.

All three take any classifier of transformers: a model of texts with its tokenizer, or a model of real values, whose
`main_input_name` is `input_values`. Values are checked here (and in `seqhub.data.loader`), not in the forward pass:
looking for NaN in every batch would slow training down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidInputError
from seqhub.models.feature_extraction import value_batch
from seqhub.models.tokenizer import encode

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def predict_logits(
    model: PreTrainedModel, rows: Sequence[Any], tokenizer: Any = None, *, batch_size: int = 256
) -> Tensor | list[Tensor]:
    """Score N sequences.

    Args:
        model: A classifier, of sequences or of steps; its mode is left as it is.
        rows: Texts, or for a model of real values arrays of (steps, features), which need not be equally long.
        tokenizer: That of the model, for texts.
        batch_size: Sequences at a time; it changes memory and time, and the result by rounding only.

    Returns:
        (N, C) on the CPU, in the type of the model, classes on the last axis. Of a classifier of steps a list of N
        such tensors, (steps, C).

    Raises:
        InvalidInputError: If there is no row, the model is no classifier, or a row cannot be read: an unknown symbol,
            no step, NaN or infinity, features of another number; with its row and step.
    """
    import torch

    results: list[Tensor] = []
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in _batches(model, rows, tokenizer, batch_size):
                batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
                logits = getattr(model(**batch), "logits", None)
                if logits is None or logits.size(-1) != model.config.num_labels:
                    raise InvalidInputError(f"{type(model).__name__} scores no labels; need a classifier")
                if logits.dim() == 3:
                    masks = batch["attention_mask"].bool()
                    results += [row[mask].cpu() for row, mask in zip(logits, masks, strict=True)]
                else:
                    results += logits.cpu()
    finally:
        model.train(training)
    return results if results[0].dim() == 2 else torch.stack(results)


def predict_proba(
    model: PreTrainedModel, rows: Sequence[Any], tokenizer: Any = None, *, batch_size: int = 256
) -> Tensor | list[Tensor]:
    """Give the probability of every class, from `predict_logits`.

    Returns:
        As `predict_logits`, but float64 and in [0, 1]. By `config.problem_type`: classes that exclude each other
        (softmax, the last axis sums to 1), or of a model with `config.logistic_outputs` what each of its outputs says
        (sigmoid, whose sum may be anything); `multi_label_classification` (sigmoid, each class by itself), of which a
        single logit is two classes, (N, 2): no and yes.

    Raises:
        InvalidInputError: As `predict_logits`; or if the model is a regression, which has no probabilities.
    """
    if _is_regression(model):
        raise InvalidInputError("a regression has no probabilities; predict_logits and predict_label give its values")
    logits = predict_logits(model, rows, tokenizer, batch_size=batch_size)
    return _map(lambda each: _probabilities(model, each), logits)


def predict_label(
    model: PreTrainedModel, rows: Sequence[Any], tokenizer: Any = None, *, batch_size: int = 256
) -> list[Any]:
    """Give the label of every sequence, or a list of them for a classifier of steps.

    Returns:
        N labels. The likeliest class by its name in `config.id2label`; of a single logit, whose classes have no
        names, 0 or 1; of `multi_label_classification` the names of all classes of at least 1/2; of a regression its
        value, a float, or a list of `num_labels` of them.

    Raises:
        InvalidInputError: As `predict_logits`.
    """
    logits = predict_logits(model, rows, tokenizer, batch_size=batch_size)
    return [_labels(model, each) for each in logits]


def logistic_outputs(model: Any) -> bool:
    """Whether a model answers by logistic units instead of softmax or linear ones."""
    return bool(getattr(model.config, "logistic_outputs", False))


def _probabilities(model: PreTrainedModel, logits: Tensor) -> Tensor:
    import torch

    logits = logits.double()
    if model.config.problem_type != "multi_label_classification" and not logistic_outputs(model):
        return logits.softmax(dim=-1)
    if model.config.num_labels == 1:
        return torch.cat((-logits, logits), dim=-1).sigmoid()
    return logits.sigmoid()


def _labels(model: PreTrainedModel, logits: Tensor) -> Any:
    """The label of (C,), or a list of those of (steps, C)."""
    if logits.dim() == 2:
        return [_labels(model, step) for step in logits]
    names: Any = model.config.id2label
    if _is_regression(model):
        values: list[float] = (logits.double().sigmoid() if logistic_outputs(model) else logits.double()).tolist()
        return values if len(values) > 1 else values[0]
    if model.config.problem_type != "multi_label_classification":
        return names[int(logits.argmax())]
    if model.config.num_labels == 1:
        return int(logits[0] >= 0)
    return [names[number] for number, score in enumerate(logits.tolist()) if score >= 0]


def _is_regression(model: PreTrainedModel) -> bool:
    problem, single = model.config.problem_type, model.config.num_labels == 1
    return bool(problem == "regression" or (problem is None and single))


def _map(change: Callable[[Tensor], Tensor], logits: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return [change(each) for each in logits] if isinstance(logits, list) else change(logits)


def _batches(model: PreTrainedModel, rows: Any, tokenizer: Any, size: int) -> Iterator[dict[str, Tensor]]:
    if isinstance(rows, str):
        raise InvalidInputError(f"one text, {rows!r}; need a list of texts")
    if len(rows) == 0:
        raise InvalidInputError("no rows; need at least one")
    if size < 1:
        raise InvalidInputError(f"batch_size {size}; need at least 1")
    of_values = model.main_input_name == "input_values"
    if of_values == isinstance(rows[0], str):
        raise InvalidInputError(
            f"row 0 is a {type(rows[0]).__name__}; the model reads {'values' if of_values else 'texts'}"
        )
    if not of_values and tokenizer is None:
        raise InvalidInputError("texts without a tokenizer; need that of the model")
    features = getattr(model.config, "num_features", None)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield (
            value_batch(part, features, first_row=start)
            if of_values
            else dict(encode(tokenizer, part, first_row=start))
        )
