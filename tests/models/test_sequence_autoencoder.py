"""Sequence autoencoders: what they reconstruct, in which shape, and what their loss counts."""

import pytest
import torch
from torch import nn

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model
from tests.helpers.model_families import padded


def build(preset="lstm_autoencoder", seed=0, **settings):
    torch.manual_seed(seed)
    return build_model(build_config(preset, **settings), "base")


def train(model, values, mask=None, *, until, most=3000):
    """Plain Adam on one batch; the number of steps to an error below `until`."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(most):
        optimizer.zero_grad()
        loss = model(values, mask, labels=values).loss
        if loss < until:
            return step
        loss.backward()
        optimizer.step()
    raise AssertionError(f"error {loss.item():g} after {most} steps")


RAMP = torch.arange(5).view(1, 5, 1).expand(1, 5, 2) / 10  # the tutorial's: 0.0 to 0.4 in both features


@pytest.mark.parametrize("preset", ["lstm_autoencoder", "gru_autoencoder", "rnn_tanh_autoencoder"])
def test_reconstructs_the_tutorials_ramp(preset):
    model = build(preset)
    train(model, RAMP, until=5e-5)
    with torch.no_grad():
        assert (model.eval()(RAMP).logits - RAMP).square().mean() < 1e-4


def test_a_batch_of_lengths_5_and_3_is_reconstructed_as_each_alone():
    """And both well: the tutorial repeated along all axes at once, which only fits one row of one feature."""
    rows = [RAMP[0], RAMP[0, :3].flip(0)]
    model = build()
    train(model, *padded(rows, "right", 5), until=5e-5)
    model.eval()
    with torch.no_grad():
        for side in ("left", "right", "mixed"):
            values, mask = padded(rows, side, 7, fill=9.0)
            output = model(values, mask)
            for row, real, logits, latent in zip(rows, mask, output.logits, output.latent, strict=True):
                alone = model(row[None])
                torch.testing.assert_close(logits[real.bool()], alone.logits[0], atol=1e-6, rtol=0)
                torch.testing.assert_close(latent, alone.latent[0], atol=1e-6, rtol=0)
                assert logits[~real.bool()].eq(0).all()
                assert (alone.logits[0] - row).square().mean() < 1e-4


def test_values_beyond_one_can_be_written():
    """The states of a recurrence lie in (-1, 1); the tutorial had no projection behind them."""
    values = torch.tensor([3.0, -4, 5]).view(1, 3, 1)
    train(build(step_shape=[1]), values, until=1e-2)


def test_the_last_layer_at_the_last_real_step_is_all_that_the_decoder_sees():
    model = build("gru_autoencoder", step_shape=[2], hidden_size=4, num_hidden_layers=3).eval()
    values = torch.randn(3, 6, 2)
    output = model(values)
    _, last = model.encoder(values)
    torch.testing.assert_close(output.latent, last[-1])
    decoded, _ = model.decoder(last[-1].repeat(6, 1, 1).transpose(0, 1))
    torch.testing.assert_close(output.logits, model.projection(decoded))


@pytest.mark.parametrize("step_shape", [[1], [3], [4, 4], [1, 1], [2, 1, 3]])
def test_any_trailing_shape_and_the_same_flattened(step_shape):
    model = build(step_shape=step_shape).eval()
    values, mask = torch.randn(2, 5, *step_shape), torch.tensor([[0, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    output, flat = model(values, mask, labels=values), values.flatten(2)
    assert output.logits.shape == values.shape
    assert output.latent.shape == (2, 20)
    again = model(flat, mask, labels=flat)
    assert torch.equal(again.logits, output.logits.flatten(2))
    assert torch.equal(again.loss, output.loss)


def test_loss_is_the_mean_over_real_values():
    values, labels = torch.randn(3, 6, 2, 2), torch.randn(3, 6, 2, 2)
    mask = torch.tensor([[1] * 6, [0] * 4 + [1] * 2, [1] * 3 + [0] * 3])
    model = build(step_shape=[2, 2]).eval()
    labels[mask == 0] = torch.nan
    output = model(values, mask, labels=labels)
    real = mask.bool()
    torch.testing.assert_close(output.loss, nn.functional.mse_loss(output.logits[real], labels[real]))
    assert "loss" not in model(values, mask)
    exact = model.bfloat16()(values, mask, labels=labels)
    assert exact.loss.dtype == torch.float32
    torch.testing.assert_close(exact.loss, output.loss, rtol=0.02, atol=0)


def test_wrong_shapes_are_one_clear_line():
    model = build(step_shape=[2, 3])
    for shape, got in [((2, 5, 3, 2), r"\(2, 5, 3, 2\)"), ((2, 5, 5), r"\(2, 5, 5\)"), ((2, 6), r"\(2, 6\)")]:
        with pytest.raises(
            ValueError, match=rf"^input_values must be \(batch, steps, 2, 3\) or \(batch, steps, 6\), got {got}$"
        ):
            model(torch.zeros(shape))
    values = torch.zeros(2, 5, 6)
    with pytest.raises(ValueError, match=r"^labels must have the input's shape, \(2, 5, 6\), got \(2, 5, 2, 3\)$"):
        model(values, labels=values.unflatten(2, (2, 3)))  # which would broadcast, or be compared in another order


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_shape": []}, r"step_shape must be one or more sizes >= 1, got \[\]"),
        ({"step_shape": [2, 0]}, r"step_shape must be one or more sizes >= 1, got \[2, 0\]"),
        ({"step_shape": 2}, "'step_shape'"),
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be >= 1, got 0"),
    ],
)
def test_contradictions_are_one_clear_line(settings, message):
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("lstm_autoencoder", **settings)
    assert "\n" not in str(error.value)
