"""Rules of activation functions."""

import math

import torch

from seqhub.cells import arrays
from seqhub.cells.graph import Value
from seqhub.cells.lowering import Lowering
from seqhub.cells.rules.registry import rule
from seqhub.cells.trace import Operation, Ref


@rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(low: Lowering, operation: Operation) -> Value:
    low_name, high_name = ("min_val", "max_val") if operation.name.startswith("hardtanh") else ("min", "max")
    lowest, highest = operation.argument(low_name), operation.argument(high_name)
    if isinstance(lowest, Ref) or isinstance(highest, Ref):
        raise operation.error("limits must be numbers")
    kind = "hard_clamp" if low_name == "min_val" else "clamp"
    limits = [-math.inf if lowest is None else lowest, math.inf if highest is None else highest]
    return low.apply(kind, low.value(operation.argument("self")), *map(low.value, limits))


@rule("hardsigmoid")
def _hardsigmoid(low: Lowering, operation: Operation) -> Value:
    shifted = low.apply("add", low.value(operation.args[0]), low.value(3.0))
    limited = low.apply("hard_clamp", shifted, low.value(0.0), low.value(6.0))
    return low.apply("div", limited, low.value(6.0))


@rule("leaky_relu")
def _leaky_relu(low: Lowering, operation: Operation) -> Value:
    value, slope = low.operands(operation, "self", "negative_slope")
    return low.apply("where", _positive(low, value), value, low.apply("mul", value, slope))


@rule("elu")
def _elu(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.argument("self"))
    alpha, scale, inner = (operation.argument(name, 1) for name in ("alpha", "scale", "input_scale"))
    positive = _positive(low, value)
    below = low.apply("where", positive, low.value(0.0), value)  # exp of a large number would be infinite
    curved = low.scaled(low.apply("expm1", low.scaled(below, inner)), alpha * scale)
    return low.apply("where", positive, low.scaled(value, scale), curved)


@rule("softplus")
def _softplus(low: Lowering, operation: Operation) -> Value:
    value, beta = low.value(operation.argument("self")), operation.argument("beta", 1)
    scaled = low.scaled(value, beta)
    curved = low.apply("softplus", scaled)
    if beta != 1:
        curved = low.apply("div", curved, low.value(beta))
    linear = low.apply("gt", scaled, low.value(operation.argument("threshold", 20)))
    return low.apply("where", linear, value, curved)


@rule("log_sigmoid_forward")
def _log_sigmoid(low: Lowering, operation: Operation) -> list[Value]:
    negative = low.apply("neg", low.value(operation.args[0]))
    return [low.apply("neg", low.apply("softplus", negative))]


@rule("silu")
def _silu(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.apply("mul", value, low.apply("sigmoid", value))


@rule("mish")
def _mish(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.apply("mul", value, low.apply("tanh", low.apply("softplus", value)))


@rule("gelu")
def _gelu(low: Lowering, operation: Operation) -> Value:
    apply, value = low.apply, low.value(operation.argument("self"))
    if operation.argument("approximate", "none") == "none":
        inner = apply("erf", apply("mul", value, low.value(math.sqrt(0.5))))
    else:
        cube = apply("mul", apply("mul", value, value), value)
        total = apply("add", value, apply("mul", cube, low.value(0.044715)))
        inner = apply("tanh", apply("mul", total, low.value(math.sqrt(2 / math.pi))))
    return apply("mul", apply("mul", value, low.value(0.5)), apply("add", inner, low.value(1.0)))


def _positive(low: Lowering, value: Value) -> Value:
    return low.apply("gt", value, low.value(0.0))


@rule("hardswish")
def _hardswish(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    # as in torch, the slope at the limits is that between them
    limited = low.apply("clamp", low.apply("add", value, low.value(3.0)), low.value(0.0), low.value(6.0))
    return low.apply("mul", value, low.apply("div", limited, low.value(6.0)))


@rule("celu")
def _celu(low: Lowering, operation: Operation) -> Value:
    value, alpha = low.value(operation.argument("self")), operation.argument("alpha", 1)
    positive = _positive(low, value)
    below = low.apply("where", positive, low.value(0.0), value)
    curved = low.scaled(low.apply("expm1", low.scaled(below, 1 / alpha)), alpha)
    return low.apply("where", positive, value, curved)


@rule("hardshrink", "softshrink")
def _shrink(low: Lowering, operation: Operation) -> Value:
    apply, value, limit = low.apply, low.value(operation.argument("self")), operation.argument("lambd", 0.5)
    soft = operation.name.startswith("soft")
    above, below = (apply("sub", value, low.value(limit * sign)) if soft else value for sign in (1, -1))
    inner = apply("where", apply("lt", value, low.value(-limit)), below, apply("mul", value, low.value(0.0)))
    return apply("where", apply("gt", value, low.value(limit)), above, inner)


@rule("threshold")
def _threshold(low: Lowering, operation: Operation) -> Value:
    value, limit, number = low.operands(operation, "self", "threshold", "value")
    return low.apply("where", low.apply("le", value, limit), number, value)


@rule("_prelu_kernel")
def _prelu(low: Lowering, operation: Operation) -> Value:
    value, slope = low.operands(operation, "self", "weight")
    return low.apply("where", _positive(low, value), value, low.apply("mul", value, slope))


@rule("glu")
def _glu(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.argument("self"))
    axis = arrays.normal_axis(operation.argument("dim", -1), len(value.dims))
    if axis == value.axis:
        raise operation.error("mixes sequences of the batch")
    units = torch.arange(value.width).view(value.dims).chunk(2, dim=axis)
    one, two = (
        arrays.arranged(low.graph, value.pieces, each.flatten().tolist(), each.shape, value.axis) for each in units
    )
    return low.apply("mul", one, low.apply("sigmoid", two))


@rule("logit")
def _logit(low: Lowering, operation: Operation) -> Value:
    value, limit = low.value(operation.args[0]), operation.argument("eps")
    if limit is not None:
        value = low.apply("clamp", value, low.value(limit), low.value(1 - limit))
    return low.apply("log", low.apply("div", value, low.apply("sub", low.value(1.0), value)))
