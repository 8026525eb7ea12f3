"""Native calls flush subnormal numbers to zero, and the mode of the calling thread stays as it was."""

import pytest
import torch
from torch import Tensor, nn

from seqhub.errors import InvalidInputError
from seqhub.native.memory_blocks import Units, memory_blocks
from seqhub.native.operator import recurrence
from tests.helpers.native_cases import BLOCKS, SETS
from tests.native.test_scans import inputs_of, native

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
TINY = 1e-40  # below the smallest normal number in single precision
SMALLEST = torch.finfo(torch.float32).tiny


@pytest.fixture(params=[False, True], ids=["kept", "flushed"])
def mode(request):
    """The mode of the thread before the calls, which is the same after them."""
    flush = request.param and torch.set_flush_denormal(True)
    yield flush
    assert (float(torch.full((9,), TINY).mul(1.0).max()) == 0) == flush
    torch.set_flush_denormal(False)


def subnormals(*tensors: Tensor | None) -> int:
    return sum(int(((tensor != 0) & (tensor.abs() < SMALLEST)).sum()) for tensor in tensors if tensor is not None)


@pytest.mark.parametrize("instruction_set", SETS)
def test_states(instruction_set, mode):
    weights = [torch.full(shape, TINY) for shape in ((4, 3), (4, 4), (4,), (4,))]
    states, last, _ = recurrence(torch.ones(5, 7, 3), weights, "rnn_relu", instruction_set=instruction_set)
    assert not states.any()
    assert not last.any()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("instruction_set", SETS)
def test_vanishing_gradients(instruction_set, cell, mode):
    """Regression: with a default initialization, training on long sequences took up to 13 times as long."""
    torch.manual_seed(0)
    module = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](3, 8, batch_first=True)
    inputs, h_0, c_0 = torch.randn(4, 512, 3, requires_grad=True), *torch.zeros(2, 1, 4, 8, requires_grad=True)
    h_0, c_0 = (torch.zeros(1, 4, 8, requires_grad=True) for _ in range(2))
    given = {"h_0": h_0} | ({"c_0": c_0} if cell == "lstm" else {})
    _, last, _ = recurrence(inputs, module.all_weights[0], cell, instruction_set=instruction_set, **given)
    last.sum().backward()
    assert inputs.grad.abs().max() > SMALLEST
    assert not subnormals(inputs.grad, h_0.grad, c_0.grad)
    assert not inputs.grad[:, 0].any()  # so small that torch's own gradient is subnormal or zero


@pytest.mark.parametrize("instruction_set", SETS)
def test_memory_blocks(instruction_set, mode):
    units = Units(BLOCKS["one"]["hidden_size"], instruction_set=instruction_set)
    weights = torch.full((3, 2), TINY), torch.full((3, 3), TINY), None
    outputs, _, _ = memory_blocks(torch.ones(2, 5, 2), weights, units)
    assert not subnormals(outputs)


@pytest.mark.parametrize("instruction_set", SETS)
def test_scans(instruction_set, mode):
    values, decays, start = inputs_of("linear_recurrence", dtype=torch.float32)
    states, _ = native("linear_recurrence", instruction_set)(values * TINY, decays, start * 0)
    assert not states.any()


def test_the_mode_is_restored_after_an_error(mode):
    columns = torch.arange(3, dtype=torch.int32)
    weights = [torch.ones(shape) for shape in ((4, 3), (4, 4), (4,), (4,))]
    with pytest.raises(InvalidInputError, match="input_ids"):
        recurrence(torch.full((2, 3), 7), weights, "rnn_relu", columns=columns)
