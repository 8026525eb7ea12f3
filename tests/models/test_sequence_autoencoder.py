"""Sequence autoencoders: reconstructions, shapes and losses."""

import pytest
import torch
from torch import nn

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model
from tests.helpers.model_families import padded


def build(preset="lstm_autoencoder", seed=0, **settings):
    torch.manual_seed(seed)
    return build_model(build_config(preset, **settings), "base")


def train(model, values, mask=None, *, until, max_steps=3000):
    """Train with Adam on one batch; return the number of steps to an error below `until`."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(max_steps):
        optimizer.zero_grad()
        loss = model(values, mask, labels=values).loss
        if loss < until:
            return step
        loss.backward()
        optimizer.step()
    raise AssertionError(f"error {loss.item():g} after {max_steps} steps")


RAMP = torch.arange(5).view(1, 5, 1).expand(1, 5, 2) / 10  # data of the tutorial, 0.0 to 0.4 in both features


@pytest.mark.parametrize("preset", ["lstm_autoencoder", "gru_autoencoder", "rnn_tanh_autoencoder"])
def test_reconstructs_the_ramp_of_the_tutorial(preset):
    model = build(preset)
    train(model, RAMP, until=5e-5)
    with torch.no_grad():
        assert (model.eval()(RAMP).logits - RAMP).square().mean() < 1e-4


def test_reconstructions_in_a_batch_equal_those_of_single_rows():
    """The tutorial repeats along all axes at once, which is only correct for one row of one feature."""
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


def test_values_beyond_one_can_be_reconstructed():
    """States of a recurrence are in (-1, 1), and the tutorial has no projection after them."""
    values = torch.tensor([3.0, -4, 5]).view(1, 3, 1)
    train(build(step_shape=[1]), values, until=1e-2)


def test_the_latent_vector_is_the_last_state_of_the_last_layer():
    model = build("gru_autoencoder", step_shape=[2], hidden_size=4, num_hidden_layers=3).eval()
    values = torch.randn(3, 6, 2)
    output = model(values)
    _, last = model.encoder(values)
    torch.testing.assert_close(output.latent, last[-1])
    decoded, _ = model.decoder(last[-1].repeat(6, 1, 1).transpose(0, 1))
    torch.testing.assert_close(output.logits, model.projection(decoded))


@pytest.mark.parametrize("step_shape", [[1], [3], [4, 4], [1, 1], [2, 1, 3]])
def test_steps_of_any_shape_may_be_flattened(step_shape):
    model = build(step_shape=step_shape).eval()
    values, mask = torch.randn(2, 5, *step_shape), torch.tensor([[0, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    output, flat = model(values, mask, labels=values), values.flatten(2)
    assert output.logits.shape == values.shape
    assert output.latent.shape == (2, 20)
    again = model(flat, mask, labels=flat)
    assert torch.equal(again.logits, output.logits.flatten(2))
    assert torch.equal(again.loss, output.loss)


def test_loss_is_the_mean_over_values_of_real_steps():
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


def test_invalid_shapes_are_errors_of_one_line():
    model = build(step_shape=[2, 3])
    for shape, got in [((2, 5, 3, 2), r"\(2, 5, 3, 2\)"), ((2, 5, 5), r"\(2, 5, 5\)"), ((2, 6), r"\(2, 6\)")]:
        with pytest.raises(
            ValueError, match=rf"^input_values must be \(batch, steps, 2, 3\) or \(batch, steps, 6\), got {got}$"
        ):
            model(torch.zeros(shape))
    values = torch.zeros(2, 5, 6)
    with pytest.raises(ValueError, match=r"^labels must have the input's shape, \(2, 5, 6\), got \(2, 5, 2, 3\)$"):
        model(values, labels=values.unflatten(2, (2, 3)))  # broadcasting would give a wrong loss


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
def test_invalid_fields_are_errors_of_one_line(settings, message):
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("lstm_autoencoder", **settings)
    assert "\n" not in str(error.value)
