"""Metrics of logistic outputs: squared errors, with independent outputs."""

import numpy as np
import pytest
import torch

from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.metrics.per_example import example_metrics
from seqhub.tasks.schema import NO_LABEL, StoppingRule, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

VOCABULARY = Vocabulary("abcd")
CLASS = TaskSchema(vocabulary=VOCABULARY, labels=tuple("QRSU"))
TWO = TaskSchema(vocabulary=VOCABULARY, labels=("no", "yes"))
NUMBER = TaskSchema(vocabulary=VOCABULARY, target="number", tolerance=0.1)
STEPS = TaskSchema(vocabulary=VOCABULARY, target="step_class", labels=tuple("QRSU"))
STOPPING_RULE = StoppingRule(rule="streak", section="2", tolerance=0.3, window=10)


def sigmoid(logits: torch.Tensor) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.double().numpy()))


def metrics_of(schema: TaskSchema, logits: torch.Tensor, labels: torch.Tensor) -> dict:
    accumulator = MetricAccumulator(schema, len(labels), STOPPING_RULE, logistic=True)
    accumulator.add(logits, labels, torch.ones(logits.shape[:2]))
    return accumulator.metrics()


@pytest.mark.parametrize(("schema", "outputs"), [(CLASS, 4), (TWO, 2), (TWO, 1)])
def test_classes(schema: TaskSchema, outputs: int) -> None:
    random = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(50, outputs, generator=random)
    labels = torch.randint(len(schema.labels), (50,), generator=random)
    targets = labels[:, None].numpy() if outputs == 1 else np.eye(outputs)[labels.numpy()]
    errors = np.abs(sigmoid(logits) - targets)
    found = metrics_of(schema, logits, labels)
    assert found["loss"] == pytest.approx((errors**2).sum() / 2 / 50)
    assert found["abs_error"] == pytest.approx(errors.mean())
    assert found["abs_wrong"] == found["paper"]["wrong"] == (errors.max(axis=1) >= 0.3).sum()
    best = (sigmoid(logits)[:, 0] > 0.5) if outputs == 1 else sigmoid(logits).argmax(axis=1)
    assert found["accuracy"] == np.mean(best == labels.numpy())


def test_numbers() -> None:
    random = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(60, 1, generator=random), torch.rand(60, generator=random)
    errors = np.abs(sigmoid(logits)[:, 0] - labels.numpy())
    found = metrics_of(NUMBER, logits, labels)
    assert found["mse"] == pytest.approx((errors**2).mean())
    assert found["loss"] == pytest.approx((errors**2).mean() / 2)
    assert found["mean_absolute_error"] == pytest.approx(errors.mean())
    assert found["accuracy"] == np.mean(errors <= 0.1)
    assert found["paper"]["wrong"] == (errors >= 0.3).sum()


def test_steps() -> None:
    random = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(20, 7, 4, generator=random)
    labels = torch.randint(4, (20, 7), generator=random)
    labels[:5, 4:] = NO_LABEL
    counted = (labels != NO_LABEL).numpy()
    errors = np.abs(sigmoid(logits) - np.eye(4)[labels.clamp(min=0).numpy()]) * counted[..., None]
    found = metrics_of(STEPS, logits, labels)
    assert found["loss"] == pytest.approx((errors**2).sum() / 2 / counted.sum())
    assert found["paper"]["wrong"] == (errors.max(axis=(1, 2)) >= 0.3).sum()
    values = example_metrics(STEPS, logits, labels, torch.ones(20, 7), logistic=True).numpy()
    np.testing.assert_allclose(values[:, 2], (errors**2).sum(axis=(1, 2)) / 2, rtol=1e-5)
