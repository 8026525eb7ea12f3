"""Rules of the translation into a graph: one for each ATen operation, by its name without `_` at the end."""

import math
from collections.abc import Callable, Sequence

from seqhub.cells.graph import Value
from seqhub.cells.lowering import FILLS, Lowering, Rule, refs_of
from seqhub.cells.trace import Operation, Ref

_MAX_POWER = 8
RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return add


def _unary(name: str, op: str) -> None:
    RULES[name] = lambda low, operation: low.graph.apply(op, low.value(operation.args[0]))


for _name in (
    *("neg", "tanh", "sigmoid", "relu", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "abs", "sin", "cos", "erf"),
    *("floor", "ceil", "trunc", "sign"),
):
    _unary(_name, _name)
_unary("sgn", "sign")
_unary("detach", "detach")
_unary("clone", "copy")
for _name in ("alias", "lift_fresh", "contiguous"):
    RULES[_name] = lambda low, operation: low.value(operation.args[0])


def _binary(name: str, op: str, *, truth: bool = False) -> None:
    def rule(low: Lowering, operation: Operation) -> Value:
        one, two = operation.argument("self"), operation.argument("other")
        if truth and not (low.is_bool(one) and low.is_bool(two)):
            raise operation.error("only supported for truth values")
        return low.graph.apply(op, low.value(one), low.value(two))

    RULES[name] = rule


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
    if isinstance(base, (int, float)) and base > 0:
        return low.graph.apply("exp", low.scaled(low.value(exponent), math.log(base)))
    if isinstance(exponent, Ref) or isinstance(base, (int, float)):
        raise operation.error("only constant exponents, and constant bases above 0, are supported")
    value = low.value(base)
    roots = {0.5: "sqrt", -0.5: "rsqrt"}
    if exponent in roots:
        return low.graph.apply(roots[exponent], value)
    if not (float(exponent).is_integer() and 1 <= abs(exponent) <= _MAX_POWER):
        raise operation.error(f"exponent {exponent} is not supported")
    found = value
    for _ in range(abs(int(exponent)) - 1):
        found = low.graph.apply("mul", found, value)
    return found if exponent > 0 else low.graph.apply("div", low.value(1.0), found)


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
    first, last, _ = slice(start, end).indices(width)
    if step != 1:
        return _units(low, value, range(first, last, step))
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
    for each in refs_of(operation.results):
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
    shape = low.trace.shape(refs_of(operation.results)[0].index)
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


@_rule(*FILLS, "full", "new_full", "full_like", "fill")
def _fill(low: Lowering, operation: Operation) -> Value:
    name = operation.name.removesuffix("_")
    number = FILLS.get(name)
    if number is None:
        number = operation.argument("value" if name == "fill" else "fill_value")
    shape = low.trace.shape(refs_of(operation.results)[0].index)
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


# More activations


@_rule("hardswish")
def _hardswish(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    # as in torch, the slope at the limits is that between them
    limited = low.graph.apply("clamp", low.graph.apply("add", value, low.value(3.0)), low.value(0.0), low.value(6.0))
    return low.graph.apply("mul", value, low.graph.apply("div", limited, low.value(6.0)))


@_rule("celu")
def _celu(low: Lowering, operation: Operation) -> Value:
    value, alpha = low.value(operation.argument("self")), operation.argument("alpha", 1)
    positive = _positive(low, value)
    below = low.graph.apply("where", positive, low.value(0.0), value)
    curved = low.scaled(low.graph.apply("expm1", low.scaled(below, 1 / alpha)), alpha)
    return low.graph.apply("where", positive, value, curved)


@_rule("hardshrink", "softshrink")
def _shrink(low: Lowering, operation: Operation) -> Value:
    apply, value, limit = low.graph.apply, low.value(operation.argument("self")), operation.argument("lambd", 0.5)
    soft = operation.name.startswith("soft")
    above, below = (apply("sub", value, low.value(limit * sign)) if soft else value for sign in (1, -1))
    inner = apply("where", apply("lt", value, low.value(-limit)), below, apply("mul", value, low.value(0.0)))
    return apply("where", apply("gt", value, low.value(limit)), above, inner)


@_rule("threshold")
def _threshold(low: Lowering, operation: Operation) -> Value:
    value, limit, number = low.operands(operation, "self", "threshold", "value")
    return low.graph.apply("where", low.graph.apply("le", value, limit), number, value)


@_rule("_prelu_kernel")
def _prelu(low: Lowering, operation: Operation) -> Value:
    value, slope = low.operands(operation, "self", "weight")
    return low.graph.apply("where", _positive(low, value), value, low.graph.apply("mul", value, slope))


@_rule("glu")
def _glu(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.argument("self"))
    if operation.argument("dim", -1) not in (1, -1):
        raise operation.error("only supported along the units")
    half = value.width // 2
    one, two = (low.graph.slice_value(value, start, start + half) for start in (0, half))
    return low.graph.apply("mul", one, low.graph.apply("sigmoid", two))


@_rule("exp2", "log2", "log10")
def _other_base(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.args[0])
    if operation.name == "exp2":
        return low.graph.apply("exp", low.scaled(value, math.log(2)))
    return low.scaled(low.graph.apply("log", value), 1 / math.log(2 if operation.name == "log2" else 10))


# More shapes


def _units(low: Lowering, value: Value, order: Sequence[int]) -> Value:
    """Return units in another order."""
    return Value(tuple(piece for unit in order for piece in low.graph.slice_value(value, unit, unit + 1).pieces))


@_rule("unbind")
def _unbind(low: Lowering, operation: Operation) -> list[Value]:
    value = low.value(operation.argument("self"))
    if operation.argument("dim", 0) not in (1, -1):
        raise operation.error("single sequences of the batch")
    units = (low.graph.slice_value(value, unit, unit + 1) for unit in range(value.width))
    return [Value(each.pieces, flat=True) for each in units]


@_rule("flip")
def _flip(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.argument("self"))
    if operation.argument("dims") not in ([1], [-1]):
        raise operation.error("only supported along the units")
    return _units(low, value, range(value.width)[::-1])


@_rule("repeat")
def _repeat(low: Lowering, operation: Operation) -> Value:
    value, repeats = low.value(operation.argument("self")), operation.argument("repeats")
    if len(repeats) != 2 or repeats[0] != 1:
        raise operation.error("only supported along the units")
    return Value(value.pieces * repeats[1])


# More reductions over units


@_rule("amin")
def _amin(low: Lowering, operation: Operation) -> Value:
    value, dims = low.graph.apply("neg", low.value(operation.argument("self"))), operation.argument("dim")
    if dims not in ([1], [-1]) or value.flat:
        raise operation.error("only supported over the units")
    largest = Value((low.graph.reduce("reduce_max", value),), flat=not operation.argument("keepdim", False))
    return low.graph.apply("neg", largest)


@_rule("logsumexp")
def _logsumexp(low: Lowering, operation: Operation) -> Value:
    apply, value = low.graph.apply, low.value(operation.argument("self"))
    if operation.argument("dim") not in ([1], [-1]) or value.flat:
        raise operation.error("only supported over the units")
    largest = apply("detach", Value((low.graph.reduce("reduce_max", value),)))
    total = Value((low.graph.reduce("reduce_sum", apply("exp", apply("sub", value, largest))),))
    return Value(apply("add", largest, apply("log", total)).pieces, flat=not operation.argument("keepdim", False))


@_rule("var", "std")
def _var(low: Lowering, operation: Operation) -> Value:
    apply, value = low.graph.apply, low.value(operation.argument("self"))
    if operation.argument("dim") not in ([1], [-1]) or value.flat:
        raise operation.error("only supported over the units")
    correction = operation.argument("correction")
    if correction is None:
        correction = 0 if operation.argument("unbiased") is False else 1
    if correction >= value.width:
        raise operation.error(f"correction {correction} for {value.width} units is not supported")
    mean = apply("div", Value((low.graph.reduce("reduce_sum", value),)), low.value(value.width))
    centred = apply("sub", value, mean)
    square = Value((low.graph.reduce("reduce_sum", apply("mul", centred, centred)),))
    found = apply("div", square, low.value(value.width - correction))
    found = apply("norm", found) if operation.name == "std" else found
    return Value(found.pieces, flat=not operation.argument("keepdim", False))
