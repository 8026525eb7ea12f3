"""Prediction of logits, probabilities or labels with a classifier for texts or values, and generation of texts.

Models return logits, and their losses take logits. Probabilities are computed from logits here, once and in float64. A
second softmax would flatten the probabilities without changing their order, so that accuracy does not show the mistake.

The first three functions support any classifier of transformers: a model for texts with its tokenizer, or a model for
real values, whose `main_input_name` is `input_values`. Values are checked here (and in `seqhub.data.loader`) and not in
the forward pass, because checking every batch for NaN would slow down training.
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
    """Return the logits of N sequences.

    Args:
        model: Classifier of sequences or of steps; its mode (train or eval) does not change.
        rows: Texts; for a model of real values, arrays of (steps, features) of any lengths.
        tokenizer: Tokenizer of the model, for texts.
        batch_size: Sequences in a batch, at least 1; it affects memory and time, and results only by rounding.

    Returns:
        (N, C) on the CPU, with the data type of the model and classes on the last axis. For a classifier of steps, a
        list of N tensors (steps, C).

    Raises:
        InvalidInputError: If there are no rows, the model is not a classifier, or a row is invalid: an unknown symbol,
            no step, NaN or infinity, another number of features; the message has row and step.
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
                    raise InvalidInputError(
                        f"{type(model).__name__} is not a classifier: its output does not have logits of labels"
                    )
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
    """Return the probability of every class.

    Returns:
        As in `predict_logits`, but float64 in [0, 1]. By `config.problem_type`: softmax for mutually exclusive classes
        (the last axis sums to 1), sigmoid of each logit with `config.logistic_outputs`, and sigmoid of each logit for
        `multi_label_classification`, where a single logit gives two classes, (N, 2): no and yes.

    Raises:
        InvalidInputError: As in `predict_logits`, or if the model is a regression model.
    """
    if is_regression(model):
        raise InvalidInputError("a regression model has no probabilities; use predict_logits or predict_label")
    logits = predict_logits(model, rows, tokenizer, batch_size=batch_size)
    return _map(lambda each: probabilities_of(model, each), logits)


def predict_label(
    model: PreTrainedModel, rows: Sequence[Any], tokenizer: Any = None, *, batch_size: int = 256
) -> list[Any]:
    """Return the label of every sequence, or a list of labels for a classifier of steps.

    Returns:
        N labels: the name in `config.id2label` of the class with the highest probability; for a single logit, whose
        classes have no names, 0 or 1; for `multi_label_classification` the names of all classes with a probability of
        at least 1/2; for regression the value, a float, or a list of `num_labels` floats.

    Raises:
        InvalidInputError: As in `predict_logits`.
    """
    logits = predict_logits(model, rows, tokenizer, batch_size=batch_size)
    return [labels_of(model, each) for each in logits]


def generate_texts(
    model: PreTrainedModel, rows: Sequence[Any], tokenizer: Any, *, batch_size: int = 256, **settings: Any
) -> list[str]:
    """Return the text that an encoder-decoder generates for every sequence, by default greedily.

    Args:
        model: Model whose target is another sequence; its mode (train or eval) does not change.
        rows: N texts; for a model of real values, arrays of (steps, features) of any lengths.
        tokenizer: Tokenizer of the generated texts, and of the rows if these are texts.
        batch_size: Sequences in a batch, at least 1.
        **settings: Arguments of `generate`, such as `num_beams`.

    Raises:
        InvalidInputError: If there are no rows, or a row is invalid, as in `predict_logits`.
    """
    import torch

    texts: list[str] = []
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in _batches(model, rows, tokenizer, batch_size):
                inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
                ids = model.generate(**inputs, **{"do_sample": False, **settings})  # type: ignore[operator]
                texts += tokenizer.batch_decode(ids, skip_special_tokens=True)
    finally:
        model.train(training)
    return texts


def logistic_outputs(model: Any) -> bool:
    """Return whether the outputs of a model are logistic units, and not softmax or linear."""
    return bool(getattr(model.config, "logistic_outputs", False))


def probabilities_of(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """Return the probabilities of logits (..., C), as in `predict_proba`."""
    import torch

    logits = logits.double()
    if model.config.problem_type != "multi_label_classification" and not logistic_outputs(model):
        return logits.softmax(dim=-1)
    if model.config.num_labels == 1:
        return torch.cat((-logits, logits), dim=-1).sigmoid()
    return logits.sigmoid()


def labels_of(model: PreTrainedModel, logits: Tensor) -> Any:
    """Return the label for logits (C,), or a list of labels for (steps, C), as in `predict_label`."""
    if logits.dim() == 2:
        return [labels_of(model, step) for step in logits]
    names: Any = model.config.id2label
    if is_regression(model):
        values: list[float] = (logits.double().sigmoid() if logistic_outputs(model) else logits.double()).tolist()
        return values if len(values) > 1 else values[0]
    if model.config.problem_type != "multi_label_classification":
        return names[int(logits.argmax())]
    if model.config.num_labels == 1:
        return int(logits[0] >= 0)
    return [names[number] for number, score in enumerate(logits.tolist()) if score >= 0]


def is_regression(model: PreTrainedModel) -> bool:
    """Return whether the outputs of a model are numbers and not scores of classes."""
    problem, single = model.config.problem_type, model.config.num_labels == 1
    return bool(problem == "regression" or (problem is None and single))


def _map(change: Callable[[Tensor], Tensor], logits: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return [change(each) for each in logits] if isinstance(logits, list) else change(logits)


def _batches(model: PreTrainedModel, rows: Any, tokenizer: Any, size: int) -> Iterator[dict[str, Tensor]]:
    if isinstance(rows, str):
        raise InvalidInputError(f"rows={rows!r}: must be a list of texts")
    if len(rows) == 0:
        raise InvalidInputError("rows=[]: must have at least one row")
    if size < 1:
        raise InvalidInputError(f"batch_size={size}: must be at least 1")
    takes_values = model.main_input_name == "input_values"
    if takes_values == isinstance(rows[0], str):
        raise InvalidInputError(
            f"row 0 is a {type(rows[0]).__name__}; the model reads {'values' if takes_values else 'texts'}"
        )
    if not takes_values and tokenizer is None:
        raise InvalidInputError("tokenizer=None: must be the tokenizer of the model for texts")
    features = getattr(model.config, "num_features", None)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield (
            value_batch(part, features, first_row=start)
            if takes_values
            else dict(encode(tokenizer, part, first_row=start))
        )
