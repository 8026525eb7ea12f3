"""Simple predictions for the rows of a file, which a model should exceed.

    majority, mean        the most frequent class or symbol of the training rows, or their mean number
    frequent labels       the same labels for every row: the most frequent ones, as many as have the highest micro F1
                          on the training rows; `majority` has those of more than half of them
    symbol counts         naive Bayes classifier of the numbers of each symbol in a text (bag of words); for numbers,
                          ridge regression on the shares of the most frequent symbols
    series statistics     ridge regression on mean, deviation, least, largest, first and last value of each channel
    each step alone       the most frequent class of each symbol, or ridge regression on the values of one step
    previous symbol       the most frequent symbol after each symbol
    frequent target       the most frequent target text of the training rows
    copy of the text      the text itself as its target

Ridge regressions of classes are on their indicators; the largest prediction is the class, and labels are predicted
above 1/2. Naive Bayes classifiers of labels decide about each label alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.source import DataSource
from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema

_MOST_SYMBOLS = 500  # columns of a regression
_RIDGE = 1.0  # penalty on standardised columns
_ROWS_AT_ONCE = 4_096
_MOST_VALUES = 1 << 26  # of a split, padded to its longest row


def simple_baselines(source: DataSource) -> dict[str, dict[str, float]]:
    """Return name -> split -> accuracy (of steps, if they have classes), micro F1 of labels, or mean squared error.

    The rows are those of a file; validation and test are measured. Of very many rows, equally spaced ones are used, see
    `_MOST_VALUES`.
    """
    parts = {name: _whole(source, name) for name in ("train", "validation", "test")}
    schema, train = source.schema, parts.pop("train")
    if schema.target == "class":
        found = _of_classes(schema, train, parts)
    elif schema.target == "multi_label":
        found = _of_labels(schema, train, parts)
    elif schema.target in ("number", "numbers"):
        found = _of_numbers(schema, train, parts)
    elif schema.target == "step_class":
        found = _of_steps(schema, train, parts)
    elif schema.target == "sequence":
        found = _of_sequences(schema, train, parts)
    else:
        found = _of_next_symbols(schema, train, parts)
    return {name: {split: float(value) for split, value in measured.items()} for name, measured in found.items()}


Measured = dict[str, dict[str, Any]]


def _whole(source: DataSource, name: str) -> Batch:
    """Return all rows of a split, or as many as fit into the memory, equally spaced."""
    split = source.split(name)
    rows = split.ragged
    if rows is None:
        return split.blocks(0, -(-source.sizes[name] // 1024))
    most = max(1, _MOST_VALUES // (max(1, source.schema.num_features) * int(rows.lengths.max())))
    if most >= len(rows):
        return rows[:]
    return rows[np.arange(most) * len(rows) // most]


def _of_classes(schema: TaskSchema, train: Batch, parts: dict[str, Batch]) -> Measured:
    classes = len(schema.labels)
    most = np.bincount(train.labels, minlength=classes).argmax()
    found = {"majority": {name: (part.labels == most).mean() for name, part in parts.items()}}
    if schema.vocabulary is None:
        predict = _regression(series_statistics(train), np.eye(classes)[train.labels])
        found["series statistics"] = {
            name: (predict(series_statistics(part)).argmax(axis=1) == part.labels).mean()
            for name, part in parts.items()
        }
        return found
    size = len(schema.vocabulary) + 1
    counts = np.zeros((classes, size))
    for label in range(classes):
        members = train.inputs[train.labels == label]
        counts[label] = np.bincount(members[members > 0], minlength=size)
    scores = np.log(counts + 1) - np.log((counts[:, 1:] + 1).sum(axis=1, keepdims=True))
    scores[:, 0] = 0  # padding
    prior = np.log(np.bincount(train.labels, minlength=classes))
    found["symbol counts"] = {
        name: (_sums(scores, part.inputs, prior).argmax(axis=1) == part.labels).mean() for name, part in parts.items()
    }
    return found


def _of_labels(schema: TaskSchema, train: Batch, parts: dict[str, Batch]) -> Measured:
    rows, totals = len(train), train.labels.sum(axis=0)
    order = np.argsort(-totals, kind="stable")
    scores = 2 * np.cumsum(totals[order]) / (np.arange(1, len(order) + 1) * rows + totals.sum())
    frequent = np.zeros(len(order), np.bool_)
    frequent[order[: int(scores.argmax()) + 1]] = True
    found = {
        name: {split: _micro_f1(np.broadcast_to(chosen, part.labels.shape), part) for split, part in parts.items()}
        for name, chosen in (("majority", totals > rows / 2), ("frequent labels", frequent))
    }
    if schema.vocabulary is None:
        predict = _regression(series_statistics(train), train.labels.astype(np.float64))
        found["series statistics"] = {
            name: _micro_f1(predict(series_statistics(part)) > 0.5, part) for name, part in parts.items()
        }
        return found
    size = len(schema.vocabulary) + 1
    weights, prior = np.zeros((len(order), size)), np.empty(len(order))
    total = np.bincount(train.inputs[train.inputs > 0], minlength=size)
    for label in range(len(order)):
        members = train.inputs[train.labels[:, label] > 0]
        held = np.bincount(members[members > 0], minlength=size)
        pair = [np.log(counts + 1) - np.log((counts[1:] + 1).sum()) for counts in (held, total - held)]
        weights[label] = pair[0] - pair[1]
        prior[label] = np.log(totals[label] + 1) - np.log(rows - totals[label] + 1)
    weights[:, 0] = 0  # padding
    found["symbol counts"] = {
        name: _micro_f1(_sums(weights, part.inputs, prior) > 0, part) for name, part in parts.items()
    }
    return found


def _micro_f1(predicted: NDArray[np.bool_], part: Batch) -> float:
    held = part.labels > 0
    possible = int(predicted.sum()) + int(held.sum())
    return 2 * int((predicted & held).sum()) / possible if possible else 0.0


def _sums(scores: NDArray[np.float64], inputs: NDArray[Any], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums (N, C) of the scores (C, V) of the symbols of each text."""
    sums = np.empty((len(inputs), len(scores)))
    for start in range(0, len(inputs), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        for number, each in enumerate(scores):
            sums[part, number] = each[inputs[part]].sum(axis=1) + prior[number]
    return sums


def _of_numbers(schema: TaskSchema, train: Batch, parts: dict[str, Batch]) -> Measured:
    mean = train.labels.mean(axis=0, dtype=np.float64)
    found = {"mean": {name: np.square(part.labels - mean).mean() for name, part in parts.items()}}
    if schema.vocabulary is None:
        name, features = "series statistics", series_statistics
    else:
        frequent = np.bincount(train.inputs[train.inputs > 0])
        chosen = np.argsort(-frequent, kind="stable")[: min(_MOST_SYMBOLS, (frequent > 0).sum())]
        place = np.full(len(schema.vocabulary) + 1, len(chosen))
        place[chosen] = np.arange(len(chosen))

        def features(part: Batch) -> NDArray[np.float64]:
            counts = np.zeros((len(part), len(chosen) + 1))
            rows = np.repeat(np.arange(len(part)), part.inputs.shape[1])
            real = part.inputs.reshape(-1) > 0
            np.add.at(counts, (rows[real], place[part.inputs.reshape(-1)[real]]), 1)
            return counts / part.lengths[:, None]

        name = "symbol counts"
    predict = _regression(features(train), train.labels.reshape(len(train), -1).astype(np.float64))
    found[name] = {
        split: np.square(predict(features(part)).reshape(part.labels.shape) - part.labels).mean()
        for split, part in parts.items()
    }
    return found


def _of_steps(schema: TaskSchema, train: Batch, parts: dict[str, Batch]) -> Measured:
    classes = len(schema.labels)
    counted = train.labels != NO_LABEL
    most = np.bincount(train.labels[counted], minlength=classes).argmax()

    def accuracy(part: Batch, predicted: Any) -> float:
        labelled = part.labels != NO_LABEL
        right = (part.labels == predicted) & labelled
        return float(right.sum() / max(1, labelled.sum()))

    found = {"majority": {name: accuracy(part, most) for name, part in parts.items()}}
    if schema.vocabulary is not None:
        table = np.zeros((len(schema.vocabulary) + 1, classes), np.int64)
        np.add.at(table, (train.inputs[counted], train.labels[counted]), 1)
        table[:, most] += table.sum(axis=1) == 0
        best = table.argmax(axis=1)
        found["each step alone"] = {name: accuracy(part, best[part.inputs]) for name, part in parts.items()}
        return found
    predict = _regression(train.inputs[counted].astype(np.float64), np.eye(classes)[train.labels[counted]])
    found["each step alone"] = {
        name: accuracy(part, predict(part.inputs.reshape(-1, part.inputs.shape[2])).argmax(axis=1).reshape(
            part.labels.shape)) for name, part in parts.items()
    }  # fmt: skip
    return found


def _of_next_symbols(schema: TaskSchema, train: Batch, parts: dict[str, Batch]) -> Measured:
    assert schema.vocabulary is not None
    size = len(schema.vocabulary) + 1
    before, after = _pairs(train)
    most = np.bincount(after, minlength=size).argmax()
    found: Measured = {"majority": {}, "previous symbol": {}}
    pairs, counts = np.unique(before.astype(np.int64) * size + after, return_counts=True)
    best = np.full(size, most)
    order = np.argsort(counts, kind="stable")  # the most frequent successor of each symbol is written last
    best[pairs[order] // size] = pairs[order] % size
    for name, part in parts.items():
        before, after = _pairs(part)
        found["majority"][name] = (after == most).mean()
        found["previous symbol"][name] = (best[before] == after).mean()
    return found


def _of_sequences(schema: TaskSchema, train: Batch, parts: dict[str, Batch]) -> Measured:
    """Return shares of exact matches; without a text in the row, only of the most frequent target."""
    different, counts = np.unique(train.labels, axis=0, return_counts=True)
    most = different[counts.argmax()]
    found: Measured = {
        "frequent target": {name: (part.labels == most).all(axis=1).mean() for name, part in parts.items()}
    }
    if schema.vocabulary is not None:
        found["copy of the text"] = {name: _equal(part).mean() for name, part in parts.items()}
    return found


def _equal(part: Batch) -> NDArray[np.bool_]:
    """Return whether each text equals its target, (N,)."""
    width = max(part.inputs.shape[1], part.labels.shape[1])
    texts, targets = np.zeros((len(part), width), np.int64), np.zeros((len(part), width), np.int64)
    texts[:, : part.inputs.shape[1]] = part.inputs
    targets[:, : part.labels.shape[1]] = np.where(part.labels == NO_LABEL, 0, part.labels)
    equal: NDArray[np.bool_] = (texts == targets).all(axis=1)
    return equal


def _pairs(part: Batch) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all symbols that have a next one, and the next ones."""
    real = part.inputs[:, 1:] > 0
    return part.inputs[:, :-1][real], part.inputs[:, 1:][real]


def series_statistics(part: Batch) -> NDArray[np.float64]:
    """Return mean, deviation, least, largest, first and last value of each feature, (N, 6 F)."""
    values = part.inputs.astype(np.float64)
    real = (np.arange(values.shape[1]) < part.lengths[:, None])[:, :, None]
    count = part.lengths[:, None]
    mean = values.sum(axis=1) / count
    deviation = np.sqrt((np.square(values - mean[:, None]) * real).sum(axis=1) / count)
    least = np.where(real, values, np.inf).min(axis=1)
    largest = np.where(real, values, -np.inf).max(axis=1)
    last = values[np.arange(len(values)), part.lengths - 1]
    return np.concatenate([mean, deviation, least, largest, values[:, 0], last], axis=1)


def _regression(features: NDArray[np.float64], targets: NDArray[np.float64]) -> Any:
    """Return a function that predicts (N, K) from (N, D), fitted by ridge regression on standardised columns."""
    center, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-12, spread, 1.0)
    offset = targets.mean(axis=0)
    columns = (features - center) / spread
    gram = columns.T @ columns + _RIDGE * np.eye(columns.shape[1])
    weights = np.linalg.solve(gram, columns.T @ (targets - offset))
    return lambda given: (given - center) / spread @ weights + offset
