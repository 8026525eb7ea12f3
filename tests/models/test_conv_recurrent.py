"""Convolutional recurrent models: comparison with Conv2d, real steps only, and order of time."""

import copy

import pytest
import torch
from torch import nn

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model
from tests.helpers.model_families import padded

TWO_BLOCKS = {
    "num_features": 14,
    "channels": [3, 4],
    "kernel_sizes": [3, 2],
    "strides": [2, 1],
    "pool_sizes": [2, 2],
    "pool_strides": [1, 2],
    "hidden_size": 5,
}


def build(preset="cnn_lstm", head="sequence", **settings):
    torch.manual_seed(0)
    return build_model(build_config(preset, **settings), head)


def two_dimensional(model):
    """Return the same blocks as in the tutorial, Conv2d with kernel (k, 1) on images of frequency x time."""
    blocks = nn.Sequential()
    for block in model.blocks:
        one, normalisation, _, pool = block
        convolution = nn.Conv2d(one.in_channels, one.out_channels, (*one.kernel_size, 1), (*one.stride, 1))
        convolution.load_state_dict({"weight": one.weight.data.unsqueeze(3), "bias": one.bias.data})
        twin = nn.BatchNorm2d(one.out_channels)
        twin.load_state_dict(normalisation.state_dict())
        blocks.extend([convolution, twin, nn.ReLU(), nn.MaxPool2d((pool.kernel_size, 1), (pool.stride, 1))])
    return blocks


@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_blocks_equal_convolutions_over_frequency(training):
    model = build(head="base", **TWO_BLOCKS).train(training)
    reference = two_dimensional(model).train(training)
    values = torch.randn(3, 7, 14)
    images = reference(values.transpose(1, 2).unsqueeze(1))  # (B, C, bins, T)
    steps = images.permute(0, 3, 1, 2).flatten(2)  # channels and bins of each step
    assert steps.shape == (3, 7, model.config.recurrence_size)
    states = model.recurrence(steps)[0]
    output = model(values)
    torch.testing.assert_close(output.last_hidden_state, states)
    torch.testing.assert_close(output.pooler_output, states[:, -1])
    torch.testing.assert_close(model.blocks[1][1].running_var, reference[5].running_var)


@torch.no_grad()
def test_the_reshape_of_the_tutorial_mixes_time_and_frequency():
    """It views (B, C, bins, T) as (B, C, bins x T) with bins x T as steps, and uses the last row as the last step."""
    model = build(head="base", **TWO_BLOCKS).eval()
    images = two_dimensional(model).eval()(torch.randn(3, 7, 14).transpose(1, 2).unsqueeze(1))
    wrong = images.flatten(2).transpose(1, 2)
    right = images.permute(0, 3, 1, 2).flatten(2)
    assert wrong.shape == (3, images.size(2) * 7, 4)  # bins x T steps with C features
    assert right.shape == (3, 7, model.config.recurrence_size)
    assert not torch.equal(wrong.flatten(1), right.flatten(1))
    values = torch.randn(3, 7, 14)
    rows = model(values).pooler_output
    assert rows.shape == (3, 5)  # one vector per sample; `squeeze()[-1, :]` is the vector of the last sample
    torch.testing.assert_close(model(values[:1]).pooler_output, rows[:1])


def test_normalisation_uses_real_steps_only():
    """With statistics over padding, a batch of short clips would have a smaller mean."""
    rows = [torch.randn(steps, 14) + 3 for steps in (2, 9, 5)]
    packed, batch = build(head="base", **TWO_BLOCKS), build(head="base", **TWO_BLOCKS)
    packed.blocks(torch.cat(rows).unsqueeze(1))
    for side in ("left", "right", "mixed"):
        model = copy.deepcopy(batch).train()
        model(*padded(rows, side, 20))
        for (name, buffer), expected in zip(model.named_buffers(), packed.buffers(), strict=True):
            torch.testing.assert_close(buffer, expected, msg=lambda text, n=name: f"{n}: {text}")


def sweeps(count, seed):
    """Return rows with a peak that rises or falls through 12 bins in 8 to 12 steps, and their labels."""
    random = torch.Generator().manual_seed(seed)
    rows, labels = [], []
    for n in range(count):
        steps = int(torch.randint(8, 13, (), generator=random))
        places = torch.arange(steps) * 11.0 / (steps - 1)
        labels.append(n % 2)
        places = places if labels[-1] else places.flip(0)
        peak = torch.exp(-((torch.arange(12) - places.unsqueeze(1)) ** 2))
        rows.append(peak + 0.1 * torch.randn(peak.shape, generator=random))
    return rows, torch.tensor(labels)


def test_a_trained_model_depends_on_the_order_of_time():
    model = build(num_features=12, num_labels=2).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    rows, labels = sweeps(64, seed=0)
    for _ in range(40):
        optimizer.zero_grad()
        model(*padded(rows, "right", 12), labels=labels).loss.backward()
        optimizer.step()
    model.eval()
    test_rows, labels = sweeps(64, seed=1)
    with torch.no_grad():
        logits = model(*padded(test_rows, "left", 14)).logits
        assert (logits.argmax(1) == labels).all()
        backwards = model(*padded([row.flip(0) for row in test_rows], "left", 14)).logits
        assert (backwards.argmax(1) == 1 - labels).all()
        random = torch.Generator().manual_seed(2)
        shuffled = [row[torch.randperm(len(row), generator=random)] for row in test_rows]
        assert (model(*padded(shuffled, "left", 14)).logits - logits).abs().max() > 1


def test_regression_and_labels_per_step():
    values, mask = torch.randn(3, 6, 14), torch.ones(3, 6)
    model = build(num_labels=1, **TWO_BLOCKS).eval()
    output = model(values, labels=torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(output.loss, (output.logits[:, 0] - torch.arange(3)).square().mean())

    mask[1, 4:] = 0
    labels = torch.randint(2, (3, 6), generator=torch.Generator().manual_seed(0))
    labels[0, 0] = -100
    model = build(head="token", num_labels=2, **TWO_BLOCKS).eval()
    output = model(values, mask, labels=labels)
    counts = mask.bool() & (labels >= 0)
    expected = nn.functional.cross_entropy(output.logits[counts], labels[counts])
    torch.testing.assert_close(output.loss, expected)
    with pytest.raises(ValueError, match=r"labels must be \(batch, steps\), \(3, 6\), got \(3,\)"):
        model(values, labels=labels[:, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"num_features": 0}, "num_features must be >= 1, got 0"),
        ({"channels": []}, r"channels must be numbers >= 1, one per block, got \[\]"),
        ({"strides": [0]}, r"strides must be numbers >= 1, one per block, got \[0\]"),
        ({"channels": [4, 4]}, r"kernel_sizes must have one number per block, 2 as in channels, got \[5\]"),
        ({"num_features": 4}, r"block 0: kernel_sizes\[0\]=5 is more than its 4 input bins"),
        ({"pool_sizes": [29]}, r"block 0: pool_sizes\[0\]=29 is more than its 28 input bins"),
        ({**TWO_BLOCKS, "kernel_sizes": [3, 6]}, r"block 1: kernel_sizes\[1\]=6 is more than its 5 input bins"),
        ({"channels": 4}, "'channels'"),
        ({"cell": "qrnn"}, "'rnn_tanh', 'rnn_relu', 'gru', 'lstm'"),
    ],
)
def test_inconsistent_fields_are_errors_of_one_line(settings, message):
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("cnn_lstm", **settings)
    assert "\n" not in str(error.value)
