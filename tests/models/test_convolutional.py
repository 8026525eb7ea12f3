"""Convolutional models: comparison with the tutorial and with torch, and invalid inputs."""

import pytest
import torch
from torch import nn

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model
from tests.helpers.model_families import padded


def build(head="sequence", **settings):
    torch.manual_seed(0)
    return build_model(build_config("cnn", **settings), head)


TUTORIAL = {"num_features": 2, "channels": 1, "pooling": "flatten", "num_steps": 4, "num_labels": 1}


@torch.no_grad()
def test_the_model_of_the_tutorial_is_a_special_case():
    model = build(**TUTORIAL)
    assert model.num_parameters() == (2 * 2 + 1) + (3 + 1)
    reference = nn.Sequential(nn.Conv1d(2, 1, 2), nn.ReLU(), nn.Flatten(), nn.Linear(3, 1))
    reference.load_state_dict(dict(zip(reference.state_dict(), model.state_dict().values(), strict=True)))
    values = torch.randn(5, 4, 2)
    torch.testing.assert_close(model(values).logits, reference(values.transpose(1, 2)))


@pytest.mark.parametrize("pooling", ["max", "mean"])
@torch.no_grad()
def test_pooling_of_each_row(pooling):
    model = build("base", num_features=2, kernel_size=3, pooling=pooling).double()
    rows = [torch.randn(steps, 2, dtype=torch.float64) for steps in (3, 7, 5)]
    weight, bias = model.convolution.weight, model.convolution.bias
    batch = model(*padded(rows, "mixed", 9)).pooler_output
    for row, pooled in zip(rows, batch, strict=True):
        windows = [(weight * row[n : n + 3].T).sum((1, 2)) + bias for n in range(len(row) - 2)]
        outputs = torch.stack(windows).clamp(min=0)
        torch.testing.assert_close(pooled, outputs.mean(0) if pooling == "mean" else outputs.max(0).values)


def test_direction_around_the_square_is_learnt_from_two_points():
    """A window of two points determines the direction for any first corner."""
    corners = torch.tensor([[-1.0, -1], [-1, 1], [1, 1], [1, -1]])
    torch.manual_seed(1)
    rows, labels = [], []
    for n in range(128):
        first, clockwise, steps = n % 4, n // 4 % 2, 2 + n % 3
        turn = 1 if clockwise else -1
        row = torch.stack([corners[(first + turn * i) % 4] for i in range(steps)])
        rows.append(row + 0.1 * torch.randn(steps, 2))
        labels.append(clockwise)
    values, mask = padded(rows, "left", 4)
    model, labels = build(num_labels=2), torch.tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        model(values, mask, labels=labels).loss.backward()
        optimizer.step()
    assert (model(values, mask).logits.argmax(1) == labels).all()


def test_losses():
    values, one, two = torch.randn(3, 4, 2), build(**TUTORIAL), build(**TUTORIAL | {"num_labels": 2})
    logits, labels = two(values).logits, torch.tensor([0, 1, 1])
    torch.testing.assert_close(two(values, labels=labels).loss, nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(
        two(values, labels=labels, num_items_in_batch=6).loss * 2, two(values, labels=labels).loss
    )
    logits = one(values).logits
    torch.testing.assert_close(one(values, labels=torch.ones(3)).loss, (logits - 1).square().mean())
    one.config.problem_type = "multi_label_classification"
    torch.testing.assert_close(
        one(values, labels=labels).loss,
        nn.functional.binary_cross_entropy_with_logits(logits, labels[:, None].float()),
    )
    with pytest.raises(ValueError, match=r"labels must be \(batch, num_labels\), \(3, 1\), got \(2,\)"):
        one(values, labels=torch.ones(2))


def test_rows_with_too_few_steps_are_errors():
    values, mask = torch.zeros(2, 4, 2), torch.tensor([[1, 1, 1, 1], [0, 0, 1, 0]])
    with pytest.raises(ValueError, match=r"^every row needs at least kernel_size=2 real steps, row 1 has 1$"):
        build()(values, mask)
    with pytest.raises(ValueError, match=r"^every row needs exactly num_steps=4 real steps, row 0 has 3$"):
        build(**TUTORIAL)(values[:, 1:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "channels must be >= 1, got 0"),
        ({"num_features": -1}, "num_features must be >= 1, got -1"),
        ({"kernel_size": 0}, "kernel_size must be >= 1, got 0"),
        ({"pooling": "flatten"}, "pooling='flatten' needs num_steps >= kernel_size=2, got num_steps=None"),
        ({"pooling": "flatten", "num_steps": 3, "kernel_size": 4}, "needs num_steps >= kernel_size=4, got num_steps=3"),
        ({"num_steps": 4}, "num_steps is only for pooling='flatten', got num_steps=4 with pooling='max'"),
    ],
)
def test_inconsistent_fields_are_errors_of_one_line(settings, message):
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("cnn", **settings)
    assert "\n" not in str(error.value)
