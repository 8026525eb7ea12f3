"""Comparison of compiled cells with eager steps, and cells for it."""

from typing import Any

import torch
from torch import Tensor, nn

from seqhub.cells.compile import compile_cell
from seqhub.models.wrapped.recurrent_cell import run_loop

NOISE = 0.1


def add_noise(cell: nn.Module) -> nn.Module:
    """Add noise to the parameters, since terms with biases of zero would not be compared."""
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=NOISE)
    return cell


def results(run: Any, cell: nn.Module, inputs: Tensor, states: list[Tensor]) -> dict[str, Tensor]:
    """Return outputs, last states and all gradients of a weighted sum of them, by name."""
    given = [each.detach().clone().requires_grad_() for each in (inputs, *states)]
    outputs, last = run(given[0], given[1:])
    found = {"output": outputs} | {f"state {number}": each for number, each in enumerate(last)}
    total = sum((each * torch.arange(each.numel()).sin().view_as(each)).sum() for each in found.values())
    parameters = dict(cell.named_parameters())
    sources = [*given, *parameters.values()]
    gradients = torch.autograd.grad(total, sources, allow_unused=True)
    names = ["d input", *(f"d state {number}" for number in range(len(states))), *(f"d {name}" for name in parameters)]
    return {name: each.detach() for name, each in found.items()} | {
        name: torch.zeros_like(source) if each is None else each
        for name, source, each in zip(names, sources, gradients, strict=True)
    }


def compare(
    cell: nn.Module, features: int, tolerance: float, *, rows: int = 21, steps: int = 7, with_lengths: bool = True
) -> None:
    """Require that a compiled cell equals eager steps: outputs, last states and all gradients.

    Args:
        cell: The cell, of float32 or float64.
        features: Width of the input.
        tolerance: Largest difference, as a share of the largest number of each tensor (or of 1, if that is larger).
        rows: B.
        steps: T.
        with_lengths: Whether rows have random lengths, also 0, with NaN at padded steps.
    """
    layer = compile_cell(cell)
    dtype = next(cell.parameters(), torch.zeros(1)).dtype
    inputs = torch.randn(rows, steps, features, dtype=dtype)
    form = layer.form(inputs)
    states = [torch.randn(rows, width, dtype=dtype) for width in form.widths]
    lengths = torch.randint(0, steps + 1, (rows,)) if with_lengths else None

    def native(inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        outputs, last = layer(inputs, form.pack([each[None] for each in states]), lengths)
        return outputs, [each[0] for each in (last if form.is_tuple else [last])]

    def eager(inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return run_loop(cell, form, inputs, states, lengths)

    plain = results(eager, cell, inputs, states)
    if lengths is not None:  # padding is inert, whatever its values are
        inputs[torch.arange(steps) >= lengths[:, None]] = torch.nan
    found = results(native, cell, inputs, states)
    assert found.keys() == plain.keys()
    for name, value in plain.items():
        scale = max(float(value.abs().max()), 1.0)
        error = float((found[name] - value).abs().max()) / scale
        assert error <= tolerance, f"{name}: {error:.2g}"
