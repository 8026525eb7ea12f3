"""Shares of predictions that a grammar allows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from seqhub.metrics.grammar import count_illegal, legal_metrics
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import Split

TASK_IDS = ["dyck/k2-m4", "dyck/k8-m8@len86-180", "regular_in_context/strings10", "embedded_reber/endless"]


class Oracle:
    """Model with score 1 for legal ids; `wrong` of the first steps of each text are illegal."""

    def __init__(self, split: Split, wrong: int) -> None:
        self.split, self.wrong, self.seen = split, wrong, 0

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        scores = self.split.legal_steps(self.seen, self.seen + len(rows)).astype(float)
        self.seen += len(rows)
        scores[:, : self.wrong] = 1 - scores[:, : self.wrong]
        return scores

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        raise NotImplementedError


@pytest.mark.parametrize("task_id", TASK_IDS)
@pytest.mark.parametrize("wrong", [0, 1])
def test_legal_metrics(task_id: str, wrong: int) -> None:
    split = Split(task_id, "test")
    found = legal_metrics(split, 1_500, Oracle(split, wrong))
    steps = sum(int((batch.lengths - 1).sum()) for batch in split.batches(0, 1_500))
    assert found == {"accuracy": pytest.approx(1 - 1_500 * wrong / steps), "wrong": 1_500 * wrong}
    assert count_illegal(split, 1_500, Oracle(split, wrong)) == 1_500 * wrong


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_legal_steps_of_a_range_belong_to_its_rows(task_id: str) -> None:
    split = Split(task_id, "test")
    assert split.task.has_grammar
    whole, part = split.legal_steps(0, 2_048), split.legal_steps(1_000, 1_100)
    np.testing.assert_array_equal(part, whole[1_000:1_100, : part.shape[1]])
    (batch,) = split.batches(1_000, 1_100)
    for number, example in enumerate(split.examples(batch)):
        ids = split.schema.vocabulary.encode(example.inputs)
        assert part[number, np.arange(len(ids) - 1), ids[1:]].all()
