"""Rules of arithmetic, comparisons and elementary functions of each unit."""

import math

import torch

from seqhub.cells import arrays
from seqhub.cells.graph import Value
from seqhub.cells.lowering import FILLS, Lowering, refs_of
from seqhub.cells.rules.registry import RULES, rule
from seqhub.cells.trace import BATCHES, Operation, Ref

_MAX_POWER = 8


def _unary(name: str, op: str) -> None:
    RULES[name] = lambda low, operation: low.apply(op, low.value(operation.args[0]))


for _name in (
    *("neg", "tanh", "sigmoid", "relu", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "abs", "sin", "cos", "erf"),
    *("floor", "ceil", "trunc", "sign", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh"),
    *("atanh", "erfc"),
):
    _unary(_name, _name)
_unary("sgn", "sign")
_unary("detach", "detach")
_unary("clone", "copy")
_unary("special_expit", "sigmoid")
for _name in ("alias", "lift_fresh", "contiguous", "positive"):
    RULES[_name] = lambda low, operation: low.value(operation.args[0])


def _binary(name: str, op: str, *, truth: bool = False) -> None:
    def binary(low: Lowering, operation: Operation) -> Value:
        one, two = operation.argument("self"), operation.argument("other")
        if truth and not (low.is_bool(one) and low.is_bool(two)):
            raise operation.error("only supported for truth values")
        return low.apply(op, low.value(one), low.value(two))

    RULES[name] = binary


for _name, _op in {
    **{"mul": "mul", "maximum": "max", "minimum": "min"},
    **{"atan2": "atan2", "remainder": "remainder"},
}.items():
    _binary(_name, _op)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _binary(_name, _name)
for _name, _op in {"logical_and": "mul", "bitwise_and": "mul", "logical_or": "max", "bitwise_or": "max"}.items():
    _binary(_name, _op, truth=True)


@rule("add", "sub")
def _add(low: Lowering, operation: Operation) -> Value:
    one, two = operation.argument("self"), operation.argument("other")
    if low.is_bool(one) and low.is_bool(two):
        raise operation.error("sum of truth values")
    other = low.scaled(low.value(two), operation.argument("alpha", 1))
    return low.apply(operation.name.removesuffix("_"), low.value(one), other)


@rule("rsub")
def _rsub(low: Lowering, operation: Operation) -> Value:
    one, two = low.operands(operation, "self", "other")
    return low.apply("sub", two, low.scaled(one, operation.argument("alpha", 1)))


@rule("div")
def _div(low: Lowering, operation: Operation) -> Value:
    if operation.argument("rounding_mode") is not None:
        raise operation.error("rounded division is not supported")
    return low.apply("div", *low.operands(operation, "self", "other"))


@rule("_to_copy")
def _to_copy(low: Lowering, operation: Operation) -> Value:
    value, (result,) = low.value(operation.args[0]), refs_of(operation.results)
    if low.is_bool(result) and not low.is_bool(operation.args[0]):
        return low.apply("ne", value, low.value(0.0))
    return value


@rule("round")
def _round(low: Lowering, operation: Operation) -> Value:
    if operation.argument("decimals", 0) != 0:
        raise operation.error("rounding to decimals is not supported")
    return low.apply("round", low.value(operation.args[0]))


@rule("reciprocal")
def _reciprocal(low: Lowering, operation: Operation) -> Value:
    return low.apply("div", low.value(1.0), low.value(operation.args[0]))


@rule("logical_not", "bitwise_not")
def _not(low: Lowering, operation: Operation) -> Value:
    if not low.is_bool(operation.args[0]):
        raise operation.error("only supported for truth values")
    return low.apply("sub", low.value(1.0), low.value(operation.args[0]))


@rule("pow")
def _pow(low: Lowering, operation: Operation) -> Value:
    exponent, base = operation.argument("exponent"), operation.argument("self")
    if isinstance(base, (int, float)) and base > 0:
        return low.apply("exp", low.scaled(low.value(exponent), math.log(base)))
    value = low.value(base)
    roots = {0.5: "sqrt", -0.5: "rsqrt"}
    if isinstance(exponent, Ref) or not (float(exponent).is_integer() and 1 <= abs(exponent) <= _MAX_POWER):
        if exponent in roots:
            return low.apply(roots[exponent], value)
        return low.apply("pow", value, low.value(exponent))
    found = value
    for _ in range(abs(int(exponent)) - 1):
        found = low.apply("mul", found, value)
    return found if exponent > 0 else low.apply("div", low.value(1.0), found)


@rule("exp2", "log2", "log10")
def _other_base(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    if operation.name.removesuffix("_") == "exp2":
        return low.apply("exp", low.scaled(value, math.log(2)))
    return low.scaled(low.apply("log", value), 1 / math.log(2 if operation.name.startswith("log2") else 10))


@rule("logaddexp")
def _logaddexp(low: Lowering, operation: Operation) -> Value:
    one, two = low.operands(operation, "self", "other")
    half = low.scaled(low.apply("add", one, two), 0.5)
    equal = low.apply("add", half, low.value(math.log(2)))  # also of infinite numbers
    other = low.apply("add", two, low.apply("softplus", low.apply("sub", one, two)))
    return low.apply("where", low.apply("eq", one, two), equal, other)


@rule("hypot")
def _hypot(low: Lowering, operation: Operation) -> Value:
    squares = [low.apply("mul", each, each) for each in low.operands(operation, "self", "other")]
    return low.apply("sqrt", low.apply("add", *squares))


@rule("frac")
def _frac(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.apply("sub", value, low.apply("trunc", value))


@rule("heaviside")
def _heaviside(low: Lowering, operation: Operation) -> Value:
    value, at_zero = low.operands(operation, "self", "values")
    above = low.apply("gt", value, low.value(0.0))
    return low.apply("where", low.apply("eq", value, low.value(0.0)), low.apply("detach", at_zero), above)


@rule("isnan")
def _isnan(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.apply("ne", value, value)


@rule("square")
def _square(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    return low.apply("mul", value, value)


@rule("where")
def _where(low: Lowering, operation: Operation) -> Value:
    return low.apply("where", *low.operands(operation, "condition", "self", "other"))


@rule("masked_fill")
def _masked_fill(low: Lowering, operation: Operation) -> Value:
    value, mask, number = low.operands(operation, "self", "mask", "value")
    return low.apply("where", mask, number, value)


@rule("lerp")
def _lerp(low: Lowering, operation: Operation) -> Value:
    start, end, weight = low.operands(operation, "self", "end", "weight")
    return low.apply("add", start, low.apply("mul", weight, low.apply("sub", end, start)))


@rule("addcmul", "addcdiv")
def _addcmul(low: Lowering, operation: Operation) -> Value:
    value, one, two = low.operands(operation, "self", "tensor1", "tensor2")
    op = "mul" if operation.name.startswith("addcmul") else "div"
    return low.apply("add", value, low.scaled(low.apply(op, one, two), operation.argument("value", 1)))


@rule("nan_to_num")
def _nan_to_num(low: Lowering, operation: Operation) -> Value:
    value, limits = low.value(operation.args[0]), torch.finfo(low.dtype)
    for name, number, found in (
        ("posinf", limits.max, low.apply("eq", value, low.value(math.inf))),
        ("neginf", limits.min, low.apply("eq", value, low.value(-math.inf))),
        ("nan", 0.0, low.apply("ne", value, value)),
    ):
        given = operation.argument(name)
        value = low.apply("where", found, low.value(number if given is None else given), value)
    return value


@rule("copy")
def _copy(low: Lowering, operation: Operation) -> Value:
    target, source = low.value(operation.args[0]), low.value(operation.args[1])
    found = arrays.broadcast(low.graph, [source, target])[0]
    if found.width != target.width:
        found = Value((low.graph.expanded(found.pieces[0], target.width),))
    return Value(found.pieces, target.dims, target.axis)


@rule(*FILLS, "full", "new_full", "full_like", "fill")
def _fill(low: Lowering, operation: Operation) -> Value:
    name = operation.name.removesuffix("_")
    number = FILLS.get(name)
    if number is None:
        number = operation.argument("value" if name == "fill" else "fill_value")
    (ref,) = refs_of(operation.results)
    axis, shape = low.batch_axis(ref.index), low.trace.shape(ref.index)
    given = low.value(number)
    if axis is None or given.width != 1:
        raise operation.error("not supported")
    dims = tuple(size // (BATCHES[0] if place == axis else 1) for place, size in enumerate(shape))
    return Value((low.graph.expanded(given.pieces[0], math.prod(dims)),), dims, axis)
