"""Graph of a step: vectors of units, one per sequence, and the operations between them.

All values are of one batch: a node of width W is W numbers of each sequence. Parameters are `Matrix` and `Row`, views
of the tensors that a kernel reads. There are no slices and concatenations: a `Value` is a list of nodes side by side,
and a slice of an operation is the operation on slices of its operands.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Matrix:
    """View of a weight, times a number: element (i, k) is at offset + i * row_stride + k * column_stride."""

    weight: int
    offset: int
    row_stride: int
    column_stride: int
    rows: int
    columns: int
    scale: float = 1.0

    def slice_rows(self, start: int, stop: int) -> "Matrix":
        """Return the rows [start, stop)."""
        return replace(self, offset=self.offset + start * self.row_stride, rows=stop - start)

    def slice_columns(self, start: int, stop: int) -> "Matrix":
        """Return the columns [start, stop)."""
        return replace(self, offset=self.offset + start * self.column_stride, columns=stop - start)

    @property
    def transposed(self) -> "Matrix":
        """The transposed view."""
        strides = self.column_stride, self.row_stride
        return Matrix(self.weight, self.offset, *strides, self.columns, self.rows, self.scale)


@dataclass(frozen=True)
class Row:
    """View of a weight: one number for each unit, the same for all sequences; stride 0 repeats one number."""

    weight: int
    offset: int
    stride: int

    def skip(self, count: int) -> "Row":
        """Return the view without the first numbers."""
        return replace(self, offset=self.offset + count * self.stride)


_NOT_POINTWISE = frozenset(
    ("leaf", "const", "row", "sum", "reduce_sum", "reduce_max", "first_max", "gather", "contract")
)


@dataclass(eq=False)
class Node:
    """Operation of width W.

    Kinds of `op`: `leaf` with attributes (source, offset), an input of the step; `const` with attribute (number,);
    `row` with attribute (Row,); `sum` of products of matrices and operands and of rows, with attributes (matrices,
    rows); `reduce_sum` over all units; `reduce_max` over groups of units, as many as the node has units, and
    `first_max`, which is 1 at the first maximum of each group and 0 at other units, with attribute (groups,); `gather`
    of sums of units with attribute (for each unit, the units of all operands side by side that are added,); `contract`,
    products of P matrices (N, K) and (K, M) of each sequence, with attributes (P, N, M, K, whether the first is stored
    transposed, whether the second is); all others compute each unit on its own.
    """

    number: int
    op: str
    args: tuple["Node", ...]
    width: int
    attributes: tuple[Any, ...]
    name: str = ""
    line: str = ""

    @property
    def is_pointwise(self) -> bool:
        """True if the node is computed in loops over units."""
        return self.op not in _NOT_POINTWISE


@dataclass(frozen=True)
class Value:
    """Nodes side by side, with the shape of their tensor.

    Args:
        pieces: The nodes; their units are in the row-major order of `dims`.
        dims: Sizes of the tensor; the size `axis` is to be multiplied by the number of sequences.
        axis: Dimension in which the sequences are, each with `dims[axis]` entries; None for weights.
    """

    pieces: tuple[Node, ...]
    dims: tuple[int, ...] = ()
    axis: int | None = None

    @property
    def width(self) -> int:
        """Sum of the widths."""
        return sum(each.width for each in self.pieces)

    @property
    def cuts(self) -> list[int]:
        """Offset of each piece but the first."""
        return list(itertools.accumulate(each.width for each in self.pieces))[:-1]


class Graph:
    """Nodes, without duplicates. The arguments of a node have smaller numbers than the node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple[Any, ...], Node] = {}
        self.line = ""

    def make(self, op: str, args: Sequence[Node] = (), width: int | None = None, *attributes: Any) -> Node:
        """Return the node of an operation; by default its width is that of the widest operand."""
        size = max(each.width for each in args) if width is None else width
        # 0.0 == -0.0 and 1 == True, but they are different constants
        key = (op, tuple(each.number for each in args), size, attributes, repr(attributes) if op == "const" else "")
        if key not in self._known:
            self._known[key] = Node(len(self.nodes), op, tuple(args), size, attributes, line=self.line)
            self.nodes.append(self._known[key])
        return self._known[key]

    def const(self, number: float, width: int = 1) -> Node:
        """Return a constant."""
        return self.make("const", (), width, float(number))

    def leaf(self, source: Any, offset: int, width: int) -> Node:
        """Return an input of the step."""
        return self.make("leaf", (), width, source, offset)

    def row(self, row: Row, width: int) -> Node:
        """Return numbers of a weight."""
        return self.make("row", (), width, row)

    def pointwise(self, op: str, *args: Node) -> Node:
        """Return an operation on each unit; operands of width 1 are repeated."""
        width = max(each.width for each in args)
        return self.make(op, [self.widened(each, width) for each in args], width)

    def widened(self, node: Node, width: int) -> Node:
        """Return a constant or row in the width of the operation that reads it; other nodes unchanged."""
        if node.width == 1 < width:
            if node.op == "const":
                return self.const(node.attributes[0], width)
            if node.op == "row":
                return self.row(replace(node.attributes[0], stride=0), width)
        return node

    def expanded(self, node: Node, width: int) -> Node:
        """Return a node of width 1 repeated."""
        widened = self.widened(node, width)
        return widened if widened.width == width else self.make("copy", [node], width)

    def slice(self, node: Node, start: int, stop: int) -> Node:
        """Return the units [start, stop) of a node."""
        if (start, stop) == (0, node.width):
            return node
        size = stop - start
        if node.op == "leaf":
            source, offset = node.attributes
            return self.leaf(source, offset + start, size)
        if node.op == "const":
            return self.const(node.attributes[0], size)
        if node.op == "row":
            return self.row(node.attributes[0].skip(start), size)
        if node.op == "sum":
            matrices, rows = node.attributes
            cut = tuple(each.slice_rows(start, stop) for each in matrices), tuple(each.skip(start) for each in rows)
            return self.make("sum", node.args, size, *cut)
        if node.op == "gather":
            return self.gather(node.args, node.attributes[0][start:stop])
        if node.op in ("contract", "first_max"):
            return self.make("gather", [node], size, tuple((unit,) for unit in range(start, stop)))
        if node.op == "reduce_max":
            group = node.args[0].width // node.width
            return self.make(node.op, [self.slice(node.args[0], start * group, stop * group)], size)
        args = [each if each.width == 1 else self.slice(each, start, stop) for each in node.args]
        return self.make(node.op, args, size, *node.attributes)

    def slice_value(self, value: Value, start: int, stop: int) -> Value:
        """Return the units [start, stop) of a value."""
        pieces, offset = [], 0
        for piece in value.pieces:
            first, last = max(start - offset, 0), min(stop - offset, piece.width)
            if first < last:
                pieces.append(self.slice(piece, first, last))
            offset += piece.width
        return Value(tuple(pieces))

    def split_at(self, value: Value, cuts: Iterable[int]) -> list[Node]:
        """Return the nodes of a value between offsets, which include those of its own pieces."""
        ends = [0, *cuts, value.width]
        found = []
        for start, stop in itertools.pairwise(ends):
            (piece,) = self.slice_value(value, start, stop).pieces
            found.append(piece)
        return found

    def apply(self, op: str, *values: Value) -> Value:
        """Return an operation on each unit of values of one width, or of width 1."""
        width = max(each.width for each in values)
        wide = [each for each in values if each.width == width]
        cuts = sorted({cut for each in wide for cut in each.cuts}) if width > 1 else []
        columns = [
            self.split_at(each, cuts) if each.width == width else [each.pieces[0]] * (len(cuts) + 1) for each in values
        ]
        return Value(tuple(self.pointwise(op, *args) for args in zip(*columns, strict=True)))

    def product(self, value: Value, terms: Sequence[Matrix]) -> Node:
        """Return the product of a sum of matrices (rows: results, columns: units of the value) and a value."""
        args, matrices, start = [], [], 0
        for piece in value.pieces:
            args += [self.in_memory(piece)] * len(terms)
            matrices += [each.slice_columns(start, start + piece.width) for each in terms]
            start += piece.width
        return self.make("sum", args, terms[0].rows, tuple(matrices), ())

    def in_memory(self, node: Node) -> Node:
        """Return a node that has a place in memory, as operands of products need."""
        return self.make("copy", [node]) if node.op in ("const", "row") else node

    def gather(self, args: Sequence[Node], table: Sequence[Sequence[int]]) -> Node:
        """Return sums of units.

        Args:
            args: The operands.
            table: For each unit of the result, the units of the operands side by side that are added.
        """
        starts = [0, *itertools.accumulate(each.width for each in args)]
        read = {unit for units in table for unit in units}
        used = [k for k, each in enumerate(args) if not read.isdisjoint(range(starts[k], starts[k] + each.width))]
        if not used:
            return self.const(0.0, len(table))
        kept, end = [args[k] for k in used], 0
        offsets: dict[int, int] = {}
        for k in used:
            offsets.update((starts[k] + unit, end + unit) for unit in range(args[k].width))
            end += args[k].width
        new = tuple(tuple(offsets[unit] for unit in units) for units in table)
        if len(kept) == 1 and all(len(units) == 1 for units in new):
            first = new[0][0]
            if all(units[0] == first + place for place, units in enumerate(new)):
                return self.slice(kept[0], first, first + len(new))
            if kept[0].op == "const":
                return self.const(kept[0].attributes[0], len(new))
            if all(units[0] == first for units in new):
                return self.expanded(self.slice(kept[0], first, first + 1), len(new))
        if len(kept) == len(new) == 1 and sorted(new[0]) == list(range(kept[0].width)):
            return self.make("reduce_sum", [self.in_memory(kept[0])], 1)
        return self.make("gather", [self.in_memory(each) for each in kept], len(new), new)

    def reduce(self, op: str, value: Value) -> Node:
        """Return the sum or maximum over all units."""
        parts = [self.make(op, [self.in_memory(each)], 1) if each.width > 1 else each for each in value.pieces]
        total, *rest = parts
        for each in rest:
            total = self.pointwise("add" if op == "reduce_sum" else "max", total, each)
        return total


def reachable(roots: Iterable[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """Return all nodes that the roots need, in an order of computation; not the operands of nodes in `stop`."""
    ends, seen, stack = {each.number for each in stop}, {}, list(roots)
    while stack:
        node = stack.pop()
        if node.number not in seen:
            seen[node.number] = node
            if node.number not in ends:
                stack += node.args
    return [seen[number] for number in sorted(seen)]


def flatten_sums(graph: Graph, roots: Sequence[Node], keep: Iterable[Node] = ()) -> list[Node]:
    """Return the roots with additions of products and rows merged into one sum, if each part is used only there.

    Args:
        graph: The graph of the roots.
        roots: Nodes to compute.
        keep: Nodes whose operands are not changed.
    """
    kept = list(keep)
    ends = {each.number for each in kept}
    nodes = reachable(roots, kept)
    uses: dict[int, int] = {}
    for node in nodes:
        for each in node.args if node.number not in ends else ():
            uses[each.number] = uses.get(each.number, 0) + 1
    for root in roots:
        uses[root.number] = uses.get(root.number, 0) + 1
    new: dict[int, Node] = {}
    for node in nodes:
        if node.number in ends or not node.args:
            new[node.number] = node
            continue
        args = [new[each.number] for each in node.args]
        graph.line, made = node.line, None
        if node.op == "add" and all(each.width == node.width for each in args):
            free = [uses[old.number] == 1 for old in node.args]
            made = _merged(graph, args[0], args[1], free)
        if made is None:
            made = graph.make(node.op, args, node.width, *node.attributes)
        made.name = made.name or node.name
        new[node.number] = made
    return [new[each.number] for each in roots]


def _merged(graph: Graph, one: Node, two: Node, free: list[bool]) -> Node | None:
    """Return the sum of two nodes as one `sum` node, if one is a sum and both are sums or rows."""
    args: list[Node] = []
    matrices: list[Matrix] = []
    rows: list[Row] = []
    if "sum" not in (one.op, two.op):
        return None
    for node, is_free in zip((one, two), free, strict=True):
        if node.op == "sum" and is_free:
            args += node.args
            matrices += node.attributes[0]
            rows += node.attributes[1]
        elif node.op == "row":
            rows.append(node.attributes[0])
        else:
            return None
    return graph.make("sum", args, one.width, tuple(matrices), tuple(rows))
