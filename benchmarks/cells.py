"""Compiled cells against a Python loop over steps, JAX and the hand-written kernels: forward and backward.

The cells are the 41 layers of torchrecurrent, whose own forward is the loop, with 16 sequences of 110 steps and 9
features (IntersectionRNN: as many as units). A step is forward and backward with a gradient at every output, for all
weights. JAX is measured if it is installed. The memory is the growth of the peak of a process. One thread.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.timing import Goal, Job, Row, rate, row_of_pairs
from seqhub.cells.compile import compile_cell
from seqhub.cells.torchrecurrent import run_layers

_BATCH, _STEPS, _FEATURES = 16, 110, 9
_SECONDS = 0.05  # that a measurement takes at least, on both sides
_HIDDEN: dict[int, Goal] = {8: ("ratio", ">=", 20), 64: ("ratio", ">=", 1), 128: ("ratio", ">=", 1)}
_MEDIANS: dict[int, Goal] = {8: ("ratio", ">=", 100), 64: ("ratio", ">=", 10)}
_MEMORY_BATCH = 256
_MEMORY_CELLS = "LSTM", "MGU", "coRNN", "NAS"
_UNIT = "sequences/s"


def layers() -> list[str]:
    """Return the names of all layers of torchrecurrent."""
    package = import_module("torchrecurrent")
    return sorted(name for name in package.__all__ if not name.endswith("Cell"))


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [*_published(rounds), *_jax(rounds), *_compile_times(), *_memory(), *_hand_written(rounds)]


def _published(rounds: int) -> Iterator[Row]:
    for hidden, goal in _HIDDEN.items():
        rows = []
        for name in layers():
            layer = make_layer(name, hidden)
            inputs = torch.randn(_BATCH, _STEPS, features_of(name, hidden))
            theirs = training_step(lambda x, layer=layer: layer(x)[0], layer, inputs)
            ours = training_step(lambda x, layer=layer: compiled(layer, x), layer, inputs)
            rows.append(_compare(f"{name}, h={hidden}", theirs, ours, rounds, goal))
            yield rows[-1]
        middle = median(row.ratio or 0 for row in rows)
        if hidden in _MEDIANS:
            yield Row(
                case=f"median of the {len(rows)} ratios, h={hidden}", unit="times", theirs=None, ours=middle,
                ratio=middle, goal=_MEDIANS[hidden],
            )  # fmt: skip


def make_layer(name: str, hidden: int) -> nn.Module:
    """Return a layer of torchrecurrent."""
    kind = getattr(import_module("torchrecurrent"), name)
    made: nn.Module = kind(features_of(name, hidden), hidden, batch_first=True)
    return made


def features_of(name: str, hidden: int) -> int:
    """Return the width of the inputs; IntersectionRNN needs that of its states."""
    return hidden if name == "IntersectionRNN" else _FEATURES


def compiled(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs of a layer by its kernel."""
    found = run_layers(layer, inputs, None)
    assert found is not None, "it has no kernel"
    return found[0]


def training_step(function: Callable[[Tensor], Tensor], module: nn.Module, inputs: Tensor) -> Callable[[], None]:
    """Return a function that runs forward and backward."""
    error, parameters = torch.randn_like(function(inputs)), list(module.parameters())

    def step() -> None:
        torch.autograd.grad(function(inputs), parameters, error, allow_unused=True)

    return step


def _compare(
    case: str, theirs: Callable[[], None], ours: Callable[[], None], rounds: int, goal: Goal | None, batch: int = _BATCH
) -> Row:
    """Measure both sides in turn, each for some hundredths of a second."""
    jobs = [_repeated(each, batch) for each in (theirs, ours)]
    return row_of_pairs(case, [(rate(jobs[0]), rate(jobs[1])) for _ in range(rounds)], unit=_UNIT, goal=goal)


def _repeated(step: Callable[[], None], batch: int) -> Job:
    step()
    started = time.perf_counter()
    step()
    count = max(1, round(_SECONDS / (time.perf_counter() - started)))

    def run() -> None:
        for _ in range(count):
            step()

    return Job(run, count * batch)


# JAX


def _jax(rounds: int) -> Iterator[Row]:
    try:
        cells = import_module("benchmarks.jax_cells")
    except ModuleNotFoundError:
        return
    for name, hidden in [(name, hidden) for hidden in (8, 64) for name in cells.CELLS]:
        theirs = cells.training_step(name, _BATCH, _STEPS, _FEATURES, hidden)
        if name == "LSTM":
            module: nn.Module = compile_cell(nn.LSTMCell(_FEATURES, hidden))
            function = lambda x, module=module: module(x)[0]  # noqa: E731
        else:
            module = make_layer(name, hidden)
            function = lambda x, module=module: compiled(module, x)  # noqa: E731
        ours = training_step(function, module, torch.randn(_BATCH, _STEPS, _FEATURES))
        yield _compare(f"JAX jit and scan: {name}, h={hidden}", theirs, ours, rounds, ("ratio", ">=", 3))


# Compilation

_COMPILE = """
import sys, time
import torch
from benchmarks.cells import compiled, features_of, make_layer
torch.set_num_threads(1)
layer = make_layer("RAN", 4)
compiled(layer, torch.zeros(1, 2, 9))  # imports
for name in sys.argv[2:]:
    layer = make_layer(name, int(sys.argv[1]))
    inputs = torch.zeros(1, 2, features_of(name, int(sys.argv[1])))
    began = time.perf_counter()
    compiled(layer, inputs)
    print(time.perf_counter() - began)
"""


def _compile_times() -> Iterator[Row]:
    for hidden in (8, 64):
        with tempfile.TemporaryDirectory() as cache:
            for state, goal in (("first", 8.0), ("from the cache", 0.05)):
                seconds = _numbers(_COMPILE, str(hidden), *layers(), SEQHUB_CACHE=cache)
                for what, value in (("median", median(seconds)), ("longest", max(seconds))):
                    yield Row(
                        case=f"compilation, {state}, {what} of {len(seconds)} cells, h={hidden}", unit="s", theirs=None,
                        ours=value, goal=("ours", "<=", goal),
                    )  # fmt: skip


def _numbers(code: str, *arguments: str, **environment: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(line) for line in done.stdout.split()]


# Memory

_PEAK = """
import re, sys
from pathlib import Path
import torch
from benchmarks.cells import compiled, make_layer, training_step
torch.set_num_threads(1)
name, hidden, batch, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
layer = torch.nn.LSTM(9, hidden, batch_first=True) if name == "LSTM" else make_layer(name, hidden)
if name == "LSTM":
    from seqhub.cells.compile import compile_cell
    from seqhub.models.wrapped.recurrent_cell import run_loop
    module = compile_cell(torch.nn.LSTMCell(9, hidden))
    def function(x):
        if side == "ours":
            return module(x)[0]
        return run_loop(module.cell, module.form(x), x, None, None)[0]
else:
    module = layer
    function = (lambda x: compiled(layer, x)) if side == "ours" else (lambda x: layer(x)[0])
training_step(function, module, torch.randn(16, 110, 9))()  # compiles
step = training_step(function, module, torch.randn(batch, 110, 9)) if side == "none" else None
inputs = torch.randn(batch, 110, 9)
error = torch.randn(batch, 110, function(torch.zeros(1, 1, 9)).size(-1))
status = Path("/proc/self/status")
def value(field):
    return int(re.search(field + r":\\s+(\\d+) kB", status.read_text())[1])
Path("/proc/self/clear_refs").write_text("5")
before = value("VmRSS")
torch.autograd.grad(function(inputs), list(module.parameters()), error, allow_unused=True)
print((value("VmHWM") - before) / 1024)
"""


def _memory() -> Iterator[Row]:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return
    for name in _MEMORY_CELLS:
        theirs, ours = (_numbers(_PEAK, name, "64", str(_MEMORY_BATCH), side)[0] for side in ("theirs", "ours"))
        yield Row(
            case=f"memory of a training step, {name}, h=64, B={_MEMORY_BATCH}", unit="MiB", theirs=theirs, ours=ours,
            ratio=theirs / ours, goal=("ratio", ">=", 1),
        )  # fmt: skip


# The hand-written kernels

_TORCH_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn_tanh": nn.RNNCell}


def _hand_written(rounds: int) -> Iterator[Row]:
    from seqhub.native.operator import recurrence

    for cell, hidden, batch in product(_TORCH_CELLS, (4, 16, 64), (1, 16, 256)):
        module = compile_cell(_TORCH_CELLS[cell](_FEATURES, hidden))
        weights = [getattr(module.cell, name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        inputs = torch.randn(batch, _STEPS, _FEATURES)
        theirs = training_step(lambda x, w=weights, cell=cell: recurrence(x, w, cell)[0], module, inputs)
        ours = training_step(lambda x, module=module: module(x)[0], module, inputs)
        yield _compare(f"hand-written {cell}, h={hidden}, B={batch}", theirs, ours, rounds, ("ratio", ">=", 1), batch)
