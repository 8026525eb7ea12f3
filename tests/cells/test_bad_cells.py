"""Cells that change, that depend on more than their tensors, or that have other interfaces: never a wrong number."""

import copy
import pickle
import re
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqhub.cells.compile import compile_cell
from seqhub.errors import PlainLoopWarning
from seqhub.models.wrapped.recurrent_cell import CellLayer, run_loop

X = 4


class Base(nn.Module):
    """A cell with further attributes; subclasses define `part`, which is added to a product."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Linear(X, X)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Tensor, h: Any = None) -> Any:
        return torch.tanh(self.w(x) + self.part(x.new_zeros(len(x), X) if h is None else h))

    def part(self, h: Tensor) -> Tensor:
        raise NotImplementedError


def cell(part: Any, **attributes: Any) -> Any:
    return type(part.__name__.title().replace("_", "") + "Cell", (Base,), {"part": part})(**attributes)


def is_right(layer: CellLayer, inputs: Tensor | None = None) -> None:
    """Require equal outputs and gradients of the parameters."""
    inputs = torch.randn(3, 5, X) if inputs is None else inputs
    parameters = [each for each in layer.parameters() if each.requires_grad]
    with torch.enable_grad():
        found = layer(inputs)[0]
        plain = run_loop(layer.cell, layer.form(inputs), inputs, None, None)[0]
        torch.testing.assert_close(found, plain)
        if parameters:
            gradients = [torch.autograd.grad(each.square().sum(), parameters) for each in (found, plain)]
            torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def of_namespace(self: Any, h: Tensor) -> Tensor:
    return h * self.settings.rate


def of_nested(self: Any, h: Tensor) -> Tensor:
    return h * self.settings["inner"].rates[0]


def of_array(self: Any, h: Tensor) -> Tensor:
    return h * torch.from_numpy(self.rates)


def of_list(self: Any, h: Tensor) -> Tensor:
    return h * self.rates[0]


def of_tensor(self: Any, h: Tensor) -> Tensor:
    return h * self.rate


def of_indices(self: Any, h: Tensor) -> Tensor:
    return h[:, self.order]


RATES = SimpleNamespace(rates=[0.5])
CHANGES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "object": (of_namespace, {"settings": SimpleNamespace(rate=0.5)}, lambda c: setattr(c.settings, "rate", -2.0)),
    "nested": (of_nested, {"settings": {"inner": RATES}}, lambda c: c.settings["inner"].rates.__setitem__(0, -2.0)),
    "array": (of_array, {"rates": np.ones(X, np.float32)}, lambda c: c.rates.fill(-2.0)),
    "tensor": (of_tensor, {"rate": torch.tensor(0.5)}, lambda c: c.rate.fill_(-2.0)),
    "new tensor": (of_tensor, {"rate": torch.tensor(0.5)}, lambda c: setattr(c, "rate", torch.tensor(-2.0))),
    "indices": (of_indices, {"order": torch.tensor([3, 2, 1, 0])}, lambda c: c.order.copy_(torch.tensor([1, 1, 0, 2]))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_attributes_that_change(name: str) -> None:
    part, attributes, change = CHANGES[name]
    made = cell(part, **copy.deepcopy(attributes))
    layer = compile_cell(made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        is_right(layer)
        change(made)
        is_right(layer)


def is_checked(self: Any, h: Tensor) -> Tensor:
    return h * 0.5 if torch.is_grad_enabled() else h * 2.0


def is_hooked(self: Any, h: Tensor) -> Tensor:
    h = h * self.w.bias
    if h.requires_grad:
        h.register_hook(lambda gradient: gradient.clamp(-1e-9, 1e-9))
    return h


class Straight(torch.autograd.Function):
    """Step function with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        return (h > 0).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def is_function(self: Any, h: Tensor) -> Tensor:
    return Straight.apply(h * self.w.bias)  # type: ignore[no-any-return, no-untyped-call]


def is_counted(self: Any, h: Tensor) -> Tensor:
    self.clock.steps += 1
    return h * (1 / self.clock.steps)


def is_one_hot(self: Any, h: Tensor) -> Tensor:
    return F.one_hot(h.argmax(1), X).to(h.dtype) * self.w.bias


def has_indices(self: Any, h: Tensor) -> Tensor:
    values, indices = h.max(1, keepdim=True)
    return h * values + indices * 0.1


def is_sorted(self: Any, h: Tensor) -> Tensor:
    return h.sort(1).values * self.w.bias


def is_rounded(self: Any, h: Tensor) -> Tensor:
    return torch.round(h, decimals=1) + h * self.w.bias


def by_sequence(self: Any, h: Tensor) -> Tensor:
    return torch.stack([h[row] * 0.5 for row in range(len(h))])


def is_normed(self: Any, h: Tensor) -> Tensor:
    return self.norm(h)  # type: ignore[no-any-return]


def is_complex(self: Any, h: Tensor) -> Tensor:
    return torch.fft.fft(h).real


PLAIN: dict[Any, tuple[dict[str, Any], str]] = {
    is_checked: ({}, "is_grad_enabled: a step that depends on gradients or changes them (test_bad_cells.py:"),
    is_hooked: ({}, "requires_grad: a step that depends on gradients or changes them (test_bad_cells.py:"),
    is_function: ({}, "Straight: a torch.autograd.Function in a step (test_bad_cells.py:"),
    is_counted: ({"clock": SimpleNamespace(steps=0)}, "a step changes attributes of the cell"),
    is_one_hot: ({}, "depend on the values of tensors (test_bad_cells.py:"),
    has_indices: ({}, "max: a result of torch.int64 is not supported (test_bad_cells.py:"),
    is_sorted: ({}, "sort: not supported (test_bad_cells.py:"),
    is_rounded: ({}, "round: rounding to decimals is not supported (test_bad_cells.py:"),
    by_sequence: ({}, "select: the operations of a step depend on the values or on the batch size"),
    of_list: ({"rates": [torch.tensor(0.5)]}, "a step reads a tensor in the attribute rates; register it as a buffer"),
    is_normed: ({"norm": nn.BatchNorm1d(X)}, "in place (test_bad_cells.py:"),
    is_complex: ({}, "_fft_r2c: not supported (test_bad_cells.py:"),
}


@pytest.mark.parametrize("part", PLAIN, ids=lambda part: part.__name__)
def test_one_line_and_the_plain_form(part: Any) -> None:
    attributes, line = PLAIN[part]
    made, inputs = cell(part, **copy.deepcopy(attributes)), torch.randn(3, 5, X)
    layer, other = compile_cell(made), copy.deepcopy(made)
    with pytest.warns(PlainLoopWarning, match=re.escape(line)) as caught:
        found = layer(inputs)[0]
    assert len(caught) == 1
    plain = run_loop(other, layer.form(inputs), inputs, None, None)[0]
    torch.testing.assert_close(found, plain, rtol=0, atol=0)
    one, two = (
        torch.autograd.grad(each.square().sum(), owner.w.bias) for each, owner in ((found, made), (plain, other))
    )
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_state_of_whole_numbers() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Linear(X, X)

        def forward(self, x: Tensor, state: Any = None) -> Any:
            h, time = state or (x.new_zeros(len(x), X), torch.zeros(len(x), 1, dtype=torch.long))
            return torch.tanh(self.w(x) + h * (time % 2)), time + 1

    layer, inputs = compile_cell(Counting()), torch.randn(3, 5, X)
    with pytest.warns(PlainLoopWarning, match=r"a state of torch\.float32, torch\.int64 with inputs of torch\.float32"):
        outputs, (_, time) = layer(inputs)
    assert time.dtype is torch.long
    torch.testing.assert_close(outputs, run_loop(layer.cell, layer.form(inputs), inputs, None, None)[0])


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (torch.zeros(2, 3, X, dtype=torch.float64), "float64 on cpu: the parameters of GRUCell are torch.float32"),
        (torch.zeros(2, 3, X + 1), "input has inconsistent input_size: got 5 expected 4"),
        (torch.zeros(2, 3, X, device="meta"), "on meta: the parameters of GRUCell are torch.float32 on cpu"),
        (torch.zeros(0, 3, X), "at least one row and step"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(inputs: Tensor, line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        compile_cell(nn.GRUCell(X, 5))(inputs)


def test_inputs_of_any_memory_format_and_value() -> None:
    layer = compile_cell(nn.GRUCell(X, 5))
    is_right(layer, torch.randn(5, 3, X).transpose(0, 1))
    is_right(layer, torch.randn(1, 3, X).expand(4, 3, X))
    is_right(layer, torch.randn(4, 3, 2 * X)[:, :, ::2])
    inputs = torch.randn(5, 6, X) * 1e30
    inputs[0, 1, 0], inputs[1, 2, 1], inputs[2, 0, 0] = torch.nan, torch.inf, -torch.inf
    plain = run_loop(layer.cell, layer.form(inputs), inputs, None, None)[0]
    torch.testing.assert_close(layer(inputs)[0], plain, equal_nan=True)
    outputs, last = layer(inputs, None, torch.zeros(5, dtype=torch.long))
    assert not outputs.any()
    assert not last.any()


def test_copies_and_changes_of_parameters() -> None:
    layer = compile_cell(nn.GRUCell(X, 5))
    is_right(layer)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.weight_ih is other.cell.weight_ih
        assert other.cell is not layer.cell
        with torch.no_grad():
            other.weight_ih.add_(1.0)
        is_right(other)
    is_right(layer)
    layer.weight_hh.requires_grad_(False)
    is_right(layer)
    layer.cell.weight_ih = nn.Parameter(torch.randn(15, X))
    layer.weight_hh.data = torch.randn(5, 15).t()
    is_right(layer)


def test_parametrizations() -> None:
    made = cell(of_tensor, rate=torch.tensor(0.5))
    nn.utils.parametrizations.weight_norm(made.w)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        is_right(compile_cell(made))


def test_a_cell_without_parameters() -> None:
    class Average(nn.Module):
        def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
            return x if h is None else 0.5 * (x + h)

    layer, inputs = compile_cell(Average()), torch.randn(3, 5, X, requires_grad=True)
    plain = run_loop(layer.cell, layer.form(inputs), inputs, None, None)[0]
    found = layer(inputs)[0]
    torch.testing.assert_close(found, plain)
    one, two = (torch.autograd.grad(each.square().sum(), inputs) for each in (found, plain))
    torch.testing.assert_close(one, two)


def test_threads() -> None:
    """Two threads compile and run one cell."""
    layer, inputs = compile_cell(nn.LSTMCell(X, 7)), torch.randn(3, 5, X)
    plain, found = run_loop(layer.cell, layer.form(inputs), inputs, None, None)[0], []

    def run() -> None:
        for _ in range(10):
            outputs = layer(inputs)[0]
            outputs.sum().backward()
            found.append(outputs.detach())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(found) == 20
    for outputs in found:
        torch.testing.assert_close(outputs, plain.detach())


def test_weights_changed_before_the_backward_pass() -> None:
    layer = compile_cell(nn.GRUCell(X, 5))
    total = layer(torch.randn(3, 5, X))[0].sum()
    with torch.no_grad():
        layer.weight_hh.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def of_one_sequence(self: Any, h: Tensor) -> Tensor:
    return h * 2 if len(h) == 1 else h


def test_a_branch_on_a_batch_of_one_is_seen() -> None:
    layer = compile_cell(cell(of_one_sequence))
    with pytest.warns(PlainLoopWarning, match=r"^OfOneSequenceCell runs as a plain loop: .* of the kernel differs"):
        layer(torch.randn(3, 5, X))
    for rows in (1, 3):
        is_right(layer, torch.randn(rows, 5, X))
