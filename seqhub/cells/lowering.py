"""Translation of a recorded step into a graph, by one rule for each ATen operation (`rules`).

Values of a step are of two kinds. Values of weights alone are views of a parameter, or are computed by torch before the
kernel runs; values of the batch are (B, W) or (B,), become nodes of the graph, and are computed by the kernel.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqhub.cells.errors import NotCompilableError
from seqhub.cells.graph import Graph, Matrix, Node, Row, Value
from seqhub.cells.trace import Line, Operation, Ref, Trace

# operations on weights that the kernel computes; others are computed by torch before it runs
_OF_ROWS = frozenset(
    ("neg", "tanh", "sigmoid", "relu", "exp", "softplus", "add", "sub", "rsub", "mul", "div", "reciprocal", "detach")
)
_OF_MATRICES = frozenset(("neg", "add", "sub", "rsub", "mul"))
FILLS = {
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero"), 0.0),
    **dict.fromkeys(("ones", "new_ones", "ones_like"), 1.0),
}


class Lowering:
    """Graph of a recorded step.

    Args:
        trace: The recording.
        other: The same step, recorded with another batch size.
        rules: Name of an operation -> its rule.

    Attributes:
        graph: The nodes.
        output: Output of the step.
        states: New states.
        weights: Index in the trace of each tensor that the kernel reads, made contiguous.
        prelude: Operations on weights that torch computes before the kernel runs.
    """

    def __init__(self, trace: Trace, other: Trace, rules: "Mapping[str, Rule]") -> None:
        self.trace, self.other, self.rules = trace, other, rules
        self.dtype = trace.values[trace.inputs[0]].dtype
        self.graph = Graph()
        self.weights: list[int] = []
        self.makers = {each.index: operation for operation in trace.operations for each in refs_of(operation.results)}
        self.batch: dict[int, Value] = {}
        self._constants: set[int] = set()
        self._named: dict[tuple[Line | None, str], Node] = {}
        for number, index in enumerate(trace.inputs):
            width = trace.shape(index)[1]
            self.batch[index] = Value((self.graph.leaf("x" if number == 0 else ("state", number - 1), 0, width),))
        for number, operation in enumerate(trace.operations):
            self._lower(operation, number)
        self.output = self._end(trace.output)
        self.states = [self._end(index) for index in trace.states]
        self.prelude = self._prelude()

    def _end(self, index: int) -> Value:
        """Return the value of an output or new state, in which every piece is an operation or a leaf."""
        if index not in self.batch:
            raise NotCompilableError("the output or a new state does not depend on the batch")
        return Value(tuple(self.graph.in_memory(each) for each in self.batch[index].pieces))

    def _prelude(self) -> list[Operation]:
        """Return the operations that the weights of the kernel need, in the order of execution."""
        needed, found = set(self.weights), []
        given = {*self.batch, *self.trace.leaves}
        for operation in reversed(self.trace.operations):
            made = {each.index for each in refs_of(operation.results)}
            if made & needed and not made & given:
                found.append(operation)
                needed |= {each.index for each in refs_of((operation.args, operation.kwargs))}
        return found[::-1]

    def _lower(self, operation: Operation, number: int) -> None:
        results = refs_of(operation.results)
        read = refs_of((operation.args, operation.kwargs))
        of_batch = [each for each in read if each.index in self.batch]
        writes = any(each.alias_info is not None and each.alias_info.is_write for each in
                     operation.function._schema.arguments)  # fmt: skip
        if writes:
            self._check_write(operation, number)
        depends = [self._has_batch(each.index) for each in results]
        if not of_batch and not any(depends):
            if len(results) == 1 and not writes and all(each.index in self._constants for each in read):
                self._make_leaf(results[0])
            return  # of weights alone
        name = operation.name.removesuffix("_") if writes else operation.name
        if not any(depends) and (name in FILLS or name in ("new_full", "full_like")):
            self._make_leaf(results[0])  # a constant, whatever the values of the batch are
            return
        rule = self.rules.get(name)
        if rule is None:
            raise operation.error("not supported")
        self.graph.line = str(operation.line or "")
        made = rule(self, operation)
        values = made if isinstance(made, list) else [made]
        targets = operation.line.targets if operation.line is not None else []
        for position, (result, value) in enumerate(zip(results, values, strict=False)):
            tensor = self.trace.values[result.index]
            shape = (value.width,) if not value.flat else ()
            if not self._has_batch(result.index) or tuple(tensor.shape)[1:] != shape:
                raise operation.error(f"a result of shape {tuple(tensor.shape)} is not supported")
            if tensor.dtype not in (self.dtype, torch.bool):
                raise operation.error(f"a result of {tensor.dtype} is not supported")
            self.batch[result.index] = value
            target = targets[position] if len(targets) == len(values) else None
            if target and len(value.pieces) == 1 and value.pieces[0].args:
                # the last operation of a line has the name of its variable
                before = self._named.get((operation.line, target))
                if before is not None:
                    before.name = ""
                value.pieces[0].name = target
                self._named[operation.line, target] = value.pieces[0]

    def _make_leaf(self, result: Ref) -> None:
        """Read a constant that is made at each step as it was recorded."""
        self.trace.leaves.append(result.index)
        self._constants.add(result.index)
        del self.makers[result.index]

    def _has_batch(self, index: int) -> bool:
        """Return whether the first size of a value is that of the batch, and no other size depends on it."""
        one, two = self.trace.shape(index), self.other.shape(index)
        return bool(one) and one[0] != two[0] and one[1:] == two[1:]

    def _check_write(self, operation: Operation, number: int) -> None:
        """Require that an in-place operation changes no tensor that is read later by another name."""
        target = operation.args[0]
        if not isinstance(target, Ref):
            raise operation.error("not supported")
        changed = self.trace.values[target.index]
        outside = [*self.trace.inputs, *self.trace.leaves]
        if any(_same_storage(changed, self.trace.values[index]) for index in outside):
            raise operation.error("writes to an input, a state or a parameter in place")
        if target.index not in self.batch:
            raise operation.error("in-place operation on weights")
        new = {each.index for each in refs_of(operation.results)}
        later = [each.index for one in self.trace.operations[number + 1 :] for each in refs_of((one.args, one.kwargs))]
        for index in {*later, self.trace.output, *self.trace.states} - new:
            if index < min(new) and _overlap(changed, self.trace.values[index]):
                raise operation.error("in-place operation on a part of a tensor that is read later")

    # Operands

    def value(self, given: Any) -> Value:
        """Return an operand of a pointwise operation: of the batch, a row of weights, or a number."""
        if not isinstance(given, Ref):
            return Value((self.graph.const(float(given)),), flat=True)
        if given.index in self.batch:
            return self.batch[given.index]
        shape = self.trace.shape(given.index)
        if math.prod(shape[:-1]) != 1:
            raise NotCompilableError(f"a weight of shape {shape} in an operation on each unit")
        maker = self.makers.get(given.index)
        if maker is not None and maker.name in _OF_ROWS and self.trace.values[given.index].dtype is self.dtype:
            return Value(self.rules[maker.name](self, maker).pieces, flat=math.prod(shape) == 1)  # type: ignore[union-attr]
        weight, offset, strides = self._view(given.index)
        width = shape[-1] if shape else 1
        row = Row(weight, offset, strides[-1] if width > 1 else 0)
        return Value((self.graph.row(row, width),), flat=len(shape) == 0 or width == 1)

    def matrices(self, given: Any, operation: Operation) -> list[Matrix]:
        """Return the right operand of a product with the batch, as a sum of matrices with one row for each result."""
        if not isinstance(given, Ref) or given.index in self.batch:
            raise operation.error("product of two values of the batch")
        shape = self.trace.shape(given.index)
        if len(shape) == 1:
            weight, offset, strides = self._view(given.index)
            return [Matrix(weight, offset, 0, strides[0], 1, shape[0])]
        return self._terms(given, 1.0)

    def _terms(self, given: Ref, scale: float) -> list[Matrix]:
        """Return a weight times a number as a sum of views, if it is one."""
        maker, shape = self.makers.get(given.index), self.trace.shape(given.index)
        name = "" if maker is None else maker.name
        if maker is not None and name in ("t", "transpose") and isinstance(base := maker.args[0], Ref):
            inner = self.makers.get(base.index)
            if inner is not None and inner.name in _OF_MATRICES:
                return [each.transposed for each in self._terms(base, scale)]
        if maker is not None and name in _OF_MATRICES:
            one, two = maker.argument("self"), maker.argument("other")
            factor = scale * maker.argument("alpha", 1)
            if name == "neg":
                return self._terms(one, -scale)
            if name == "mul" and isinstance(one, Ref) and isinstance(two, (int, float)):
                return self._terms(one, scale * two)
            both = isinstance(one, Ref) and isinstance(two, Ref)
            if name != "mul" and both and self.trace.shape(one.index) == self.trace.shape(two.index) == shape:
                first, second = {"add": (scale, factor), "sub": (scale, -factor), "rsub": (-factor, scale)}[name]
                return [*self._terms(one, first), *self._terms(two, second)]
        weight, offset, strides = self._view(given.index)
        return [Matrix(weight, offset, strides[1], strides[0], shape[1], shape[0], scale)]

    def _view(self, index: int) -> tuple[int, int, tuple[int, ...]]:
        """Return the number of the weight that a value is a view of, with offset and strides."""
        tensor = self.trace.values[index]
        if tensor.dtype is not self.dtype:
            raise NotCompilableError(f"a weight of {tensor.dtype} with inputs of {self.dtype}")
        base = index
        while (maker := self.makers.get(base)) is not None and maker.function.is_view and maker.name != "detach":
            base = maker.args[0].index
        if not self.trace.values[base].is_contiguous():
            base = index
        if self._has_batch(base):
            raise NotCompilableError("a weight whose shape depends on the batch")
        if base not in self.weights:
            self.weights.append(base)
        whole = self.trace.values[base]
        if base == index:
            return self.weights.index(base), 0, torch.empty(whole.shape, device="meta").stride()
        offset = int(tensor.storage_offset() - whole.storage_offset())
        return self.weights.index(base), offset, tensor.stride()

    def operands(self, operation: Operation, *names: str) -> list[Value]:
        """Return arguments of an operation as operands."""
        return [self.value(operation.argument(name)) for name in names]

    def is_bool(self, given: Any) -> bool:
        """Return whether an argument is a truth value."""
        if isinstance(given, Ref):
            return self.trace.values[given.index].dtype is torch.bool
        return isinstance(given, bool)

    def scaled(self, value: Value, factor: Any) -> Value:
        """Return a value times a number."""
        return value if factor == 1 else self.graph.apply("mul", value, self.value(factor))


def refs_of(value: Any) -> list[Ref]:
    """Return all references in arguments or results."""
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in refs_of(part)]
    return []


def _same_storage(one: Tensor, two: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == two.untyped_storage().data_ptr()


def _overlap(one: Tensor, two: Tensor) -> bool:
    """Return whether two tensors may share memory; columns of one matrix that are side by side do not."""
    if not _same_storage(one, two):
        return False
    if one.dim() == two.dim() == 2 and one.stride() == two.stride() and one.stride(1) == 1:
        step = one.stride(0)
        start, other = one.storage_offset() % step, two.storage_offset() % step
        return start < other + two.size(1) and other < start + one.size(1)
    return True


Rule = Callable[[Lowering, Operation], "Value | list[Value]"]
