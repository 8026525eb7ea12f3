"""Recurrences of real-valued inputs, native and by torch's module: the lowest ratios over a grid of shapes.

The grid is cell x width x features x steps x batch x directions x type of the weights. A fixed sample of it is measured
in three ways: a training step through autograd (forward and backward, read at the last step), the forward pass in
evaluation, and optimizer steps of a whole run. The first two call the layers of a model as its modelling file does; the
baseline is torch's module with the same weights. The whole run trains natively; its baseline takes the same steps with
torch's module and fused Adam. Time is that of the processor, of one thread, which other processes disturb less.

Shapes at which models use torch's module themselves (`is_faster_than_torch`) are counted, but not measured.
"""

import random
import time
from collections.abc import Callable, Iterator
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.timing import Goal, Row
from seqhub.models.registry import build_config, build_model
from seqhub.native import dispatch
from seqhub.native.trainer import NativeTrainer, Objective, OptimizerSettings

_WIDTHS, _FEATURES, _STEPS, _BATCHES = (
    (4, 16, 64, 128),
    (1, 8, 28, 64, 128, 256, 512, 1024),
    (1, 8, 28, 110, 300),
    (1, 7, 16, 33, 128),
)
_CELLS, _DIRECTIONS, _TYPES = ("rnn_tanh", "rnn_relu", "gru", "lstm"), (1, 2), (torch.float32, torch.float64)
_SAMPLES = {"autograd": 60, "evaluation": 60, "whole run": 30}
_MAX_PRODUCTS = 4e8  # multiplications of a forward pass; larger shapes would take most of the time
_SECONDS_OF_WORK = 0.03  # of each side in each round
_LOWEST = 8  # rows of each kind


class Shape(NamedTuple):
    """One point of the grid."""

    cell: str
    width: int
    features: int
    steps: int
    batch: int
    directions: int
    dtype: torch.dtype

    def __str__(self) -> str:
        both = ", both directions" if self.directions == 2 else ""
        sizes = f"F={self.features}, T={self.steps}, B={self.batch}{both}"
        return f"{self.cell} {self.width}, {sizes}, {str(self.dtype).removeprefix('torch.')}"

    @property
    def products(self) -> int:
        """Number of multiplications of a forward pass."""
        gates = {"gru": 3, "lstm": 4}.get(self.cell, 1)
        return self.directions * gates * self.width * (self.width + self.features) * self.steps * self.batch

    @property
    def is_native(self) -> bool:
        """Use of the library by models of this shape."""
        return dispatch.is_faster_than_torch(self.cell, self.batch, self.steps, self.width, self.features)


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    every = [shape for shape in grid() if shape.products <= _MAX_PRODUCTS]
    native = [shape for shape in every if shape.is_native]
    rows = []
    for kind, count in _SAMPLES.items():
        chosen = random.Random(f"grid, {kind}").sample(every if kind == "whole run" else native, count)
        measured = sorted((_measured(kind, shape, rounds) for shape in chosen), key=lambda row: row.ratio or 0)
        counted = "" if kind == "whole run" else f"; {len(every) - len(native):,} of {len(every):,} use torch's module"
        lowest, goal = measured[0], ("ratio", ">=", 1)
        shape = lowest.case.partition(": ")[2]
        rows.append(_row(f"{kind}, lowest of {count}{counted}: {shape}", lowest, goal))  # type: ignore[arg-type]
        rows += measured[1:_LOWEST]
        rows.append(_row(f"{kind}, median of {count}", measured[count // 2], None))
    return rows


def grid() -> Iterator[Shape]:
    """Return all points of the grid."""
    return map(Shape._make, product(_CELLS, _WIDTHS, _FEATURES, _STEPS, _BATCHES, _DIRECTIONS, _TYPES))


def _row(case: str, row: Row, goal: Goal | None) -> Row:
    return Row(case=case, unit=row.unit, theirs=row.theirs, ours=row.ours, ratio=row.ratio, goal=goal)


def _measured(kind: str, shape: Shape, rounds: int) -> Row:
    theirs, ours = (_whole_run if kind == "whole run" else _layers)(kind, shape)
    times = max(1, int(_SECONDS_OF_WORK / max(_seconds(theirs, 1), 1e-6)))
    pairs = [(_seconds(theirs, times), _seconds(ours, times)) for _ in range(rounds + 1)][1:]
    per = times * shape.batch * shape.steps
    return Row(
        case=f"{kind}: {shape}",
        unit="steps of sequences/s",
        theirs=per / median(one for one, _ in pairs),
        ours=per / median(two for _, two in pairs),
        ratio=median(one / two for one, two in pairs),
    )


def _seconds(job: Callable[[], object], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        job()
    return time.process_time() - started


def _model(shape: Shape) -> Any:
    config = build_config(
        shape.cell, inputs="values", num_features=shape.features, hidden_size=shape.width, num_labels=2,
        bidirectional=shape.directions == 2,
    )  # fmt: skip
    return build_model(config, "sequence").to(shape.dtype)


def _torch_module(shape: Shape) -> nn.RNNBase:
    options: dict[str, Any] = {"batch_first": True, "bidirectional": shape.directions == 2, "dtype": shape.dtype}
    if shape.cell in ("gru", "lstm"):
        return {"gru": nn.GRU, "lstm": nn.LSTM}[shape.cell](shape.features, shape.width, **options)
    return nn.RNN(shape.features, shape.width, nonlinearity=shape.cell.removeprefix("rnn_"), **options)


def _layers(kind: str, shape: Shape) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the baseline and the layer of a model, each with forward and, for autograd, backward pass."""
    module = _torch_module(shape)
    layers = [layer for layer in _model(shape).modules() if type(layer).__name__ == "RecurrentLayer"]
    own = [each for each in (layers[0].recurrence, layers[0].recurrence_reverse) if each is not None]
    with torch.no_grad():
        given = list(module.parameters())
        for recurrence in own:
            for parameter in recurrence.parameters():
                parameter.copy_(given.pop(0))
    x = torch.randn(shape.batch, shape.steps, shape.features, dtype=shape.dtype)
    d_last = torch.randn(shape.batch, shape.directions * shape.width, dtype=shape.dtype)

    def theirs() -> torch.Tensor:
        found: torch.Tensor = module(x)[1]
        return (found[0] if shape.cell == "lstm" else found).transpose(0, 1).flatten(1)

    def ours() -> torch.Tensor:
        found = dispatch.run(x, None, layers, shape.cell, 0, None, None, None, False)
        assert found is not None
        return found[1].transpose(0, 1).flatten(1)

    tolerance = {torch.float32: 1e-4, torch.float64: 1e-9}[shape.dtype]
    torch.testing.assert_close(ours(), theirs(), rtol=tolerance, atol=tolerance)
    if kind == "evaluation":
        return torch.inference_mode()(theirs), torch.inference_mode()(ours)

    def with_backward(forward: Callable[[], torch.Tensor], modules: list[nn.Module]) -> Callable[[], None]:
        def step() -> None:
            for each in modules:
                each.zero_grad(set_to_none=True)
            forward().backward(d_last)

        return step

    return with_backward(theirs, [module]), with_backward(ours, own)


def _whole_run(kind: str, shape: Shape) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return optimizer steps on the same batches, in torch and natively."""
    steps, generator = 4, np.random.default_rng(0)
    values = generator.normal(size=(steps * shape.batch, shape.steps, shape.features))
    inputs = values.astype(np.float32 if shape.dtype is torch.float32 else np.float64)
    labels = generator.integers(0, 2, len(inputs))
    lengths, rates = np.full(len(inputs), shape.steps), np.full(steps, 1e-3)
    method = OptimizerSettings(name="adam", max_grad_norm=1.0)
    trainer = NativeTrainer(_model(shape), Objective(target="class", outputs=2), method)
    module, head = _torch_module(shape), nn.Linear(shape.directions * shape.width, 2, dtype=shape.dtype)
    parameters = [*module.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    batches = list(
        zip(torch.from_numpy(inputs).split(shape.batch), torch.from_numpy(labels).split(shape.batch), strict=True)
    )

    def theirs() -> None:
        for x, y in batches:
            optimizer.zero_grad()
            found = module(x)[1]
            last = (found[0] if shape.cell == "lstm" else found).transpose(0, 1).flatten(1)
            nn.functional.cross_entropy(head(last), y).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return theirs, lambda: trainer.train(inputs, lengths, labels, shape.batch, rates)
