"""Recording of one step of a cell as a list of ATen operations.

A copy of the cell runs one eager step on random values. Each operation is recorded with its arguments, the shapes of
its results and the line of source code that called it. The step is recorded for two batch sizes: the operations must be
the same, and sizes that differ are sizes of the batch.
"""

import linecache
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from seqhub.cells.errors import NotCompilableError

BATCHES = (3, 5)  # numbers of sequences of the two recordings
_TORCH = f"{Path(torch.__file__).parent}/"
_ASSIGNED = re.compile(r"\s*((?:[A-Za-z_]\w*\s*,\s*)*[A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)")


@dataclass(frozen=True)
class Ref:
    """Reference to a value of a trace, in place of a tensor."""

    index: int


@dataclass(frozen=True)
class Line:
    """Line of source code that called an operation."""

    file: str
    number: int

    @property
    def text(self) -> str:
        """Source code of the line; empty if it is not known."""
        return linecache.getline(self.file, self.number).strip()

    @property
    def targets(self) -> list[str]:
        """Names of the variables to which the line assigns."""
        found = _ASSIGNED.match(self.text)
        return [name.strip() for name in found[1].split(",")] if found else []

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.number}: {self.text}" if self.text else f"{self.file}:{self.number}"


@dataclass
class Operation:
    """An ATen operation, with `Ref` in place of the tensors in its arguments and results.

    `tracked` is whether it is differentiated, which it is not under `torch.no_grad()`.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: Any
    line: Line | None
    tracked: bool = True

    @property
    def name(self) -> str:
        """Name without namespace and overload, such as `add`."""
        return str(self.function._schema.name.rpartition("::")[2])

    def argument(self, name: str, default: Any = None) -> Any:
        """Return an argument by name."""
        for number, each in enumerate(self.function._schema.arguments):
            if each.name == name:
                if number < len(self.args):
                    return self.args[number]
                return self.kwargs.get(name, default if each.default_value is None else each.default_value)
        return default

    def error(self, reason: str) -> NotCompilableError:
        """Return the error for this operation."""
        where = f" ({self.line})" if self.line is not None else ""
        return NotCompilableError(f"{self.name}: {reason}{where}")


@dataclass
class Trace:
    """Operations of one step.

    Attributes:
        operations: In the order of execution.
        values: The tensors, by the index of `Ref`; after an in-place operation the same tensor has a new index.
        inputs: Index of the input and of each state.
        leaves: Index of every other tensor that no operation made: parameters, buffers, constants.
        output: Index of the output.
        states: Index of each new state.
    """

    operations: list[Operation] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    output: int = -1
    states: list[int] = field(default_factory=list)

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a value."""
        return tuple(self.values[index].shape)


class _Recorder(TorchDispatchMode):
    """Mode that runs operations and adds them to a trace."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = trace
        self.index: dict[int, int] = {}  # id of a tensor, which the trace keeps alive -> index of its value

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise the first operation imports torch._dynamo, which takes seconds

    def add(self, tensor: Tensor) -> int:
        """Return the index of a new value."""
        self.index[id(tensor)] = len(self.trace.values)
        self.trace.values.append(tensor)
        return self.index[id(tensor)]

    def leaf(self, tensor: Tensor) -> Ref:
        """Return the reference to a tensor that is used."""
        if id(tensor) not in self.index:
            self.trace.leaves.append(self.add(tensor))
        return Ref(self.index[id(tensor)])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = [tree_map(lambda each: self.leaf(each) if isinstance(each, Tensor) else each, part) for part in
                 (args, kwargs)]  # fmt: skip
        tracked = torch.is_grad_enabled()
        operation = Operation(func, tuple(known[0]), known[1], None, _calling_line(), tracked)
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise operation.error("random numbers in a step")
        if operation.name in ("_local_scalar_dense", "is_nonzero", "equal", "nonzero"):
            raise operation.error("control flow or Python values that depend on the values of tensors")
        results = func(*args, **kwargs)
        operation.results = tree_map(lambda each: Ref(self.add(each)) if isinstance(each, Tensor) else each, results)
        self.trace.operations.append(operation)
        return results


def record_step(step: nn.Module, x: Tensor, states: list[Tensor]) -> Trace:
    """Record one step.

    Args:
        step: Called with the input and all states, returns the output and all new states.
        x: (B, F).
        states: Tensors (B, width).

    Raises:
        NotCompilableError: The step reads values of tensors, draws random numbers, or fails.
    """
    trace = Trace()
    recorder = _Recorder(trace)
    with torch.enable_grad():
        # with gradients, and not leaves, as in a loop
        x, *states = (each.requires_grad_().clone() for each in (x, *states))
        trace.inputs = [recorder.add(each) for each in (x, *states)]
        with recorder, _Attributes(), _of_mode():
            output, *after = step(x, *states)
    _check_functions([output, *after])
    for each in (output, *after):
        if id(each) not in recorder.index:
            trace.leaves.append(recorder.add(each))
    trace.output, *trace.states = (recorder.index[id(each)] for each in (output, *after))
    return trace


class _Attributes(TorchFunctionMode):
    """Mode that refuses what depends on gradients, or changes them, without being an operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _OF_GRADIENTS:
            line = _calling_line()
            if line is not None and not line.file.startswith(_TORCH):
                name = _OF_GRADIENTS[func]
                raise NotCompilableError(f"{name}: a step that depends on gradients or changes them ({line})")
        return func(*args, **(kwargs or {}))


@contextmanager
def _of_mode() -> Iterator[None]:
    """Refuse steps that ask whether gradients are computed, which is not an operation, either.

    Raises:
        NotCompilableError: At the end.
    """
    lines: list[str] = []
    before = sys.getprofile()

    def note(frame: Any, event: str, function: Any) -> None:
        file = frame.f_code.co_filename
        if event == "c_call" and function in _MODES and file != __file__ and not file.startswith(_TORCH):
            lines.append(f"{function.__name__}: a step that depends on gradients or changes them "
                         f"({Line(file, frame.f_lineno)})")  # fmt: skip

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)
    if lines:
        raise NotCompilableError(lines[0])


_MODES = (torch.is_grad_enabled, torch.is_inference_mode_enabled)
_TENSOR: Any = torch.Tensor
_OF_GRADIENTS = {
    _TENSOR.register_hook: "register_hook",
    _TENSOR.requires_grad.__get__: "requires_grad",
    _TENSOR.grad.__get__: "grad",
    _TENSOR.grad_fn.__get__: "grad_fn",
    _TENSOR.backward: "backward",
}


def _check_functions(results: list[Tensor]) -> None:
    """Require that results were not computed by a `torch.autograd.Function`, which has its own gradient."""
    stack: list[Any] = [each.grad_fn for each in results]
    seen: set[Any] = set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            function: Any = node
            kind = function._forward_cls
            code = kind.forward.__code__
            line = Line(code.co_filename, code.co_firstlineno)
            raise NotCompilableError(f"{kind.__name__}: a torch.autograd.Function in a step ({line})")
        stack += [each for each, _ in node.next_functions]


def compare_traces(one: Trace, two: Trace) -> None:
    """Require that two recordings with different batch sizes and values have the same operations.

    Raises:
        NotCompilableError: An operation or constant differs.
    """
    for first, second in zip(one.operations, two.operations, strict=False):
        parts = [(each.function, each.args, each.kwargs, each.results) for each in (first, second)]
        in_sizes = first.name == "native_group_norm"  # whose sizes are numbers
        if not _alike(*parts, in_sizes=in_sizes):
            raise second.error("the operations of a step depend on the values or on the batch size")
    same_ends = (one.output, one.states) == (two.output, two.states)
    if len(one.operations) != len(two.operations) or one.leaves != two.leaves or not same_ends:
        raise NotCompilableError("the operations of a step depend on the values or on the batch size")


def _alike(one: Any, two: Any, *, in_sizes: bool) -> bool:
    """Return whether arguments are equal, except for multiples of the batch size in lists of sizes."""
    if type(one) is not type(two):
        return False
    if isinstance(one, (list, tuple)):
        sizes = in_sizes or isinstance(one, list)
        return len(one) == len(two) and all(_alike(*pair, in_sizes=sizes) for pair in zip(one, two, strict=True))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_alike(one[key], two[key], in_sizes=False) for key in one)
    if one is two or bool(one == two):
        return True
    return in_sizes and type(one) is int and one * BATCHES[1] == two * BATCHES[0]


def _calling_line() -> Line | None:
    """Return the line of the innermost frame outside torch, or of the outermost one inside it."""
    inside = None
    for frame in _frames():
        file = frame.f_code.co_filename
        if file == __file__:
            if frame.f_code.co_name == "record_step":
                break
        elif not file.startswith(_TORCH):
            return Line(file, frame.f_lineno)
        elif f"{_TORCH}nn/modules/" in file and not file.endswith("/module.py"):
            inside = Line(file, frame.f_lineno)
    return inside


def _frames() -> Iterator[Any]:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]
