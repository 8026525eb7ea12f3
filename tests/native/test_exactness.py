"""Outputs and gradients of the native recurrence compared with torch, with every instruction set of the machine."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.native.loader import library
from seqhub.native.operator import _num_bytes, recurrence
from tests.helpers.native_cases import CELLS, SETS, Case, assert_same, exact, of_seqhub, of_torch

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")


@pytest.mark.fast_cases("lstm-baseline", "gru-avx512")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_shape_of_recurrence(cell, instruction_set):
    for layers, directions, by_ids, double in itertools.product((1, 2), (1, 2), (True, False), (True, False)):
        shape = {"layers": layers, "directions": directions, "by_ids": by_ids, "double": double}
        case = Case(cell, batch=19, hidden=5, start=True, side="both", **shape)
        assert_same(of_seqhub(case, instruction_set), of_torch(case), exact(case))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.builds(
        Case,
        st.sampled_from(list(CELLS)),
        batch=st.integers(1, 40),
        steps=st.integers(1, 12),
        features=st.sampled_from([1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 64, 70]),
        hidden=st.integers(1, 20),
        layers=st.integers(1, 3),
        directions=st.integers(1, 2),
        by_ids=st.booleans(),
        double=st.booleans(),
        start=st.booleans(),
        side=st.sampled_from(["left", "right", "both"]),
        scale=st.sampled_from([0.1, 1.0, 3.0]),
    ),
    st.sampled_from(SETS or ("",)),
    st.booleans(),
)
def test_any_shape(case, instruction_set, output_states):
    if not output_states:
        case.d_outputs[0].zero_()
    found, expected = of_seqhub(case, instruction_set, output_states), of_torch(case)
    if not output_states:
        del found["states"], expected["states"]
    # With weights three times as large the recurrence is chaotic, so that single precision has large errors
    assert_same(found, expected, exact(case) if case.double or case.scale < 3 else 1e-3)


@pytest.mark.parametrize("hidden", [64, 128])
@pytest.mark.parametrize("cell", CELLS)
def test_wide_recurrences(cell, hidden):
    for double in (True, False):
        case = Case(cell, batch=33, steps=20, hidden=hidden, double=double, scale=0.5)
        assert_same(of_seqhub(case), of_torch(case), exact(case))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recomputed_activations(cell):
    """If activations exceed the cache, backward recomputes them segment by segment."""
    case = Case(cell, batch=64, steps=3400, hidden=4, double=False, scale=0.5)
    sizes = (list(CELLS).index(cell), 0, 1, 1)
    saved = _num_bytes(library(), "saved_bytes", (*sizes, 64, 3400, 3, 4, 4), (True, False, False))
    per_step = _num_bytes(library(), "saved_bytes", (*sizes, 64, 24, 3, 4, 4), (True, False, False)) / 24
    assert saved < 3400 * per_step / 3
    case.spans = torch.stack((torch.zeros(64, dtype=torch.int64), torch.full((64,), 3400)))
    case.module.zero_grad()
    vectors = torch.eye(3)[case.inputs - 1] * (case.inputs > 0).unsqueeze(-1)
    states, end = case.module(vectors)
    h_n = end[0] if cell == "lstm" else end
    loss = (states * case.d_outputs[0]).sum() + (h_n * case.d_outputs[1]).sum()
    if cell == "lstm":
        loss = loss + (end[1] * case.d_outputs[2]).sum()
    loss.backward()
    expected = {f"d_weight_{n}": weight.grad for n, weight in enumerate(case.weights)}
    found = of_seqhub(case)
    assert_same({name: found[name] for name in expected}, expected, 1e-5)
    torch.testing.assert_close(found["states"], states.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck(cell):
    case = Case(cell, batch=3, steps=4, hidden=2, by_ids=False, start=True)
    weights = [weight.detach().requires_grad_() for weight in case.weights]
    tensors = [each.requires_grad_() for each in (case.inputs, case.h_0, case.c_0)]

    def run(inputs, h_0, c_0, *weights):
        start = {"h_0": h_0, "c_0": c_0 if cell == "lstm" else None}
        states, h_n, c_n = recurrence(inputs, list(weights), cell, spans=case.spans, **start)
        return (states, h_n, c_n) if cell == "lstm" else (states, h_n + 0 * c_0)

    assert torch.autograd.gradcheck(run, (*tensors, *weights))


@pytest.mark.parametrize("cell", CELLS)
def test_results_do_not_depend_on_padding_and_batch(cell):
    left, right = Case(cell, batch=37, side="left"), Case(cell, batch=37, side="right")
    for row, length in enumerate(left.lengths.tolist()):
        right.inputs[row, :length] = left.inputs[row, left.steps - length :]
        right.d_outputs[0][row, :length] = left.d_outputs[0][row, left.steps - length :]
    one, two = of_seqhub(left), of_seqhub(right)
    for row, length in enumerate(left.lengths.tolist()):
        assert torch.equal(one["states"][row, left.steps - length :], two["states"][row, :length])
        assert not one["states"][row, : left.steps - length].any()
    del one["states"], two["states"]
    assert_same(one, two, 1e-13)

    with torch.no_grad():
        options = {"columns": left.columns, "output_states": False}
        whole = recurrence(left.inputs, left.weights, cell, spans=left.spans, **options)[1]
        for rows in (slice(0, 1), slice(1, 18), slice(18, 37)):
            spans = left.spans[:, rows]
            part = recurrence(left.inputs[rows], left.weights, cell, spans=spans, **options)[1]
            torch.testing.assert_close(part, whole[:, rows], rtol=0, atol=1e-15)


def test_gradients_can_be_computed_twice():
    case = Case("lstm")
    weights = [weight.detach().requires_grad_() for weight in case.weights]
    loss = recurrence(case.inputs, weights, "lstm", columns=case.columns)[1].square().sum()
    first = torch.autograd.grad(loss, weights, retain_graph=True)
    recurrence(case.inputs, weights, "lstm", columns=case.columns)[1].sum().backward()  # uses the same memory
    assert all(map(torch.equal, first, torch.autograd.grad(loss, weights)))


def test_gradients_of_some_weights_only():
    case = Case("lstm")
    weights = [weight.detach().requires_grad_(number == 1) for number, weight in enumerate(case.weights)]
    recurrence(case.inputs, weights, "lstm", columns=case.columns, spans=case.spans)[1].mul(
        case.d_outputs[1]
    ).sum().backward()
    assert [weight.grad is not None for weight in weights] == [False, True, False, False]
    case.d_outputs[0].zero_(), case.d_outputs[2].zero_()
    torch.testing.assert_close(weights[1].grad, of_torch(case)["d_weight_1"])


def test_threads_do_not_share_memory():
    cases = [Case("lstm", batch=30, steps=20 + n, hidden=8) for n in range(8)]
    alone = [of_seqhub(case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for one, two in zip(alone, pool.map(of_seqhub, cases), strict=True):
                assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize(("dtype", "ulps"), [(torch.float32, 4), (torch.float64, 4)])
def test_tanh_and_logistic_function_are_accurate(dtype, ulps, instruction_set):
    steps = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    tiny = torch.logspace(-30, 0, 2_001, dtype=torch.float64)
    x = torch.cat((steps, tiny, -tiny, torch.tensor([0.0, 19.0, -19.0, 300.0, -60.0, torch.inf, -torch.inf]))).to(dtype)
    one, zero = torch.ones(1, 1, dtype=dtype), torch.zeros(1, 1, dtype=dtype)
    biases = [zero[0], zero[0]]
    tanh = recurrence(x.view(-1, 1, 1), [one, zero, *biases], "rnn_tanh", instruction_set=instruction_set)[1]
    # h = (1 - z) n + z h_0 with n = tanh(0) and h_0 = 1 is the update gate itself
    gates = [torch.tensor([[0.0], [1.0], [0.0]], dtype=dtype), torch.zeros(3, 1, dtype=dtype)]
    gates += [torch.zeros(3, dtype=dtype)] * 2
    start = torch.ones(1, len(x), 1, dtype=dtype)
    logistic = recurrence(x.view(-1, 1, 1), gates, "gru", h_0=start, instruction_set=instruction_set)[1]
    for found, expected in ((tanh, torch.tanh(x.double())), (logistic, torch.sigmoid(x.double()))):
        rounded = expected.to(dtype).abs()
        spacing = (torch.nextafter(rounded, torch.tensor(torch.inf, dtype=dtype)) - rounded).double()
        error = (found.flatten().double() - expected).abs() / spacing
        finite = x.isfinite() & (expected.abs() > torch.finfo(dtype).tiny)
        assert error[finite].max() <= ulps
    assert tanh.flatten()[-2:].tolist() == [1, -1]


@pytest.mark.fast_cases("lstm-baseline", "gru-avx512")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("cell", CELLS)
def test_nan_and_infinity_propagate_as_in_torch(cell, instruction_set):
    """Tests each weight and the inputs; padding units of a vector must not propagate them."""
    for number, value in itertools.product(range(5), (torch.nan, torch.inf)):
        case = Case(cell, batch=20, by_ids=False, hidden=5, layers=2)
        with torch.no_grad():
            tensor = case.inputs if number == 4 else case.weights[number]
            tensor[(1, -1, -1) if number == 4 else ..., -1] = value
        found, expected = of_seqhub(case, instruction_set), of_torch(case)
        for name in ("states", "h_n"):
            assert torch.equal(found[name].isnan(), expected[name].isnan()), (number, value, name)
        assert found["d_weight_1"].isnan().any() or not expected["d_weight_1"].isnan().any()


def test_nan_in_padding_is_not_read():
    case = Case("lstm", by_ids=False, side="left")
    for row, start in enumerate(case.spans[0].tolist()):
        case.inputs[row, :start] = torch.nan
    found = of_seqhub(case)
    assert not any(tensor.isnan().any() for tensor in found.values())
    case.inputs.nan_to_num_(0)
    assert_same(found, of_torch(case), 1e-10)
