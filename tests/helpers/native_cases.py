"""Recurrences of torch, row by row, as a reference for the native kernels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqhub.native.loader import LibraryMissingError, instruction_sets
from seqhub.native.operator import CELLS, recurrence

try:
    SETS = instruction_sets()
except LibraryMissingError:  # seqhub was installed without a compiler
    SETS = ()

BLOCKS: dict[str, dict[str, Any]] = {  # memory cell blocks with every option, with fewer and more cells than lanes
    "one": {"hidden_size": 1},
    "blocks": {"hidden_size": 6, "block_size": 2},
    "wide": {"hidden_size": 20, "block_size": 5, "biased_units": "gates"},
    "bare": {"hidden_size": 4, "output_gates": False, "squash_output": "id", "biased_units": "none"},
    "below": {"hidden_size": 3, "connectivity": "below", "squash_input": "g1", "biased_units": "hidden"},
    "many": {"hidden_size": 18, "block_size": 3, "squash_input": "g1"},
}


@dataclass
class Case:
    """A recurrence of torch and data for it; `ids` are one-hot vectors for torch, with id 0 as the zero vector."""

    cell: str
    batch: int = 5
    steps: int = 7
    features: int = 3
    hidden: int = 4
    layers: int = 1
    directions: int = 1
    by_ids: bool = True
    double: bool = True
    start: bool = False
    side: str = "left"  # of the padding
    scale: float = 1.0  # of the weights

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self.dtype = torch.float64 if self.double else torch.float32
        self.module = _module(self)
        with torch.no_grad():
            for weight in self.module.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * self.scale / self.hidden**0.5)
        self.lengths = torch.randint(1, self.steps + 1, (self.batch,), generator=generator)
        room = self.steps - self.lengths
        starts = {"left": room, "right": room * 0, "both": room // 2}[self.side]
        self.spans = torch.stack((starts, self.lengths))
        ids = torch.randint(0, self.features + 1, (self.batch, self.steps), generator=generator)
        values = torch.randn(self.batch, self.steps, self.features, generator=generator, dtype=self.dtype)
        self.inputs = ids if self.by_ids else values
        self.columns = torch.arange(-1, self.features, dtype=torch.int32) if self.by_ids else None
        shape = (self.layers * self.directions, self.batch, self.hidden)
        self.h_0, self.c_0 = torch.randn(2, *shape, generator=generator, dtype=self.dtype)
        self.d_outputs = [
            torch.randn(size, generator=generator, dtype=self.dtype)
            for size in ((self.batch, self.steps, self.directions * self.hidden), shape, shape)
        ]

    @property
    def weights(self) -> list[Tensor]:
        return [weight for each in self.module.all_weights for weight in each]


def _module(case: Case) -> nn.RNNBase:
    how = {
        "num_layers": case.layers,
        "bidirectional": case.directions == 2,
        "batch_first": True,
        "dtype": case.dtype,
    }
    if case.cell in ("gru", "lstm"):
        return {"gru": nn.GRU, "lstm": nn.LSTM}[case.cell](case.features, case.hidden, **how)
    return nn.RNN(case.features, case.hidden, nonlinearity=case.cell.removeprefix("rnn_"), **how)


def of_torch(case: Case) -> dict[str, Tensor]:
    """Return outputs and gradients of torch, for each row by itself and without its padding."""
    case.module.zero_grad()
    inputs = case.inputs
    if case.by_ids:
        inputs = torch.eye(case.features, dtype=case.dtype)[inputs - 1] * (inputs > 0).unsqueeze(-1)
    inputs, h_0, c_0 = (each.clone().requires_grad_() for each in (inputs, case.h_0, case.c_0))
    states, ends, cells = torch.zeros_like(case.d_outputs[0]), [], []
    for row in range(case.batch):
        first, count = case.spans[:, row].tolist()
        start: object = None
        if case.start:
            start = h_0[:, row : row + 1].contiguous()
            if case.cell == "lstm":
                start = (start, c_0[:, row : row + 1].contiguous())
        real = slice(first, first + count)
        out, end = case.module(inputs[row : row + 1, real], start)
        states = torch.cat((states[:row], nn.functional.pad(out, (0, 0, first, case.steps - first - count)),
                            states[row + 1 :]))  # fmt: skip
        ends.append(end[0] if case.cell == "lstm" else end)
        cells.append(end[1] if case.cell == "lstm" else end)
    outputs = [states, torch.cat(ends, dim=1), torch.cat(cells, dim=1)]
    return _results(case, outputs, inputs, h_0, c_0, case.weights)


def of_seqhub(case: Case, instruction_set: str = "", output_states: bool = True) -> dict[str, Tensor]:
    """Return outputs and gradients of the native recurrence, for all rows at once."""
    inputs, h_0, c_0 = (each.clone() for each in (case.inputs, case.h_0, case.c_0))
    for each in (h_0, c_0) if case.by_ids else (inputs, h_0, c_0):
        each.requires_grad_()
    weights = [weight.detach().clone().requires_grad_() for weight in case.weights]
    outputs = recurrence(
        inputs,
        weights,
        case.cell,
        columns=case.columns,
        spans=case.spans,
        h_0=h_0 if case.start else None,
        c_0=c_0 if case.start and case.cell == "lstm" else None,
        bidirectional=case.directions == 2,
        output_states=output_states,
        instruction_set=instruction_set,
    )
    return _results(case, list(outputs), inputs, h_0, c_0, weights)


def _results(case: Case, outputs: list[Tensor], inputs: Tensor, h_0: Tensor, c_0: Tensor, weights: list[Tensor]):
    used = 3 if case.cell == "lstm" else 2
    loss = sum((given * out).sum() for given, out in zip(case.d_outputs[:used], outputs, strict=False) if out.numel())
    loss.backward()
    found = dict(zip(("states", "h_n", "c_n"), outputs[:used], strict=False))
    found |= {f"d_weight_{number}": weight.grad for number, weight in enumerate(weights)}
    if not case.by_ids:
        found["d_inputs"] = inputs.grad
    if case.start:
        found["d_h_0"] = h_0.grad
        if case.cell == "lstm":
            found["d_c_0"] = c_0.grad
    return {name: tensor.detach() for name, tensor in found.items()}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    """Assert equality up to a tolerance relative to the largest outputs and the largest gradients."""
    assert found.keys() == wanted.keys()
    for outputs in (True, False):
        names = [name for name in wanted if name.startswith("d_") != outputs]
        scale = max([wanted[name].abs().max().item() for name in names], default=1.0)
        for name in names:
            error = (found[name] - wanted[name]).abs().max().item() / max(scale, 1e-6)
            assert error <= tolerance, f"{name}: {error:.1e} of {scale:.1e}"


def exact(case: Case) -> float:
    """Return the tolerance: 1e-10 in double, 1e-5 in single precision."""
    return 1e-10 if case.double else 1e-5


__all__ = ["BLOCKS", "CELLS", "SETS", "Case", "assert_same", "exact", "of_seqhub", "of_torch"]
