"""Reverse-mode derivatives of a graph, as further nodes of it."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqhub.cells.graph import Graph, Matrix, Node, Row, Value, reachable


@dataclass(frozen=True)
class WeightGradient:
    """Contribution of each step to the gradient of a weight.

    With an operand, the outer product of `gradient` and `operand`, for a matrix; otherwise `gradient`, for a row.
    """

    view: Matrix | Row
    gradient: Node
    operand: Node | None = None


@dataclass(frozen=True)
class Derivatives:
    """Gradients of one step.

    Attributes:
        inputs: Gradient of the input.
        states: Gradient of each state.
        weights: Contributions to the gradients of weights.
    """

    inputs: Value
    states: list[Value]
    weights: list[WeightGradient]


def differentiate(graph: Graph, output: Value, after: Sequence[Value], widths: Sequence[int]) -> Derivatives:
    """Add the nodes of the gradients of a step to its graph.

    Args:
        graph: The graph.
        output: Output of the step; its gradient is the leaf `d_output`.
        after: New states; the gradient of state k is the leaf `("d_state", k)`.
        widths: Width of the input and of each state.
    """
    adjoints: dict[int, list[Node]] = {}

    def add(node: Node, gradient: Node) -> None:
        if gradient.width > node.width:
            gradient = graph.make("reduce_sum", [graph.in_memory(gradient)], 1)
        adjoints.setdefault(node.number, []).append(graph.expanded(gradient, node.width))

    sources = [("d_output", output), *((("d_state", number), value) for number, value in enumerate(after))]
    for source, value in sources:
        offset = 0
        for piece in value.pieces:
            add(piece, graph.leaf(source, offset, piece.width))
            offset += piece.width
    weights: list[WeightGradient] = []
    parts: dict[object, list[tuple[int, Node]]] = {}
    roots = [piece for _, value in sources for piece in value.pieces]
    for node in reversed(reachable(roots)):
        if node.number not in adjoints or node.op in _NO_GRADIENT:
            continue
        graph.line = node.line
        gradient, *rest = adjoints[node.number]
        for each in rest:
            gradient = graph.pointwise("add", gradient, each)
        if gradient.is_pointwise and node.name and not gradient.name:
            gradient.name = f"d_{node.name}"
        if node.op == "leaf":
            source, offset = node.attributes
            parts.setdefault(source, []).append((offset, gradient))
        elif node.op == "row":
            weights.append(WeightGradient(node.attributes[0], graph.in_memory(gradient)))
        elif node.op == "sum":
            gradient = graph.in_memory(gradient)
            matrices, rows = node.attributes
            for matrix, operand in zip(matrices, node.args, strict=True):
                weights.append(WeightGradient(matrix, gradient, operand))
                add(operand, graph.make("sum", [gradient], matrix.columns, (matrix.transposed,), ()))
            weights += [WeightGradient(row, gradient) for row in rows]
        else:
            for operand, part in zip(node.args, _RULES[node.op](graph, node, gradient), strict=True):
                if part is not None:
                    add(operand, part)
    found = [
        _assembled(graph, parts.get("x" if number == 0 else ("state", number - 1), []), width)
        for number, width in enumerate(widths)
    ]
    return Derivatives(found[0], found[1:], weights)


def _assembled(graph: Graph, parts: list[tuple[int, Node]], width: int) -> Value:
    """Return the sum of gradients of parts of an input."""
    cuts = sorted({cut for offset, node in parts for cut in (offset, offset + node.width)} | {0, width})
    pieces = []
    for start, stop in itertools.pairwise(cuts):
        total = None
        for offset, node in parts:
            if offset <= start and stop <= offset + node.width:
                piece = graph.slice(node, start - offset, stop - offset)
                total = piece if total is None else graph.pointwise("add", total, piece)
        pieces.append(graph.in_memory(graph.const(0.0, stop - start) if total is None else total))
    return Value(tuple(pieces))


# Operations without a gradient: `const`, comparisons, rounding, choices, and `detach`
_NO_GRADIENT = {"const", "lt", "le", "gt", "ge", "eq", "ne", "floor", "ceil", "trunc", "round", "sign", "detach", "first_max"}

_Rule = Callable[[Graph, Node, Node], "list[Node | None]"]
_RULES: dict[str, _Rule] = {}


def _rule(*names: str) -> Callable[[_Rule], _Rule]:
    def add(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return add


def _one(graph: Graph) -> Node:
    return graph.const(1.0)


def _zero(graph: Graph) -> Node:
    return graph.const(0.0)


_RULES["copy"] = lambda graph, node, g: [g]
_RULES["reduce_sum"] = lambda graph, node, g: [graph.expanded(g, node.args[0].width)]
_RULES["add"] = lambda graph, node, g: [g, g]
_RULES["sub"] = lambda graph, node, g: [g, graph.pointwise("neg", g)]
_RULES["neg"] = lambda graph, node, g: [graph.pointwise("neg", g)]


@_rule("mul")
def _mul(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    one, two = node.args
    return [
        None if operand.op == "const" else graph.pointwise("mul", g, other)
        for operand, other in ((one, two), (two, one))
    ]


@_rule("div")
def _div(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    bottom = node.args[1]
    quotient = graph.pointwise("div", g, bottom)
    if bottom.op == "const":
        return [quotient, None]
    return [quotient, graph.pointwise("neg", graph.pointwise("mul", quotient, node))]


@_rule("tanh")
def _tanh(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    slope = graph.pointwise("sub", _one(graph), graph.pointwise("mul", node, node))
    return [graph.pointwise("mul", g, slope)]


@_rule("sigmoid")
def _sigmoid(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    slope = graph.pointwise("mul", node, graph.pointwise("sub", _one(graph), node))
    return [graph.pointwise("mul", g, slope)]


@_rule("relu")
def _relu(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("where", graph.pointwise("le", node, _zero(graph)), _zero(graph), g)]


@_rule("exp")
def _exp(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("mul", g, node)]


@_rule("expm1")
def _expm1(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("mul", g, graph.pointwise("add", node, _one(graph)))]


@_rule("log")
def _log(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("div", g, node.args[0])]


@_rule("log1p")
def _log1p(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("div", g, graph.pointwise("add", node.args[0], _one(graph)))]


@_rule("softplus")
def _softplus(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("mul", g, graph.pointwise("sigmoid", node.args[0]))]


@_rule("sqrt")
def _sqrt(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("div", g, graph.pointwise("mul", node, graph.const(2.0)))]


@_rule("norm")
def _norm(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    slope = graph.pointwise("div", g, graph.pointwise("mul", node, graph.const(2.0)))
    return [graph.pointwise("where", graph.pointwise("eq", node, _zero(graph)), _zero(graph), slope)]


@_rule("rsqrt")
def _rsqrt(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    cube = graph.pointwise("mul", graph.pointwise("mul", node, node), node)
    return [graph.pointwise("mul", g, graph.pointwise("mul", cube, graph.const(-0.5)))]


@_rule("abs")
def _abs(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("mul", g, graph.pointwise("sign", node.args[0]))]


@_rule("sin")
def _sin(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("mul", g, graph.pointwise("cos", node.args[0]))]


@_rule("cos")
def _cos(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    return [graph.pointwise("neg", graph.pointwise("mul", g, graph.pointwise("sin", node.args[0])))]


@_rule("erf")
def _erf(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    square = graph.pointwise("mul", node.args[0], node.args[0])
    slope = graph.pointwise("exp", graph.pointwise("neg", square))
    return [graph.pointwise("mul", g, graph.pointwise("mul", slope, graph.const(1.1283791670955126)))]


@_rule("clamp", "hard_clamp")
def _clamp(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    value, lowest, highest = node.args
    below, above = ("lt", "gt") if node.op == "clamp" else ("le", "ge")
    outside = graph.pointwise("max", graph.pointwise(below, value, lowest), graph.pointwise(above, value, highest))
    return [graph.pointwise("where", outside, _zero(graph), g), None, None]


@_rule("max", "min")
def _max(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    one, two = node.args
    half = graph.pointwise("mul", g, graph.const(0.5))
    equal = graph.pointwise("eq", one, two)
    first, second = ("gt", "lt") if node.op == "max" else ("lt", "gt")
    return [
        None
        if operand.op == "const"
        else graph.pointwise(
            "where",
            equal,
            half,
            graph.pointwise("where", graph.pointwise(better, one, two), g, _zero(graph)),
        )
        for operand, better in ((one, first), (two, second))
    ]


@_rule("where")
def _where(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    condition, one, two = node.args
    return [
        None,
        None if one.op == "const" else graph.pointwise("where", condition, g, _zero(graph)),
        None if two.op == "const" else graph.pointwise("where", condition, _zero(graph), g),
    ]


@_rule("reduce_max")
def _reduce_max(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    (value,) = node.args
    size = value.width // node.width
    groups = [range(start, start + size) for start in range(0, value.width, size)]

    def repeated(each: Node) -> Node:
        return each if each.width == 1 else graph.gather([each], [(unit // size,) for unit in range(value.width)])

    largest = graph.pointwise("eq", value, repeated(node))
    if node.width == 1:
        count = graph.make("reduce_sum", [largest], 1)
        return [graph.pointwise("mul", largest, graph.pointwise("div", g, count))]
    share = graph.pointwise("div", g, graph.gather([largest], groups))
    return [graph.pointwise("mul", largest, repeated(graph.in_memory(share)))]


@_rule("gather")
def _gather(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    (table,) = node.attributes
    users: list[list[int]] = [[] for each in node.args for _ in range(each.width)]
    for place, units in enumerate(table):
        for unit in units:
            users[unit].append(place)
    parts: list[Node | None] = []
    start = 0
    for operand in node.args:
        own = users[start : start + operand.width]
        parts.append(graph.gather([g], own) if any(own) and operand.op != "const" else None)
        start += operand.width
    return parts


@_rule("contract")
def _contract(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    one, two = node.args
    batches, rows, columns, inner, *_ = node.attributes
    g = graph.in_memory(g)
    return [
        graph.make("contract", [g, two], one.width, batches, rows, inner, columns, False, True),
        graph.make("contract", [one, g], two.width, batches, inner, columns, rows, True, False),
    ]


@_rule("pow")
def _pow(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    base, exponent = node.args
    make, zero = graph.pointwise, _zero(graph)
    lower = make("pow", base, make("sub", exponent, _one(graph)))
    of_base = make("where", make("eq", exponent, zero), zero, make("mul", g, make("mul", exponent, lower)))
    at_zero = make("mul", make("eq", base, zero), make("ge", exponent, zero))
    of_exponent = make("where", at_zero, zero, make("mul", g, make("mul", node, make("log", base))))
    return [
        None if base.op == "const" else of_base,
        None if exponent.op == "const" else of_exponent,
    ]


@_rule("remainder")
def _remainder(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    one, two = node.args
    whole = graph.pointwise("floor", graph.pointwise("div", one, two))
    return [g, None if two.op == "const" else graph.pointwise("neg", graph.pointwise("mul", g, whole))]


@_rule("atan2")
def _atan2(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    one, two = node.args
    make = graph.pointwise
    square = make("add", make("mul", one, one), make("mul", two, two))
    share = make("where", make("eq", square, _zero(graph)), _zero(graph), make("div", g, square))
    return [make("mul", share, two), make("neg", make("mul", share, one))]


def _of_square(name: str, factor: float, sign: float) -> None:
    """Add the rule of a function whose derivative is `factor` over a root, or 1 over 1 + x * x * `sign`, by its name."""

    def rule(graph: Graph, node: Node, g: Node) -> list[Node | None]:
        (value,) = node.args
        make, square = graph.pointwise, graph.pointwise("mul", node.args[0], node.args[0])
        if name == "acosh":
            below = make("sub", square, _one(graph))
        else:
            below = make("add" if sign > 0 else "sub", _one(graph), square)
        if name in ("atan", "atanh"):
            return [make("div", g, below)]
        slope = make("mul", g, make("rsqrt", below))
        return [slope if factor > 0 else make("neg", slope)]

    _RULES[name] = rule


for _name, _factor, _sign in (
    ("asin", 1, -1), ("acos", -1, -1), ("atan", 1, 1), ("asinh", 1, 1), ("acosh", 1, 1), ("atanh", 1, -1),
):  # fmt: skip
    _of_square(_name, _factor, _sign)


@_rule("tan")
def _tan(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    slope = graph.pointwise("add", _one(graph), graph.pointwise("mul", node, node))
    return [graph.pointwise("mul", g, slope)]


_RULES["sinh"] = lambda graph, node, g: [graph.pointwise("mul", g, graph.pointwise("cosh", node.args[0]))]
_RULES["cosh"] = lambda graph, node, g: [graph.pointwise("mul", g, graph.pointwise("sinh", node.args[0]))]
_RULES["erfc"] = lambda graph, node, g: [graph.pointwise("neg", each) for each in _erf(graph, node, g) if each]
