"""Derivatives of the operations of a graph, as further nodes of it.

Each rule takes the graph, a node, and the gradient of the node, and returns the gradients of its operands; None for no
gradient. Sums, rows and leaves are treated by `reverse`.
"""

from collections.abc import Callable

from seqhub.cells.graph import Graph, Node

# Operations without a gradient: `const`, comparisons, rounding, choices, and `detach`
NO_GRADIENT = {
    "const",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "floor",
    "ceil",
    "trunc",
    "round",
    "sign",
    "detach",
    "first_max",
}

_Rule = Callable[[Graph, Node, Node], "list[Node | None]"]
RULES: dict[str, _Rule] = {}


def _rule(*names: str) -> Callable[[_Rule], _Rule]:
    def add(rule: _Rule) -> _Rule:
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return add


def _one(graph: Graph) -> Node:
    return graph.const(1.0)


def _zero(graph: Graph) -> Node:
    return graph.const(0.0)


RULES["copy"] = lambda graph, node, g: [g]
RULES["reduce_sum"] = lambda graph, node, g: [graph.expanded(g, node.args[0].width)]
RULES["add"] = lambda graph, node, g: [g, g]
RULES["sub"] = lambda graph, node, g: [g, graph.pointwise("neg", g)]
RULES["neg"] = lambda graph, node, g: [graph.pointwise("neg", g)]


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


@_rule("asin", "acos", "atan", "asinh", "acosh", "atanh")
def _inverse(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    """The derivative is 1 over 1 +- x * x, or over its root."""
    make, one = graph.pointwise, _one(graph)
    square = make("mul", node.args[0], node.args[0])
    if node.op == "acosh":
        below = make("sub", square, one)
    else:
        below = make("add" if node.op in ("atan", "asinh") else "sub", one, square)
    if node.op in ("atan", "atanh"):
        return [make("div", g, below)]
    slope = make("mul", g, make("rsqrt", below))
    return [make("neg", slope) if node.op == "acos" else slope]


@_rule("tan")
def _tan(graph: Graph, node: Node, g: Node) -> list[Node | None]:
    slope = graph.pointwise("add", _one(graph), graph.pointwise("mul", node, node))
    return [graph.pointwise("mul", g, slope)]


RULES["sinh"] = lambda graph, node, g: [graph.pointwise("mul", g, graph.pointwise("cosh", node.args[0]))]
RULES["cosh"] = lambda graph, node, g: [graph.pointwise("mul", g, graph.pointwise("sinh", node.args[0]))]
RULES["erfc"] = lambda graph, node, g: [graph.pointwise("neg", each) for each in _erf(graph, node, g) if each]
