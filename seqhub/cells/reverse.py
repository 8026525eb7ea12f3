"""Reverse-mode derivatives of a graph, as further nodes of it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from seqhub.cells.derivatives import NO_GRADIENT, RULES
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
        if node.number not in adjoints or node.op in NO_GRADIENT:
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
            for operand, part in zip(node.args, RULES[node.op](graph, node, gradient), strict=True):
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
