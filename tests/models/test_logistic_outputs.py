"""Logistic outputs with half the squared error: losses, per-example metrics and predictions."""

import numpy as np
import pytest
import torch

import seqhub
from seqhub.metrics.per_example import example_metrics
from seqhub.models.tokenizer import symbol_tokenizer
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.vocabulary import Vocabulary
from tests.helpers import naive_recurrence
from tests.helpers.model_cases import PRESETS, build, padded, ragged

VOCABULARY = Vocabulary("abcdefgh")
SCHEMAS = {
    "sequence": TaskSchema(vocabulary=VOCABULARY, labels=tuple("QRSU")),
    "single": TaskSchema(vocabulary=VOCABULARY, labels=("no", "yes")),
    "number": TaskSchema(vocabulary=VOCABULARY, target="number", tolerance=0.1),
    "token": TaskSchema(vocabulary=VOCABULARY, target="step_class", labels=tuple("QRSU")),
    "causal": TaskSchema(vocabulary=VOCABULARY, target="next_symbol"),
}
ROWS = ragged(3)


def model_for(kind: str, preset: str):
    settings = {
        "single": {"num_labels": 1, "problem_type": "multi_label_classification"},
        "number": {"num_labels": 1, "problem_type": "regression"},
    }.get(kind, {})
    head = kind if kind in ("token", "causal") else "sequence"
    return build(preset, head, logistic_outputs=True, **settings)


def labels_for(kind: str, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    if kind == "number":
        return torch.rand(len(ids), generator=random)
    if kind == "causal":
        return ids.masked_fill(mask == 0, -100)
    if kind == "token":
        return torch.randint(4, ids.shape, generator=random).masked_fill(mask == 0, -100)
    return torch.randint(2 if kind == "single" else 4, ids.shape[:1], generator=random)


def errors_of(kind: str, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the differences between outputs and targets of one sequence, (..., C)."""
    scores = np.maximum(scores, -700)  # the score of padding is the lowest finite number
    if kind in ("single", "number"):
        return naive_recurrence.sigmoid(scores) - label
    if kind == "causal":
        scores, label = scores[:-1], label[1:]
    counts = label != -100
    return naive_recurrence.sigmoid(scores[counts]) - np.eye(scores.shape[-1])[label[counts]]


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("preset", PRESETS)
def test_loss_and_metrics_equal_a_plain_sum(preset, kind):
    rows = tuple((1, *row) for row in ROWS)
    ids, mask = padded(rows, "right")
    labels = labels_for(kind, ids, mask)
    output = model_for(kind, preset)(input_ids=ids, attention_mask=mask, labels=labels)
    metrics = example_metrics(SCHEMAS[kind], output.logits.detach(), labels, mask, logistic=True)
    losses = []
    for scores, label, row in zip(output.logits.detach().double().numpy(), labels.numpy(), metrics, strict=True):
        errors = np.abs(errors_of(kind, scores, label))
        losses.append((errors**2).sum() / 2)
        worst, mean, loss, _ = row.tolist()
        assert (worst, mean, loss) == pytest.approx((errors.max(), errors.mean(), losses[-1]), rel=1e-5)
        if kind == "number":
            assert row[3] == (errors[0] <= 0.1)
        elif kind == "single":
            assert row[3] == (errors[0] < 0.5)
    assert output.loss.item() == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("kind", ["sequence", "token", "causal"])
def test_the_sum_is_divided_by_num_items_in_batch(kind):
    ids, mask = padded(ROWS, "left")
    labels = labels_for(kind, ids, mask)
    model = model_for(kind, "lstm")
    whole = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    part = model(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=30).loss
    torch.testing.assert_close(part, whole * len(ids) / 30)


@pytest.mark.parametrize("preset", ["gru", "lstm"])
def test_probabilities_are_sigmoids_of_each_output(preset):
    texts, tokenizer = ["abba", "ch"], symbol_tokenizer("abcdefgh")
    for kind in ("sequence", "single"):
        model = model_for(kind, preset)
        logits = seqhub.predict_logits(model, texts, tokenizer).double().numpy()
        expected = naive_recurrence.sigmoid(logits if kind == "sequence" else np.concatenate([-logits, logits], axis=1))
        np.testing.assert_allclose(seqhub.predict_proba(model, texts, tokenizer).numpy(), expected, atol=1e-15)
    model = model_for("number", preset)
    logits = seqhub.predict_logits(model, texts, tokenizer).double().numpy()[:, 0]
    assert seqhub.predict_label(model, texts, tokenizer) == pytest.approx(naive_recurrence.sigmoid(logits).tolist())
