"""Translation of a recorded step into a graph: one rule for each ATen operation.

Values of a step are of two kinds. Values of weights alone are views of a parameter, or are computed by torch before the
kernel runs; values of the batch are (B, W) or (B,), become nodes of the graph, and are computed by the kernel.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqhub.cells.errors import NotCompilableError
from seqhub.cells.graph import Graph, Matrix, Node, Row, Value
from seqhub.cells.trace import Line, Operation, Ref, Trace

_MAX_POWER = 8
# operations on weights that the kernel computes; others are computed by torch before it runs
_OF_ROWS = frozenset(
    ("neg", "tanh", "sigmoid", "relu", "exp", "softplus", "add", "sub", "rsub", "mul", "div", "reciprocal", "detach")
)
_OF_MATRICES = frozenset(("neg", "add", "sub", "rsub", "mul"))
_FILLS = {
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like", "zero"), 0.0),
    **dict.fromkeys(("ones", "new_ones", "ones_like"), 1.0),
}


class Lowering:
    """Graph of a recorded step.

    Attributes:
        graph: The nodes.
        output: Output of the step.
        states: New states.
        weights: Index in the trace of each tensor that the kernel reads, made contiguous.
        prelude: Operations on weights that torch computes before the kernel runs.
    """

    def __init__(self, trace: Trace, other: Trace) -> None:
        self.trace, self.other = trace, other
        self.dtype = trace.values[trace.inputs[0]].dtype
        self.graph = Graph()
        self.weights: list[int] = []
        self.makers = {each.index: operation for operation in trace.operations for each in _refs(operation.results)}
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
            made = {each.index for each in _refs(operation.results)}
            if made & needed and not made & given:
                found.append(operation)
                needed |= {each.index for each in _refs((operation.args, operation.kwargs))}
        return found[::-1]

    def _lower(self, operation: Operation, number: int) -> None:
        results = _refs(operation.results)
        read = _refs((operation.args, operation.kwargs))
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
        if not any(depends) and (name in _FILLS or name in ("new_full", "full_like")):
            self._make_leaf(results[0])  # a constant, whatever the values of the batch are
            return
        rule = _RULES.get(name)
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
        new = {each.index for each in _refs(operation.results)}
        later = [each.index for one in self.trace.operations[number + 1 :] for each in _refs((one.args, one.kwargs))]
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
            return Value(_RULES[maker.name](self, maker).pieces, flat=math.prod(shape) == 1)  # type: ignore[union-attr]
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


def _refs(value: Any) -> list[Ref]:
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in _refs(part)]
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
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return add


def _unary(name: str, op: str) -> None:
    _RULES[name] = lambda low, operation: low.graph.apply(op, low.value(operation.args[0]))


for _name in (
    *("neg", "tanh", "sigmoid", "relu", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "abs", "sin", "cos", "erf"),
    *("floor", "ceil", "trunc", "sign"),
):
    _unary(_name, _name)
_unary("sgn", "sign")
_unary("detach", "detach")
_unary("clone", "copy")
for _name in ("alias", "lift_fresh", "contiguous"):
    _RULES[_name] = lambda low, operation: low.value(operation.args[0])


def _binary(name: str, op: str, *, truth: bool = False) -> None:
    def rule(low: Lowering, operation: Operation) -> Value:
        one, two = operation.argument("self"), operation.argument("other")
        if truth and not (low.is_bool(one) and low.is_bool(two)):
            raise operation.error("only supported for truth values")
        return low.graph.apply(op, low.value(one), low.value(two))

    _RULES[name] = rule


for _name, _op in {"mul": "mul", "maximum": "max", "minimum": "min"}.items():
    _binary(_name, _op)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _binary(_name, _name)
for _name, _op in {"logical_and": "mul", "bitwise_and": "mul", "logical_or": "max", "bitwise_or": "max"}.items():
    _binary(_name, _op, truth=True)


@_rule("add", "sub")
def _add(low: Lowering, operation: Operation) -> Value:
    one, two = operation.argument("self"), operation.argument("other")
    if low.is_bool(one) and low.is_bool(two):
        raise operation.error("sum of truth values")
    other = low.scaled(low.value(two), operation.argument("alpha", 1))
    return low.graph.apply(operation.name.removesuffix("_"), low.value(one), other)


@_rule("rsub")
def _rsub(low: Lowering, operation: Operation) -> Value:
    one, two = low.operands(operation, "self", "other")
    return low.graph.apply("sub", two, low.scaled(one, operation.argument("alpha", 1)))


@_rule("div")
def _div(low: Lowering, operation: Operation) -> Value:
    if operation.argument("rounding_mode") is not None:
        raise operation.error("rounded division is not supported")
    return low.graph.apply("div", *low.operands(operation, "self", "other"))


@_rule("reciprocal")
def _reciprocal(low: Lowering, operation: Operation) -> Value:
    return low.graph.apply("div", low.value(1.0), low.value(operation.args[0]))


@_rule("logical_not", "bitwise_not")
def _not(low: Lowering, operation: Operation) -> Value:
    if not low.is_bool(operation.args[0]):
        raise operation.error("only supported for truth values")
    return low.graph.apply("sub", low.value(1.0), low.value(operation.args[0]))


@_rule("pow")
def _pow(low: Lowering, operation: Operation) -> Value:
    exponent, base = operation.argument("exponent"), operation.argument("self")
    if isinstance(exponent, Ref) or isinstance(base, (int, float)):
        raise operation.error("only constant exponents are supported")
    value = low.value(base)
    roots = {0.5: "sqrt", -0.5: "rsqrt"}
    if exponent in roots:
        return low.graph.apply(roots[exponent], value)
    if exponent == -1:
        return low.graph.apply("div", low.value(1.0), value)
    if exponent not in range(1, _MAX_POWER + 1):
        raise operation.error(f"exponent {exponent} is not supported")
    found = value
    for _ in range(int(exponent) - 1):
        found = low.graph.apply("mul", found, value)
    return found


@_rule("square")
def _square(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.graph.apply("mul", value, value)


@_rule("where")
def _where(low: Lowering, operation: Operation) -> Value:
    return low.graph.apply("where", *low.operands(operation, "condition", "self", "other"))


@_rule("masked_fill")
def _masked_fill(low: Lowering, operation: Operation) -> Value:
    value, mask, number = low.operands(operation, "self", "mask", "value")
    return low.graph.apply("where", mask, number, value)


@_rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(low: Lowering, operation: Operation) -> Value:
    low_name, high_name = ("min_val", "max_val") if operation.name.startswith("hardtanh") else ("min", "max")
    lowest, highest = operation.argument(low_name), operation.argument(high_name)
    if isinstance(lowest, Ref) or isinstance(highest, Ref):
        raise operation.error("limits must be numbers")
    kind = "hard_clamp" if low_name == "min_val" else "clamp"
    limits = [-math.inf if lowest is None else lowest, math.inf if highest is None else highest]
    return low.graph.apply(kind, low.value(operation.argument("self")), *map(low.value, limits))


@_rule("hardsigmoid")
def _hardsigmoid(low: Lowering, operation: Operation) -> Value:
    shifted = low.graph.apply("add", low.value(operation.args[0]), low.value(3.0))
    limited = low.graph.apply("hard_clamp", shifted, low.value(0.0), low.value(6.0))
    return low.graph.apply("div", limited, low.value(6.0))


@_rule("leaky_relu")
def _leaky_relu(low: Lowering, operation: Operation) -> Value:
    value, slope = low.operands(operation, "self", "negative_slope")
    return low.graph.apply("where", _positive(low, value), value, low.graph.apply("mul", value, slope))


@_rule("elu")
def _elu(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.argument("self"))
    alpha, scale, inner = (operation.argument(name, 1) for name in ("alpha", "scale", "input_scale"))
    positive = _positive(low, value)
    below = low.graph.apply("where", positive, low.value(0.0), value)  # exp of a large number would be infinite
    curved = low.scaled(low.graph.apply("expm1", low.scaled(below, inner)), alpha * scale)
    return low.graph.apply("where", positive, low.scaled(value, scale), curved)


@_rule("softplus")
def _softplus(low: Lowering, operation: Operation) -> Value:
    value, beta = low.value(operation.argument("self")), operation.argument("beta", 1)
    scaled = low.scaled(value, beta)
    curved = low.graph.apply("softplus", scaled)
    if beta != 1:
        curved = low.graph.apply("div", curved, low.value(beta))
    linear = low.graph.apply("gt", scaled, low.value(operation.argument("threshold", 20)))
    return low.graph.apply("where", linear, value, curved)


@_rule("log_sigmoid_forward")
def _log_sigmoid(low: Lowering, operation: Operation) -> list[Value]:
    negative = low.graph.apply("neg", low.value(operation.args[0]))
    return [low.graph.apply("neg", low.graph.apply("softplus", negative))]


@_rule("silu")
def _silu(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.graph.apply("mul", value, low.graph.apply("sigmoid", value))


@_rule("mish")
def _mish(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.graph.apply("mul", value, low.graph.apply("tanh", low.graph.apply("softplus", value)))


@_rule("gelu")
def _gelu(low: Lowering, operation: Operation) -> Value:
    apply, value = low.graph.apply, low.value(operation.argument("self"))
    if operation.argument("approximate", "none") == "none":
        inner = apply("erf", apply("mul", value, low.value(math.sqrt(0.5))))
    else:
        cube = apply("mul", apply("mul", value, value), value)
        total = apply("add", value, apply("mul", cube, low.value(0.044715)))
        inner = apply("tanh", apply("mul", total, low.value(math.sqrt(2 / math.pi))))
    return apply("mul", apply("mul", value, low.value(0.5)), apply("add", inner, low.value(1.0)))


@_rule("lerp")
def _lerp(low: Lowering, operation: Operation) -> Value:
    start, end, weight = low.operands(operation, "self", "end", "weight")
    return low.graph.apply("add", start, low.graph.apply("mul", weight, low.graph.apply("sub", end, start)))


@_rule("addcmul", "addcdiv")
def _addcmul(low: Lowering, operation: Operation) -> Value:
    value, one, two = low.operands(operation, "self", "tensor1", "tensor2")
    op = "mul" if operation.name.startswith("addcmul") else "div"
    return low.graph.apply("add", value, low.scaled(low.graph.apply(op, one, two), operation.argument("value", 1)))


def _positive(low: Lowering, value: Value) -> Value:
    return low.graph.apply("gt", value, low.value(0.0))


# Products


@_rule("mm", "mv")
def _mm(low: Lowering, operation: Operation) -> Value:
    value = operation.args[0]
    if value.index not in low.batch:
        raise operation.error("a weight times a value of the batch transposed")
    flat = operation.name == "mv"
    return Value((low.graph.product(low.value(value), low.matrices(operation.args[1], operation)),), flat)


@_rule("addmm")
def _addmm(low: Lowering, operation: Operation) -> Value:
    bias, one, two = operation.args
    if one.index not in low.batch:
        raise operation.error("a weight times a value of the batch transposed")
    product = Value((low.graph.product(low.value(one), low.matrices(two, operation)),))
    product = low.scaled(product, operation.argument("alpha", 1))
    return low.graph.apply("add", product, low.scaled(low.value(bias), operation.argument("beta", 1)))


# Shapes


@_rule("slice")
def _slice(low: Lowering, operation: Operation) -> Value:
    value, width = low.value(operation.argument("self")), low.value(operation.argument("self")).width
    start, end, step = operation.argument("start"), operation.argument("end"), operation.argument("step", 1)
    if operation.argument("dim", 0) not in (1, -1):
        if (start or 0) == 0 and (end is None or end >= 1 << 62) and step == 1:
            return value
        raise operation.error("a part of the batch")
    if step != 1:
        raise operation.error(f"step {step} is not supported")
    first, last, _ = slice(start, end).indices(width)
    return low.graph.slice_value(value, first, last)


@_rule("narrow")
def _narrow(low: Lowering, operation: Operation) -> Value:
    start, length = operation.argument("start"), operation.argument("length")
    return low.graph.slice_value(low.value(operation.argument("self")), start, start + length)


@_rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk")
def _split(low: Lowering, operation: Operation) -> list[Value]:
    if operation.argument("dim", 0) not in (1, -1):
        raise operation.error("a part of the batch")
    value, start, found = low.value(operation.args[0]), 0, []
    for each in _refs(operation.results):
        size = low.trace.shape(each.index)[1]
        found.append(low.graph.slice_value(value, start, start + size))
        start += size
    return found


@_rule("select")
def _select(low: Lowering, operation: Operation) -> Value:
    value, index = low.value(operation.argument("self")), operation.argument("index")
    if operation.argument("dim") not in (1, -1):
        raise operation.error("one sequence of the batch")
    index %= value.width
    return Value(low.graph.slice_value(value, index, index + 1).pieces, flat=True)


@_rule("cat")
def _cat(low: Lowering, operation: Operation) -> Value:
    parts = [low.value(each) for each in operation.args[0]]
    if operation.argument("dim", 0) not in (1, -1) or any(each.flat for each in parts):
        raise operation.error("only supported along the units")
    return Value(tuple(piece for each in parts for piece in each.pieces))


@_rule("stack")
def _stack(low: Lowering, operation: Operation) -> Value:
    parts = [low.value(each) for each in operation.args[0]]
    if operation.argument("dim", 0) not in (1, -1) or not all(each.flat for each in parts):
        raise operation.error("only supported along the units")
    return Value(tuple(piece for each in parts for piece in each.pieces))


@_rule("unsqueeze", "squeeze", "view", "reshape", "_unsafe_view", "expand")
def _reshape(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    shape = low.trace.shape(_refs(operation.results)[0].index)
    if len(shape) > 2:
        raise operation.error(f"a result of shape {shape} is not supported")
    width = shape[1] if len(shape) == 2 else 1
    if width != value.width and value.width == 1:
        return Value((low.graph.expanded(value.pieces[0], width),))
    return Value(value.pieces, flat=len(shape) == 1)


@_rule("roll")
def _roll(low: Lowering, operation: Operation) -> Value:
    value, shifts = low.value(operation.args[0]), operation.argument("shifts")
    if operation.argument("dims") not in ([1], [-1]) or len(shifts) != 1:
        raise operation.error("only supported along the units")
    cut = -shifts[0] % value.width
    parts = [(cut, value.width), (0, cut)]
    return Value(tuple(piece for each in parts for piece in low.graph.slice_value(value, *each).pieces))


@_rule("constant_pad_nd")
def _pad(low: Lowering, operation: Operation) -> Value:
    value, pad = low.value(operation.argument("self")), operation.argument("pad")
    number = operation.argument("value", 0)
    if any(pad[2:]) or min(pad[:2]) < 0:
        raise operation.error("only supported along the units")
    sides = [(low.graph.const(number, size),) if size else () for size in pad[:2]]
    return Value((*sides[0], *value.pieces, *sides[1]))


@_rule("_to_copy")
def _to_copy(low: Lowering, operation: Operation) -> Value:
    return low.value(operation.args[0])


@_rule("copy")
def _copy(low: Lowering, operation: Operation) -> Value:
    target, source = low.value(operation.args[0]), low.value(operation.args[1])
    if target.width != source.width:
        return Value((low.graph.expanded(source.pieces[0], target.width),), target.flat)
    return Value(source.pieces, target.flat)


@_rule(*_FILLS, "full", "new_full", "full_like", "fill")
def _fill(low: Lowering, operation: Operation) -> Value:
    name = operation.name.removesuffix("_")
    number = _FILLS.get(name)
    if number is None:
        number = operation.argument("value" if name == "fill" else "fill_value")
    shape = low.trace.shape(_refs(operation.results)[0].index)
    if isinstance(number, Ref) or len(shape) > 2:
        raise operation.error("not supported")
    return Value((low.graph.const(number, shape[1] if len(shape) == 2 else 1),), flat=len(shape) == 1)


# Reductions over units


def _reduced(low: Lowering, operation: Operation, op: str) -> Value:
    value, dims = low.value(operation.argument("self")), operation.argument("dim")
    if dims not in ([1], [-1]) or value.flat:
        raise operation.error("only supported over the units")
    return Value((low.graph.reduce(op, value),), flat=not operation.argument("keepdim", False))


@_rule("sum")
def _sum(low: Lowering, operation: Operation) -> Value:
    return _reduced(low, operation, "reduce_sum")


@_rule("amax")
def _amax(low: Lowering, operation: Operation) -> Value:
    return _reduced(low, operation, "reduce_max")


@_rule("mean")
def _mean(low: Lowering, operation: Operation) -> Value:
    width = low.value(operation.argument("self")).width
    return low.graph.apply("div", _reduced(low, operation, "reduce_sum"), low.value(width))


@_rule("linalg_vector_norm")
def _norm(low: Lowering, operation: Operation) -> Value:
    value, dims = low.value(operation.argument("self")), operation.argument("dim")
    if operation.argument("ord", 2) != 2 or dims not in ([1], [-1]):
        raise operation.error("only the Euclidean norm over the units is supported")
    total = Value((low.graph.reduce("reduce_sum", low.graph.apply("mul", value, value)),))
    return Value(low.graph.apply("norm", total).pieces, flat=not operation.argument("keepdim", False))


@_rule("_softmax", "_log_softmax")
def _softmax(low: Lowering, operation: Operation) -> Value:
    apply, value = low.graph.apply, low.value(operation.args[0])
    if operation.argument("dim") not in (1, -1) or value.flat:
        raise operation.error("only supported over the units")
    largest = apply("detach", Value((low.graph.reduce("reduce_max", value),)))
    shifted = apply("sub", value, largest)
    exponentials = apply("exp", shifted)
    total = Value((low.graph.reduce("reduce_sum", exponentials),))
    if operation.name == "_softmax":
        return apply("div", exponentials, total)
    return apply("sub", shifted, apply("log", total))


@_rule("native_layer_norm")
def _layer_norm(low: Lowering, operation: Operation) -> list[Value]:
    apply, value = low.graph.apply, low.value(operation.args[0])
    if list(operation.args[1]) != [value.width]:
        raise operation.error("only supported over the units")
    width = low.value(value.width)
    mean = apply("div", Value((low.graph.reduce("reduce_sum", value),)), width)
    centred = apply("sub", value, mean)
    square = Value((low.graph.reduce("reduce_sum", apply("mul", centred, centred)),))
    scale = apply("rsqrt", apply("add", apply("div", square, width), low.value(operation.args[4])))
    out = apply("mul", centred, scale)
    for op, given in (("mul", operation.args[2]), ("add", operation.args[3])):
        if given is not None:
            out = apply(op, out, low.value(given))
    return [out, mean, scale]
