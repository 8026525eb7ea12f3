"""Right prefixes and scaled scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.evaluation.evaluate import measure
from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.metrics.classification import scaled_score
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.splits import Split
from seqhub.tasks.vocabulary import Vocabulary
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import create_model

SCHEMA = TaskSchema(vocabulary=Vocabulary("ab"), target="step_class", labels=("no", "yes"))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9).flatmap(lambda steps: st.lists(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=steps, max_size=steps), min_size=1, max_size=8
)))  # fmt: skip
def test_prefixes_of_every_sequence(rows: list[list[tuple[bool, bool]]]) -> None:
    counted, right = (np.array([[step[i] for step in row] for row in rows]) for i in (0, 1))
    if not counted.any():
        return
    labels = torch.from_numpy(np.where(counted, 1, NO_LABEL))
    logits = torch.from_numpy(np.stack([np.where(right, 0.0, 2.0), np.ones(right.shape)], axis=-1))
    accumulator = MetricAccumulator(SCHEMA, len(rows))
    accumulator.add(logits[:3], labels[:3], torch.ones(labels[:3].shape))
    if len(rows) > 3:
        accumulator.add(logits[3:], labels[3:], torch.ones(labels[3:].shape))
    metrics = accumulator.metrics()

    answers = [[correct for counts, correct in row if counts] for row in rows]
    longest = max(map(len, answers))
    expected = {
        str(k): {
            "correct": sum(all(row[:k]) for row in answers if len(row) >= k),
            "total": sum(len(row) >= k for row in answers),
        }
        for k in (1, 2, 4, 8)
        if k <= longest
    }
    assert metrics["prefix"] == expected
    shares = [[*row, False].index(False) / len(row) if row else 1.0 for row in answers]
    assert metrics["mean_prefix"] == pytest.approx(np.mean(shares))
    assert metrics["whole"] == sum(all(row) for row in answers)


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_scaled_scores(accuracy: float, chance: float) -> None:
    score = scaled_score(accuracy, chance)
    assert 0 <= score <= 1
    assert score == 0 if accuracy <= chance else score * (1 - chance) + chance == pytest.approx(accuracy)


@pytest.mark.parametrize("task_id", ["group_word/a5@len64", "parity/last", "dyck/k2-m4", "adding/hs97-t100"])
def test_evaluation_has_the_scores_of_the_target(task_id: str, tmp_path: Path) -> None:
    split = Split(task_id, "test")
    trained_on = task_id.partition("@")[0]
    model = create_model(TrainConfig(task=trained_on, output_dir=tmp_path, hidden_size=4, cpu=True), split.schema)
    metrics = measure(model, split, 20)
    chance = split.task.chance(split.config)
    assert ("scaled" in metrics) == (chance is not None)
    assert ("prefix" in metrics) == (split.schema.target == "step_class")
    if chance is not None:
        assert metrics["scaled"] == scaled_score(metrics["accuracy"], chance)
    if split.schema.target == "step_class":
        assert list(metrics["prefix"]) == ["1", "2", "4", "8", "16", "32", "64"]
