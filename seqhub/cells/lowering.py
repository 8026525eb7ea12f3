"""Translation of a recorded step into a graph, by one rule for each ATen operation (`rules`).

Values of a step are of two kinds. Values of weights alone are views of a parameter, or are computed by torch before the
kernel runs; values of the batch have B sequences along one dimension, become nodes of the graph, and are computed by
the kernel.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqhub.cells import arrays
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.graph import Graph, Matrix, Node, Row, Value
from seqhub.cells.trace import BATCHES, Line, Operation, Ref, Trace

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
        frozen: Index in the trace of each tensor whose values are part of the kernel, such as indices.
    """

    def __init__(self, trace: Trace, other: Trace, rules: "Mapping[str, Rule]") -> None:
        self.trace, self.other, self.rules = trace, other, rules
        self.dtype = trace.values[trace.inputs[0]].dtype
        self.graph = Graph()
        self.weights: list[int] = []
        self.makers = {each.index: operation for operation in trace.operations for each in refs_of(operation.results)}
        self.numbers = {id(operation): number for number, operation in enumerate(trace.operations)}
        self.batch: dict[int, Value] = {}
        self.frozen: set[int] = set()
        self._constants: set[int] = set()
        self._derived: list[Operation] = []
        self._unsupported: dict[int, NotCompilableError] = {}
        self._named: dict[tuple[Line | None, str], Node] = {}
        for number, index in enumerate(trace.inputs):
            width = trace.shape(index)[1]
            leaf = self.graph.leaf("x" if number == 0 else ("state", number - 1), 0, width)
            self.batch[index] = Value((leaf,), (1, width), 0)
        for number, operation in enumerate(trace.operations):
            self._lower(operation, number)
        self.output = self._end(trace.output)
        self.states = [self._end(index) for index in trace.states]
        self.prelude = self._prelude()

    def _end(self, index: int) -> Value:
        """Return the value of an output or new state, in which every piece is an operation or a leaf."""
        if index not in self.batch:
            raise NotCompilableError("the output or a new state does not depend on the batch")
        value = self.batch[index]
        if value.axis != 0 or value.dims != (1, value.width):
            shape = self.trace.shape(index)
            raise NotCompilableError(f"the output or a new state of shape {shape} is not (batch, width)")
        return Value(tuple(self.graph.in_memory(each) for each in value.pieces))

    def _prelude(self) -> list[Operation]:
        """Return the operations that the weights of the kernel need, in the order of execution."""
        needed, found = set(self.weights), []
        given = {*self.batch, *self.trace.leaves}
        for operation in reversed([*self.trace.operations, *self._derived]):
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
        for each in read:
            if each.index in self._unsupported:
                raise self._unsupported[each.index]
        depends = [self.batch_axis(each.index) is not None for each in results]
        if not of_batch and not any(depends):
            if writes:
                self._check_write(operation)
            if any(self.trace.shape(each.index) != self.other.shape(each.index) for each in results):
                raise operation.error("a size depends on the batch size")
            if len(results) == 1 and not writes and all(each.index in self._constants for each in read):
                self._make_leaf(results[0])
            return  # of weights alone
        if writes:
            self._check_write(operation)
        name = operation.name.removesuffix("_") if writes else operation.name
        if not any(depends) and (name in FILLS or name in ("new_full", "full_like")):
            self._make_leaf(results[0])  # a constant, whatever the values of the batch are
            return
        rule = self.rules.get(name)
        if rule is None:
            raise operation.error("not supported")
        self.graph.line = str(operation.line or "")
        try:
            made = rule(self, operation)
        except NotCompilableError as error:
            if str(error).startswith(f"{operation.name}: "):
                raise
            raise operation.error(str(error)) from error
        values = made if isinstance(made, list) else [made]
        if not operation.tracked:
            values = [arrays.apply(self.graph, "detach", [value]) for value in values]
        targets = operation.line.targets if operation.line is not None else []
        for position, (result, value) in enumerate(zip(results, values, strict=False)):
            tensor = self.trace.values[result.index]
            if tensor.dtype not in (self.dtype, torch.bool):
                self._unsupported[result.index] = operation.error(f"a result of {tensor.dtype} is not supported")
                continue
            shapes = [self.trace.shape(result.index), self.other.shape(result.index)]
            if value.axis is None or shapes != [arrays.shape_of(value, each) for each in BATCHES]:
                raise operation.error(f"a result of shape {tuple(tensor.shape)} is not supported")
            self.batch[result.index] = value
            target = targets[position] if len(targets) == len(values) else None
            # autograd detaches the results that it saves, which is not a part of the line
            if target and name != "detach" and len(value.pieces) == 1 and value.pieces[0].args:
                # the last operation of a line has the name of its variable
                before = self._named.get((operation.line, target))
                if before is not None:
                    before.name = ""
                value.pieces[0].name = target
                self._named[operation.line, target] = value.pieces[0]
        if writes:
            self._update_views(operation, number, results[0])

    def _make_leaf(self, result: Ref) -> None:
        """Read a constant that is made at each step as it was recorded."""
        self.trace.leaves.append(result.index)
        self._constants.add(result.index)
        del self.makers[result.index]

    def batch_axis(self, index: int) -> int | None:
        """Return the dimension of a value whose size is a multiple of the batch size; None for weights."""
        one, two = self.trace.shape(index), self.other.shape(index)
        if len(one) != len(two):
            return None
        axes = [axis for axis, sizes in enumerate(zip(one, two, strict=True)) if sizes[0] != sizes[1]]
        first, second = BATCHES
        return axes[0] if len(axes) == 1 and one[axes[0]] * second == two[axes[0]] * first else None

    def _check_write(self, operation: Operation) -> None:
        """Require that an in-place operation changes a tensor of the batch that the step made."""
        target = operation.args[0]
        if not isinstance(target, Ref):
            raise operation.error("not supported")
        changed = self.trace.values[target.index]
        outside = [*self.trace.inputs, *self.trace.leaves]
        if any(_same_storage(changed, self.trace.values[index]) for index in outside):
            raise operation.error("writes to an input, a state or a parameter in place")
        if target.index not in self.batch:
            raise operation.error("in-place operation on weights")

    def _update_views(self, operation: Operation, number: int, result: Ref) -> None:
        """Give other tensors with the memory of a tensor that was changed in place their new values, if they are read.

        Args:
            operation: The in-place operation.
            number: Its place among the operations.
            result: The changed tensor.
        """
        changed, value = self.trace.values[result.index], self.batch[result.index]
        later = [each.index for one in self.trace.operations[number + 1 :] for each in refs_of((one.args, one.kwargs))]
        own = _places_of(changed)
        for index in {*later, self.trace.output, *self.trace.states}:
            if index >= result.index or not _same_storage(changed, self.trace.values[index]):
                continue
            places = _places_of(self.trace.values[index])
            if self.trace.values[index] is changed or not torch.isin(places, own).any():
                continue
            if index not in self.batch or self.trace.values[index].dtype is not changed.dtype:
                raise operation.error("in-place operation on a part of a tensor that is read later")
            before = self.batch[index]
            units = dict(zip(own.tolist(), arrays.entries(value, BATCHES[0]), strict=True))
            table: list[int | None] = [None] * before.width
            for place, (row, unit) in zip(places.tolist(), arrays.entries(before, BATCHES[0]), strict=True):
                new_row, new = units.get(place, (row, None))
                entry = unit if new is None else before.width + new
                if new_row != row or table[unit] not in (None, entry):
                    raise operation.error("in-place operation that mixes sequences of the batch")
                table[unit] = entry
            pieces = (*before.pieces, *value.pieces)
            self.batch[index] = arrays.arranged(
                self.graph, pieces, [each for each in table if each is not None], before.dims, before.axis
            )

    # Operands

    def value(self, given: Any) -> Value:
        """Return an operand of a pointwise operation: of the batch, of weights, or a number."""
        if not isinstance(given, Ref):
            return Value((self.graph.const(float(given)),))
        if given.index in self.batch:
            return self.batch[given.index]
        tensor = self.trace.values[given.index]
        if not tensor.is_floating_point() and not tensor.is_complex():  # truth values and whole numbers
            given = self._derive(torch.ops.aten._to_copy.default, given, dtype=self.dtype)
        shape = self.trace.shape(given.index)
        maker = self.makers.get(given.index)
        is_row = math.prod(shape[:-1]) == 1
        same_type = self.trace.values[given.index].dtype is self.dtype
        if is_row and maker is not None and maker.name in _OF_ROWS and same_type and maker.tracked:
            made = self.rules[maker.name](self, maker)
            assert isinstance(made, Value)
            return Value(made.pieces, shape)
        width = math.prod(shape)
        weight, offset, strides = self._view(given.index)
        long = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size > 1]
        if len(long) > 1 and any(one[1] != two[0] * two[1] for one, two in itertools.pairwise(long)):
            contiguous = torch.ops.aten.clone.default
            given = self._derive(contiguous, given, memory_format=torch.contiguous_format)
            weight, offset, strides = self._view(given.index)
            long = [(width, 1)]
        row = Row(weight, offset, long[-1][1] if long else 0)
        return Value((self.graph.row(row, width),), shape)

    def _derive(self, function: Any, given: Ref, **options: Any) -> Ref:
        """Return a weight that torch computes from another one before the kernel runs."""
        tensor = function(self.trace.values[given.index], **options)
        result = Ref(len(self.trace.values))
        self.trace.values.append(tensor)
        self.other.values.append(tensor)
        operation = Operation(function, (given,), options, result, None)
        self._derived.append(operation)
        self.makers[result.index] = operation
        return result

    def both(self, operation: Operation) -> tuple[Operation, Operation]:
        """Return an operation in the recordings of both batch sizes."""
        return operation, self.other.operations[self.numbers[id(operation)]]

    def frozen_value(self, given: Ref) -> Tensor:
        """Return a tensor whose values become a part of the kernel; the tensors of the cell that it needs are `frozen`.

        Raises:
            NotCompilableError: It differs from call to call.
        """
        tensor = self.trace.values[given.index]
        if not torch.equal(tensor, self.other.values[given.index]):
            raise NotCompilableError("indices that differ from call to call")
        stack, leaves = [given.index], set(self.trace.leaves)
        while stack:
            index = stack.pop()
            if index in leaves:
                self.frozen.add(index)
            elif index in self.makers:
                maker = self.makers[index]
                stack += [each.index for each in refs_of((maker.args, maker.kwargs))]
        return tensor

    def apply(self, op: str, *values: Value) -> Value:
        """Return an operation on each unit of values, which are broadcast."""
        return arrays.apply(self.graph, op, values)

    def matrices(self, given: Any, operation: Operation) -> list[Matrix]:
        """Return the right operand of a product with the batch, as a sum of matrices with one row for each result."""
        shape = self.trace.shape(given.index)
        if len(shape) == 1:
            weight, offset, strides = self._view(given.index)
            return [Matrix(weight, offset, 0, strides[0], 1, shape[0])]
        return self._terms(given, 1.0)

    def slices(self, given: Ref) -> list[list[Matrix]]:
        """Return the matrices of a weight of three dimensions, each as the right operand of a product."""
        (count, columns, rows), (weight, offset, strides) = self.trace.shape(given.index), self._view(given.index)
        return [
            [Matrix(weight, offset + number * strides[0], strides[2], strides[1], rows, columns)]
            for number in range(count)
        ]

    def _terms(self, given: Ref, scale: float) -> list[Matrix]:
        """Return a weight times a number as a sum of views, if it is one."""
        maker, shape = self.makers.get(given.index), self.trace.shape(given.index)
        name = "" if maker is None else maker.name
        if maker is not None and name in ("t", "transpose") and isinstance(base := maker.args[0], Ref):
            inner = self.makers.get(base.index)
            if inner is not None and inner.name in _OF_MATRICES:
                return [each.transposed for each in self._terms(base, scale)]
        if maker is not None and name in _OF_MATRICES and maker.tracked:
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
        if self.trace.shape(base) != self.other.shape(base):
            raise NotCompilableError("a weight whose shape depends on the batch")
        if base not in self.weights:
            self.weights.append(base)
        whole = self.trace.values[base]
        if whole.dtype is not self.dtype:
            raise NotCompilableError(f"a view of a weight of {whole.dtype}")
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
        return value if factor == 1 else self.apply("mul", value, self.value(factor))


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


def _places_of(tensor: Tensor) -> Tensor:
    """Return the place in memory of each element, in row-major order."""
    places = torch.tensor([tensor.storage_offset()])
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        places = (places.unsqueeze(1) + torch.arange(size) * stride).flatten()
    return places


Rule = Callable[[Lowering, Operation], "Value | list[Value]"]
