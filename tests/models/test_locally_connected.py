"""LocalLinear compared with dense layers, and its number of weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqhub.errors import InvalidConfigError
from seqhub.models.locally_connected.modeling_locally_connected import LocalLinear
from seqhub.models.registry import build_config, build_model


def build(preset="locally_connected", head="sequence", **overrides):
    torch.manual_seed(0)
    return build_model(build_config(preset, **overrides), head)


def dense_twin(layer: LocalLinear) -> nn.Linear:
    """Return the same map as a dense layer."""
    windows, kernel, local = layer.weight.shape
    dense = nn.Linear(layer.in_features, windows * local, dtype=layer.weight.dtype)
    dense.weight.data.zero_()
    dense.bias.data.zero_()
    for n in range(windows):
        for offset in range(kernel):
            column = n * layer.stride - layer.padding + offset
            if 0 <= column < layer.in_features:
                dense.weight.data[n * local : (n + 1) * local, column] = layer.weight.data[n, offset]
        if layer.bias is not None:
            dense.bias.data[n * local : (n + 1) * local] = layer.bias.data[n]
    return dense


@given(
    leading=st.lists(st.integers(1, 3), max_size=3),
    features=st.integers(1, 12),
    local=st.integers(1, 3),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 5),
    padding=st.integers(0, 4),
    bias=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_equals_a_dense_layer_that_is_zero_outside_the_windows(leading, features, local, kernel, stride, padding, bias):
    if kernel > features + 2 * padding:
        with pytest.raises(ValueError, match=f"kernel_size={kernel} is more than in_features={features}"):
            LocalLinear(features, local, kernel, stride, padding, bias)
        return
    torch.manual_seed(0)
    layer = LocalLinear(features, local, kernel, stride, padding, bias).double()
    dense = dense_twin(layer)
    values = torch.randn(*leading, features, dtype=torch.float64, requires_grad=True)
    ours = layer(values)
    assert ours.shape == (*leading, (features + 2 * padding - kernel) // stride + 1, local)
    torch.testing.assert_close(ours.flatten(-2), dense(values))
    (gradient,) = torch.autograd.grad(ours.square().sum(), values)
    torch.testing.assert_close(gradient, torch.autograd.grad(dense(values).square().sum(), values)[0])


@pytest.mark.parametrize(("kernel", "windows"), [(2, 8), (4, 4), (5, 3)])
def test_number_of_weights_is_smaller_by_the_number_of_windows(kernel, windows):
    """With kN inputs, stride k and N outputs, there are kN weights; a dense layer has N times as many."""
    layer = LocalLinear(kernel * windows, 1, kernel, stride=kernel, bias=False)
    assert layer.weight.numel() == kernel * windows
    assert nn.Linear(kernel * windows, windows, bias=False).weight.numel() == windows * layer.weight.numel()
    shape = {"num_steps": kernel * windows, "kernel_size": kernel, "stride": kernel, "local_features": 1}
    local, dense = (build(preset, "base", **shape) for preset in ("locally_connected", "fully_connected"))
    assert local.num_parameters() == kernel * windows + windows
    assert dense.num_parameters() == kernel * windows * windows + windows


def test_without_bias():
    """The layer of the tutorial fails, because it adds None."""
    layer = LocalLinear(6, 2, 3, bias=False)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer(torch.zeros(4, 6)).eq(0).all()


def test_initial_outputs_have_the_scale_of_the_inputs():
    """The tutorial has initial weights of standard deviation 1, so that outputs grow with the kernel size."""
    torch.manual_seed(0)
    for kernel in (4, 64):
        layer = LocalLinear(64 * kernel, 4, kernel, stride=kernel)
        assert layer.weight.abs().max() <= kernel**-0.5
        assert layer.weight.std().item() == pytest.approx((3 * kernel) ** -0.5, rel=0.1)
        assert 0.5 < layer(torch.randn(256, 64 * kernel)).std() < 0.8  # sqrt(1/3), and the bias


@pytest.mark.parametrize(("sizes", "got"), [((0, 1, 1), "got 0, 1, 1, 1 and 0"), ((4, 1, 2, 0), "got 4, 1, 2, 0 and")])
def test_sizes_out_of_range_are_errors(sizes, got):
    with pytest.raises(ValueError, match=got):
        LocalLinear(*sizes)


def test_invalid_shapes_are_errors():
    with pytest.raises(ValueError, match=r"values must be \(\.\.\., in_features=6\), got \(2, 5\)"):
        LocalLinear(6, 2, 3)(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="every row needs exactly num_steps=32 real steps, row 0 has 31"):
        build()(torch.zeros(2, 31, 1))
    mask = torch.ones(2, 33)
    mask[0, 4] = 0
    with pytest.raises(ValueError, match="every row needs exactly num_steps=32 real steps, row 1 has 33"):
        build()(torch.zeros(2, 33, 1), mask)


@pytest.mark.parametrize("preset", ["locally_connected", "fully_connected"])
def test_position_within_a_window_is_learnt(preset):
    """One value in eight windows of four is 1; the label is its position within its window."""
    model = build(preset, num_labels=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    labels = torch.arange(320) % 4

    def sample():
        return torch.eye(32).repeat(10, 1).unsqueeze(2) + 0.1 * torch.randn(320, 32, 1)

    for _ in range(150):
        optimizer.zero_grad()
        model(sample(), labels=labels).loss.backward()
        optimizer.step()
    assert (model(sample()).logits.argmax(1) == labels).float().mean() > 0.95


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_steps": 0}, "num_steps must be >= 1, got 0"),
        ({"local_features": -1}, "local_features must be >= 1, got -1"),
        ({"stride": 0}, "stride must be >= 1, got 0"),
        ({"padding": 4}, r"padding must be in \[0, kernel_size=4\), got 4"),
        ({"padding": -1}, r"padding must be in \[0, kernel_size=4\), got -1"),
        (
            {"num_steps": 1, "padding": 1},
            r"kernel_size=4 is more than the 3 values of a row \(1 steps of 1, with padding=1",
        ),
        ({"connectivity": "full"}, "'local', 'dense'"),
    ],
)
def test_invalid_fields_are_errors_of_one_line(overrides, message):
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("locally_connected", **overrides)
    assert "\n" not in str(error.value)
