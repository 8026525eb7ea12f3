"""Metrics of targets that are sequences."""

from itertools import product

import numpy as np
import pytest
import torch

from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.metrics.edit_distance import edit_distance
from seqhub.metrics.intervals import wilson_interval
from seqhub.metrics.per_example import example_accuracy, example_metrics
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

SCHEMA = TaskSchema(step_shape=(1,), target="sequence", target_vocabulary=Vocabulary("abc"), max_target=4)
END = SCHEMA.end_id
LABELS = torch.tensor([[1, 2, END, NO_LABEL], [3, END, NO_LABEL, NO_LABEL], [2, 2, 1, END]])


def scores(predictions: list[list[int]]) -> torch.Tensor:
    """Return logits that are 2 for the predicted id and 0 for the others."""
    return 2.0 * torch.nn.functional.one_hot(torch.tensor(predictions), END + 1)


def slow_distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return the edit distance by its recursive definition."""
    if not one or not other:
        return len(one) + len(other)
    if one[0] == other[0]:
        return slow_distance(one[1:], other[1:])
    return 1 + min(slow_distance(one[1:], other), slow_distance(one, other[1:]), slow_distance(one[1:], other[1:]))


def test_the_edit_distance_is_that_of_the_definition() -> None:
    sequences = [each for length in range(5) for each in product((1, 2), repeat=length)]
    for one, other in product(sequences[::2], sequences[::3]):
        assert edit_distance(one, other) == slow_distance(one, other)
    assert edit_distance(list(map(ord, "kitten")), list(map(ord, "sitting"))) == 3


def test_a_sequence_is_right_if_all_its_symbols_and_its_end_are() -> None:
    """Predictions in the padding do not matter."""
    logits = scores([[1, 2, END, 3], [3, 3, 3, 3], [2, 2, 1, END]])
    mask = torch.ones(3, 1)
    assert example_accuracy(SCHEMA, logits, LABELS, mask).tolist() == [1, 0, 1]
    metrics = example_metrics(SCHEMA, logits, LABELS, mask)
    assert metrics[:, 3].tolist() == [1, 0, 1]
    for row, loss in enumerate(metrics[:, 2]):
        expected = torch.nn.functional.cross_entropy(logits[row], LABELS[row])
        torch.testing.assert_close(loss, expected)


def test_metrics_of_several_batches() -> None:
    logits = scores([[1, 2, END, 3], [3, 3, 3, 3], [2, 1, 1, 2]])
    generated = [None, [3, 3, 3], []]
    metrics = MetricAccumulator(SCHEMA, 5)
    masks = torch.tensor([[[1, 0], [1, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]]])
    metrics.add(logits, LABELS, masks[0], generated)
    metrics.add(logits, LABELS, masks[1], generated)  # the last row is beyond those to accumulate
    found = metrics.metrics()
    exact, token, edits = 2, 2 * (1 + 1 / 2) + 2 / 4, 2 * (0 + 2 / 3) + 3 / 3
    loss = torch.nn.functional.cross_entropy(
        torch.cat([logits, logits[:2]]).flatten(0, 1).double(), torch.cat([LABELS, LABELS[:2]]).flatten()
    )
    assert found == {
        "examples": 5,
        "tokens": 2 * (3 + 2) + 4,
        "accuracy": exact / 5,
        "interval": list(wilson_interval(exact, 5)),
        "loss": pytest.approx(float(loss)),
        "token_accuracy": pytest.approx(token / 5),
        "token_interval": pytest.approx(list(wilson_interval(token, 5))),
        "edit_distance": pytest.approx(edits / 5),
        "edit_interval": pytest.approx(list(wilson_interval(edits, 5))),
        "by_length": {"1": {"correct": 1, "total": 2}, "2": {"correct": 1, "total": 3}},
    }


def test_the_interval_of_shares_covers_their_mean() -> None:
    """For uniform numbers, whose variance is a third of the largest one."""
    random = np.random.default_rng(0)
    means = random.random((1_000, 50)).mean(axis=1)
    bounds = [wilson_interval(50 * mean, 50) for mean in means]
    assert np.mean([low <= 0.5 <= high for low, high in bounds]) > 0.99
