"""Compiled cells against a Python loop over steps, JAX and the hand-written kernels: forward and backward.

The cells are the 41 layers of torchrecurrent, whose own forward is the loop, with 16 sequences of 110 steps and 9
features (IntersectionRNN: as many as units). A step is forward and backward with a gradient at every output, for all
weights. JAX is measured if it is installed: its gradients are compared, and of several spellings of a cell the fastest
counts. The memory is the growth of the peak of a process. One thread; all times are processor time.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import product
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.timing import Goal, Job, Row, row_of_pairs
from seqhub.cells.compile import compile_cell
from seqhub.cells.torchrecurrent import run_layers
from seqhub.native.operator import recurrence

_BATCH, _STEPS, _FEATURES = 16, 110, 9
_SECONDS = 0.05  # that a measurement takes at least, on both sides
_HIDDEN = {8: (100, 20), 64: (10, 1), 128: (1, 1)}  # goals for the median and the least ratio
_MEMORY_BATCH = 256
_UNIT = "sequences/s"
_SAME = 1e-3  # largest difference of gradients in float32 of the same cell in JAX


def layers() -> list[str]:
    """Return the names of all layers of torchrecurrent."""
    package = import_module("torchrecurrent")
    return sorted(name for name in package.__all__ if not name.endswith("Cell"))


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [*_published(rounds), *_jax(rounds), *_compile_times(), *_memory(), *_hand_written(rounds)]


def _published(rounds: int) -> Iterator[Row]:
    for hidden, goals in _HIDDEN.items():
        rows: list[Row] = []
        for name in layers():
            layer = make_layer(name, hidden)
            inputs = torch.randn(_BATCH, _STEPS, features_of(name, hidden))
            theirs = training_step(partial(outputs_of, layer), layer, inputs)
            ours = training_step(partial(compiled, layer), layer, inputs)
            rows.append(_compare(f"{name}, h={hidden}", theirs, ours, rounds))
            yield rows[-1]
        yield from _summary(rows, f"cells, h={hidden}", *goals)


def _summary(rows: list[Row], what: str, middle: float | None, least: float) -> Iterator[Row]:
    """Return rows with the median and the least ratio, with goals; no median without a goal for it."""
    ratios = {row.case: row.ratio or 0 for row in rows}
    last = min(ratios, key=lambda case: ratios[case])
    found = {f"least of {len(ratios)} {what} ({last})": (ratios[last], least)}
    if middle is not None:
        found = {f"median of {len(ratios)} {what}": (median(ratios.values()), middle), **found}
    for case, (value, goal) in found.items():
        yield Row(case=case, unit="times", theirs=None, ours=value, ratio=value, goal=("ratio", ">=", goal))


def make_layer(name: str, hidden: int) -> nn.Module:
    """Return a layer of torchrecurrent."""
    kind = getattr(import_module("torchrecurrent"), name)
    made: nn.Module = kind(features_of(name, hidden), hidden, batch_first=True)
    return made


def features_of(name: str, hidden: int) -> int:
    """Return the width of the inputs; IntersectionRNN needs that of its states."""
    return hidden if name == "IntersectionRNN" else _FEATURES


def outputs_of(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs of a layer."""
    found: Tensor = layer(inputs)[0]
    return found


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
    case: str,
    theirs: Callable[[], object],
    ours: Callable[[], None],
    rounds: int,
    goal: Goal | None = None,
    batch: int = _BATCH,
) -> Row:
    """Measure both sides in turn, each for some hundredths of a second."""
    jobs = [_repeated(each, batch) for each in (theirs, ours)]
    return row_of_pairs(case, [(_rate(jobs[0]), _rate(jobs[1])) for _ in range(rounds)], unit=_UNIT, goal=goal)


def _rate(job: Job) -> float:
    """Return sequences per second of processor time, of all threads of the process."""
    started = time.process_time()
    job.run()
    return job.items / (time.process_time() - started)


def _repeated(step: Callable[[], object], batch: int) -> Job:
    step()
    started = time.process_time()
    step()
    count = max(1, round(_SECONDS / (time.process_time() - started)))

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
    for hidden, name in product((8, 64), cells.CELLS):
        if name == "LSTM":
            module: nn.Module = compile_cell(nn.LSTMCell(_FEATURES, hidden))
            function: Callable[[Tensor], Tensor] = partial(outputs_of, module)
        else:
            module = make_layer(name, hidden)
            function = partial(compiled, module)
        inputs = torch.randn(_BATCH, _STEPS, _FEATURES)
        outputs = function(inputs)
        error = torch.randn_like(outputs)
        weights = {key.rpartition(".")[2]: each for key, each in module.named_parameters()}
        own = dict(zip(weights, torch.autograd.grad(outputs, list(weights.values()), error), strict=True))
        numbers = [{key: each.detach().numpy() for key, each in named.items()} for named in (weights, own)]
        spellings = cells.training_steps(name, numbers[0], inputs.numpy(), error.numpy())
        for each in spellings:
            difference = cells.largest_difference(name, each(), numbers[1])
            assert difference < _SAME, f"{name} in JAX is another cell: gradients differ by {difference}"
        theirs = max(spellings, key=lambda each: _rate(_repeated(each, _BATCH)))
        ours = training_step(function, module, inputs)
        yield _compare(f"JAX jit and scan: {name}, h={hidden}", theirs, ours, rounds, ("ratio", ">=", 3))


# Compilation

_COMPILE = """
import os, sys
import torch
from benchmarks.cells import compiled, features_of, make_layer
torch.set_num_threads(1)
layer = make_layer("RAN", 4)
compiled(layer, torch.zeros(1, 2, 9))  # imports
for name in sys.argv[2:]:
    layer = make_layer(name, int(sys.argv[1]))
    inputs = torch.zeros(1, 2, features_of(name, int(sys.argv[1])))
    began = sum(os.times()[:4])
    compiled(layer, inputs)
    print(sum(os.times()[:4]) - began)
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
import ctypes, gc, re, sys
from pathlib import Path
import torch
from benchmarks.cells import compiled, features_of, layers, make_layer, training_step
from seqhub.native.reused_memory import Activations
torch.set_num_threads(1)
hidden, batch, side = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
status = Path("/proc/self/status")
def value(field):
    return int(re.search(field + r":\\s+(\\d+) kB", status.read_text())[1])
for name in layers():
    layer = make_layer(name, hidden)
    function = (lambda x: compiled(layer, x)) if side == "ours" else (lambda x: layer(x)[0])
    inputs = torch.randn(batch, 110, features_of(name, hidden))
    training_step(function, layer, inputs[:16])()  # compiles
    error = torch.randn(batch, 110, hidden)
    Activations._CACHE.clear()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = value("VmRSS")
    torch.autograd.grad(function(inputs), list(layer.parameters()), error, allow_unused=True)
    print((value("VmHWM") - before) / 1024)
"""


def _memory() -> Iterator[Row]:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return
    for hidden in (8, 64):
        theirs, ours = (_numbers(_PEAK, str(hidden), str(_MEMORY_BATCH), side) for side in ("theirs", "ours"))
        rows = [
            Row(
                case=f"memory of a training step, {name}, h={hidden}, B={_MEMORY_BATCH}", unit="MiB", theirs=one,
                ours=two, ratio=one / two,
            )
            for name, one, two in zip(layers(), theirs, ours, strict=True)
        ]  # fmt: skip
        yield from rows
        yield from _summary(rows, f"in memory, h={hidden}", None, 1)


# The hand-written kernels

_TORCH_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn_tanh": nn.RNNCell}


def _by_hand(cell: str, weights: list[Tensor], inputs: Tensor) -> Tensor:
    return recurrence(inputs, weights, cell)[0]


def _hand_written(rounds: int) -> Iterator[Row]:
    for cell, kind in _TORCH_CELLS.items():
        rows: list[Row] = []
        for hidden, batch in product((4, 8, 16, 32, 64), (1, 4, 16, 64, 256)):
            module = compile_cell(kind(_FEATURES, hidden))
            weights = [getattr(module.cell, name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            inputs = torch.randn(batch, _STEPS, _FEATURES)
            theirs = training_step(partial(_by_hand, cell, weights), module, inputs)
            ours = training_step(partial(outputs_of, module), module, inputs)
            rows.append(_compare(f"hand-written {cell}, h={hidden}, B={batch}", theirs, ours, rounds, batch=batch))
            yield rows[-1]
        yield from _summary(rows, f"against the hand-written {cell}", None, 1)
