"""Rules of softmax and of layer and group norm."""

import math

from seqhub.cells.graph import Value
from seqhub.cells.lowering import Lowering
from seqhub.cells.rules.reductions import groups_of, largest, total
from seqhub.cells.rules.registry import rule
from seqhub.cells.trace import Operation


@rule("_softmax", "_log_softmax", "_safe_softmax")
def _softmax(low: Lowering, operation: Operation) -> Value:
    value, dim = low.value(operation.args[0]), operation.argument("dim")
    top = low.apply("detach", largest(low, groups_of(operation, value, dim, keepdim=True)))
    shifted = low.apply("sub", value, top)
    exponentials = low.apply("exp", shifted)
    divisor = total(low, groups_of(operation, exponentials, dim, keepdim=True))
    if operation.name == "_log_softmax":
        return low.apply("sub", shifted, low.apply("log", divisor))
    found = low.apply("div", exponentials, divisor)
    if operation.name == "_safe_softmax":  # zero where all are -inf
        return low.apply("where", low.apply("eq", top, low.value(-math.inf)), low.value(0.0), found)
    return found


def _normalised(low: Lowering, operation: Operation, value: Value, dims: list[int], epsilon: float) -> list[Value]:
    """Return a value with mean 0 and variance 1 over dimensions, the mean, and the inverse of the deviation."""
    groups = groups_of(operation, value, dims, keepdim=True)
    size = low.value(len(groups.units[0]))
    mean = low.apply("div", total(low, groups), size)
    centred = low.apply("sub", value, mean)
    squares = total(low, groups_of(operation, low.apply("mul", centred, centred), dims, keepdim=True))
    scale = low.apply("rsqrt", low.apply("add", low.apply("div", squares, size), low.value(epsilon)))
    return [low.apply("mul", centred, scale), mean, scale]


@rule("native_layer_norm")
def _layer_norm(low: Lowering, operation: Operation) -> list[Value]:
    value, shape = low.value(operation.args[0]), operation.args[1]
    dims = list(range(len(value.dims) - len(shape), len(value.dims)))
    out, mean, scale = _normalised(low, operation, value, dims, operation.args[4])
    for op, given in (("mul", operation.args[2]), ("add", operation.args[3])):
        if given is not None:
            out = low.apply(op, out, low.value(given))
    return [out, mean, scale]


@rule("native_group_norm")
def _group_norm(low: Lowering, operation: Operation) -> list[Value]:
    value, (weight, bias, _, channels, size, groups, epsilon) = low.value(operation.args[0]), operation.args[1:]
    if value.axis != 0 or value.dims[0] != 1:
        raise operation.error("mixes sequences of the batch")
    shape = (1, groups, channels // groups * size)
    out, mean, scale = _normalised(low, operation, Value(value.pieces, shape, 0), [2], epsilon)
    out = Value(out.pieces, value.dims, 0)
    for op, given in (("mul", weight), ("add", bias)):
        if given is not None:
            row = low.value(given)
            column = Value(row.pieces, (1, channels) + (1,) * (len(value.dims) - 2))
            out = low.apply(op, out, column)
    return [out, *(Value(each.pieces, (1, groups), 0) for each in (mean, scale))]
