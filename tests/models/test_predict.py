"""Prediction of logits, probabilities and labels with any classifier."""

import math

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, pipeline

import seqhub
from seqhub.errors import InvalidInputError
from seqhub.models.feature_extraction import value_batch
from seqhub.models.registry import register_auto_classes
from seqhub.models.tokenizer import symbol_tokenizer
from tests.helpers import model_cases, model_families

SYMBOLS = "XYabcdBE"
TEXTS = ["BXaXE", "BYE", "BaaYcdXE", "BE", "BXYbbbbbbE", "a"]
NAMES = dict(enumerate("QRSU"))
families_case = pytest.mark.parametrize(
    "case", [case for case in model_families.CASES if case.values[0].head in ("sequence", "token")]
)


def of_texts(preset, head="sequence", **settings):
    """Return a classifier whose logits are far apart and whose best class depends on the text."""
    names = {} if "num_labels" in settings else {"id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()}}
    model = model_cases.build(preset, head, **{"num_labels": 4} | settings)
    model.config.update(names)
    with torch.no_grad():
        model.classifier.weight.mul_(40)
        inputs = symbol_tokenizer(SYMBOLS)(TEXTS, padding=True, return_tensors="pt")
        model.classifier.bias.sub_(model(**inputs).logits.flatten(0, -2).mean(0))
    return model


def softmax(scores: list[float]) -> list[float]:
    total = sum(math.exp(score - max(scores)) for score in scores)
    return [math.exp(score - max(scores)) / total for score in scores]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("preset", model_cases.PRESETS)
def test_probabilities_are_one_softmax_of_the_logits_in_float64(preset, batch_size):
    model, tokenizer = of_texts(preset), symbol_tokenizer(SYMBOLS)
    logits = seqhub.predict_logits(model, TEXTS, tokenizer, batch_size=batch_size)
    probabilities = seqhub.predict_proba(model, TEXTS, tokenizer, batch_size=batch_size)
    labels = seqhub.predict_label(model, TEXTS, tokenizer, batch_size=batch_size)
    assert logits.shape == probabilities.shape == (6, 4)
    assert (logits.dtype, probabilities.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(logits, model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits)
    for scores, row, label in zip(logits.tolist(), probabilities.tolist(), labels, strict=True):
        assert row == pytest.approx(softmax(scores), abs=1e-15)
        assert sum(row) == pytest.approx(1, abs=1e-15)
        assert softmax(row) != pytest.approx(row, abs=0.05)  # a second softmax would change them
        assert label == NAMES[row.index(max(row))]
    assert len(set(labels)) > 1


@pytest.mark.parametrize("preset", model_cases.PRESETS)
def test_predictions_equal_those_of_pipelines(tmp_path, preset):
    register_auto_classes()
    model, tokenizer = of_texts(preset), symbol_tokenizer(SYMBOLS)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path)
    answers = pipeline("text-classification", model=str(tmp_path))(TEXTS)
    assert [answer["label"] for answer in answers] == seqhub.predict_label(model, TEXTS, tokenizer)
    best = seqhub.predict_proba(model, TEXTS, tokenizer).amax(-1).tolist()
    assert [answer["score"] for answer in answers] == pytest.approx(best, abs=1e-6)


@families_case
def test_values_with_any_family(case):
    model, rows = model_families.trained(case), model_families.rows_for(case, 60)
    single = [model(input_values=row[None]).logits[0] for row in rows]
    for given in (rows, [row.numpy() for row in rows], [row.tolist() for row in rows]):
        logits = seqhub.predict_logits(model, given, batch_size=4)
        probabilities = seqhub.predict_proba(model, given, batch_size=4)
        labels = seqhub.predict_label(model, given, batch_size=4)
        for expected, scores, row, label in zip(single, logits, probabilities, labels, strict=True):
            torch.testing.assert_close(scores, expected, atol=2e-5, rtol=0)
            torch.testing.assert_close(row, scores.double().softmax(-1), atol=1e-15, rtol=0)
            best = row.argmax(-1).tolist()
            names = model.config.id2label
            assert label == ([names[number] for number in best] if case.head == "token" else names[best])


@pytest.mark.parametrize("preset", model_cases.PRESETS)
def test_labels_of_each_step(preset):
    model, tokenizer = of_texts(preset, "token"), symbol_tokenizer(SYMBOLS)
    for batch_size in (1, 4):
        logits = seqhub.predict_logits(model, TEXTS, tokenizer, batch_size=batch_size)
        probabilities = seqhub.predict_proba(model, TEXTS, tokenizer, batch_size=batch_size)
        labels = seqhub.predict_label(model, TEXTS, tokenizer, batch_size=batch_size)
        for text, scores, rows, names in zip(TEXTS, logits, probabilities, labels, strict=True):
            assert scores.shape == rows.shape == (len(text), 4)
            torch.testing.assert_close(rows, scores.double().softmax(-1), atol=1e-15, rtol=0)
            assert names == [NAMES[number] for number in scores.argmax(-1).tolist()]


def test_a_single_logit_gives_two_classes():
    """As in the Square tutorial, with a sigmoid; the softmax of one number is always 1."""
    model = of_texts("gru", num_labels=1, problem_type="multi_label_classification")
    tokenizer = symbol_tokenizer(SYMBOLS)
    with torch.no_grad():
        model.classifier.bias.zero_()
    logits = seqhub.predict_logits(model, TEXTS, tokenizer)[:, 0].double()
    probabilities = seqhub.predict_proba(model, TEXTS, tokenizer)
    assert probabilities.shape == (6, 2)
    torch.testing.assert_close(probabilities[:, 1], 1 / (1 + (-logits).exp()), atol=1e-15, rtol=0)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(6, dtype=torch.float64), atol=1e-15, rtol=0)
    assert seqhub.predict_label(model, TEXTS, tokenizer) == [int(logit > 0) for logit in logits.tolist()]
    with torch.no_grad():
        model.classifier.bias.fill_(-500)
    assert (seqhub.predict_proba(model, TEXTS, tokenizer)[:, 1] > 0).all()  # tiny, but not rounded to zero as 1 - p


def test_multi_label_classification():
    model = of_texts("lstm", problem_type="multi_label_classification")
    tokenizer = symbol_tokenizer(SYMBOLS)
    probabilities = seqhub.predict_proba(model, TEXTS, tokenizer)
    logits = seqhub.predict_logits(model, TEXTS, tokenizer).double()
    torch.testing.assert_close(probabilities, 1 / (1 + (-logits).exp()), atol=1e-15, rtol=0)
    expected = [[NAMES[i] for i, p in enumerate(row) if p >= 0.5] for row in probabilities.tolist()]
    assert seqhub.predict_label(model, TEXTS, tokenizer) == expected


@pytest.mark.parametrize(("num_labels", "problem"), [(1, None), (1, "regression"), (2, "regression")])
def test_regression_returns_values(num_labels, problem):
    model = model_cases.build("gru", inputs="values", num_features=2, num_labels=num_labels, problem_type=problem)
    rows = [torch.randn(steps, 2) for steps in (3, 1, 5)]
    values = seqhub.predict_label(model, rows)
    logits = seqhub.predict_logits(model, rows)
    assert values == (logits[:, 0] if num_labels == 1 else logits).double().tolist()
    with pytest.raises(InvalidInputError, match=r"^a regression model has no probabilities; "):
        seqhub.predict_proba(model, rows)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_disabled_and_the_mode_does_not_change(training):
    model = of_texts("lstm", num_labels=4, num_hidden_layers=2, dropout=0.5).train(training)
    tokenizer = symbol_tokenizer(SYMBOLS)
    one, two = (seqhub.predict_logits(model, TEXTS, tokenizer) for _ in range(2))
    assert torch.equal(one, two)
    assert not one.requires_grad
    assert model.training == training
    with pytest.raises(InvalidInputError):
        seqhub.predict_logits(model, ["?"], tokenizer)
    assert model.training == training


def test_classifiers_of_transformers():
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                        num_labels=3)  # fmt: skip
    model, tokenizer = BertForSequenceClassification(config).eval(), symbol_tokenizer(SYMBOLS)
    logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    torch.testing.assert_close(seqhub.predict_proba(model, TEXTS, tokenizer), logits.detach().double().softmax(-1))


# ---- Losses of logits


@pytest.mark.parametrize("head", ["sequence", "token"])
@pytest.mark.parametrize("preset", model_cases.PRESETS)
def test_loss_of_confident_correct_predictions_is_zero(preset, head):
    """With a softmax before the loss, it would be at least ln(1 + 3/e) = 0.744 for four classes."""
    ids, mask = model_cases.padded(model_cases.ragged(61), "right")
    model = model_cases.build(preset, head)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, 0.0, 60.0, 0.0]))
    labels = torch.full(ids.shape if head == "token" else ids.shape[:1], 2)
    assert model(ids, mask, labels=labels).loss.item() < 1e-6
    assert (
        model(ids, mask, labels=labels * 0).loss.item() > 50
    )  # a softmax before the loss would also limit it from above


@families_case
def test_loss_of_confident_correct_predictions_of_values_is_zero(case):
    model = model_families.build(case)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, 0.0, 60.0, 0.0]))
    values, mask = model_families.padded(model_families.rows_for(case, 62), "right", case.shape.steps[1])
    labels = torch.full(mask.shape if case.head == "token" else mask.shape[:1], 2)
    assert model(input_values=values, attention_mask=mask, labels=labels).loss.item() < 1e-6


# ---- Invalid inputs


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([[0.0, 1.0], [NAN, 1.0]], r"^nan at step 1 of row 3; need finite numbers$"),
        (np.array([[0.0, -INF]]), r"^-inf at step 0 of row 3; need finite numbers$"),
        ([[0.0, 1.0], [2.0]], r"^row 3 is not an array of \(steps, features\): expected sequence of length 2"),
        ([[0.0, 1.0, 2.0]], r"^row 3 has steps of \(3,\); need \(2,\)$"),
        (torch.zeros(4, 2, 2), r"^row 3 has steps of \(2, 2\); need \(2,\)$"),
        ([], r"^row 3 has shape \(0,\); need \(steps, features\)$"),
        (np.zeros((0, 2)), r"^row 3 has shape \(0, 2\); need at least one step and one feature$"),
        ([0.0, 1.0], r"^row 3 has shape \(2,\); need \(steps, features\)$"),
        ([["a", "b"]], r"^row 3 is not an array of \(steps, features\): "),
        ("text", r"^row 3 is not an array of \(steps, features\): "),
        (None, r"^row 3 is not an array of \(steps, features\): "),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_errors_of_invalid_values_have_row_and_step(row, message, batch_size):
    model = model_cases.build("lstm", inputs="values", num_features=2)
    good = np.ones((2, 2))
    for predict in (seqhub.predict_logits, seqhub.predict_proba, seqhub.predict_label):
        with pytest.raises(InvalidInputError, match=message) as error:
            predict(model, [good, good, good, row, good], batch_size=batch_size)
        assert "\n" not in str(error.value)


def test_rows_without_num_features_must_have_equal_shapes():
    assert value_batch([np.zeros((2, 3, 4)), np.ones((1, 3, 4))])["input_values"].shape == (2, 2, 3, 4)
    with pytest.raises(InvalidInputError, match=r"^row 6 has steps of \(4, 3\); need \(3, 4\)$"):
        value_batch([np.zeros((2, 3, 4)), np.ones((1, 4, 3))], first_row=5)


def test_other_invalid_arguments_are_errors_of_one_line():
    texts, values = of_texts("gru"), model_cases.build("gru", inputs="values", num_features=2)
    tokenizer = symbol_tokenizer(SYMBOLS)
    for model, rows, settings, message in [
        (texts, "BXE", {"tokenizer": tokenizer}, "rows='BXE': must be a list of texts"),
        (texts, [], {"tokenizer": tokenizer}, "rows=[]: must have at least one row"),
        (texts, ["BXE"], {}, "tokenizer=None: must be the tokenizer of the model"),
        (texts, ["BXE"], {"tokenizer": tokenizer, "batch_size": 0}, "batch_size=0: must be at least 1"),
        (texts, [np.ones((2, 2))], {}, "row 0 is a ndarray; the model reads texts"),
        (values, ["BXE"], {}, "row 0 is a str; the model reads values"),
        (texts, ["BE"] * 5 + ["BQE"], {"tokenizer": tokenizer, "batch_size": 2},
         "symbol 'Q' at position 1 of row 5; the vocabulary is 'XYabcdBE'"),
        (texts, ["BE"] * 5 + [""], {"tokenizer": tokenizer, "batch_size": 2}, "row 5 is an empty text; "),
        (model_cases.build("gru", "causal"), ["BE"], {"tokenizer": tokenizer},
         "RecurrentForCausalLM is not a classifier"),
        (model_cases.build("gru", "base"), ["BE"], {"tokenizer": tokenizer}, "RecurrentModel is not a classifier"),
    ]:  # fmt: skip
        with pytest.raises(InvalidInputError) as error:
            seqhub.predict_logits(model, rows, **settings)
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)
