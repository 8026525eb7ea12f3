"""Arrays of a step: values with shapes, broadcasting, and units in another order."""

import math
from collections.abc import Sequence

import torch

from seqhub.cells.errors import NotCompilableError
from seqhub.cells.graph import Graph, Node, Value

MAX_PIECES = 8  # of a value; more are copied to one place, since each piece of an operand is an operation of its own
MAX_UNITS = 1 << 14  # of a value; a kernel is written for each of them


def normal_axis(axis: int, rank: int) -> int:
    """Return a dimension as a number from 0 to rank - 1."""
    return axis % rank if rank else 0


def shape_of(value: Value, batch: int) -> tuple[int, ...]:
    """Return the shape of the tensor of a value for a number of sequences."""
    return tuple(size * (batch if axis == value.axis else 1) for axis, size in enumerate(value.dims))


def entries(value: Value, batch: int) -> list[tuple[int, int]]:
    """Return the sequence and the unit of each element of the tensor of a value, in row-major order."""
    assert value.axis is not None
    dims = (*value.dims[: value.axis], 1, *value.dims[value.axis :])
    sizes = (*value.dims[: value.axis], batch, *value.dims[value.axis :])
    rows = torch.arange(batch).view(-1, *(1 for _ in value.dims[value.axis :])).expand(sizes)
    units = torch.arange(value.width).view(dims).expand(sizes)
    return list(zip(rows.flatten().tolist(), units.flatten().tolist(), strict=True))


def arranged(
    graph: Graph,
    pieces: Sequence[Node],
    units: Sequence[int],
    dims: Sequence[int],
    axis: int | None,
    fill: float = 0.0,
) -> Value:
    """Return units of nodes in another order.

    Args:
        graph: The graph of the nodes.
        pieces: The nodes.
        units: For each unit of the result, the number of a unit of the nodes side by side; -1 for `fill`.
        dims: As in `Value`.
        axis: As in `Value`.
        fill: A number.
    """
    if not units:
        raise NotCompilableError("an empty tensor in a step")
    if len(units) > MAX_UNITS:
        raise NotCompilableError(f"a tensor of {len(units)} numbers for each sequence is not supported")
    whole = Value(tuple(pieces))
    if len(set(units)) == 1 < len(units) and units[0] >= 0:
        (piece,) = graph.slice_value(whole, units[0], units[0] + 1).pieces
        return Value((graph.expanded(piece, len(units)),), tuple(dims), axis)
    runs: list[list[int]] = []  # first unit and number of units
    for unit in units:
        first, size = runs[-1] if runs else (-2, 0)
        if (first >= 0 and unit == first + size) or first == unit == -1:
            runs[-1][1] += 1
        else:
            runs.append([unit, 1])
    if len(runs) <= MAX_PIECES:
        found: list[Node] = []
        for first, size in runs:
            if first < 0:
                found.append(graph.const(fill, size))
            else:
                found += graph.slice_value(whole, first, first + size).pieces
        if len(found) <= MAX_PIECES:
            return Value(tuple(found), tuple(dims), axis)
    end = sum(each.width for each in pieces)
    filled = [*pieces, graph.const(fill)] if -1 in units else pieces
    node = graph.gather(filled, [(unit if unit >= 0 else end,) for unit in units])
    return Value((node,), tuple(dims), axis)


def joined(graph: Graph, value: Value) -> Node:
    """Return a value as one node that has a place in memory."""
    if len(value.pieces) == 1:
        return graph.in_memory(value.pieces[0])
    return graph.in_memory(graph.gather(value.pieces, [(unit,) for unit in range(value.width)]))


def compact(graph: Graph, value: Value) -> Value:
    """Return a value of not too many pieces."""
    if len(value.pieces) <= MAX_PIECES:
        return value
    return Value((joined(graph, value),), value.dims, value.axis)


def broadcast(graph: Graph, values: Sequence[Value]) -> list[Value]:
    """Return values with one shape, by the rules of torch, except values of one unit.

    Raises:
        NotCompilableError: Sequences of the batch are mixed.
    """
    rank = max(len(each.dims) for each in values)
    axes = {each.axis + rank - len(each.dims) for each in values if each.axis is not None}
    if len(axes) > 1:
        raise NotCompilableError("an operation mixes sequences of the batch")
    axis = axes.pop() if axes else None
    padded = [(1,) * (rank - len(each.dims)) + each.dims for each in values]
    dims = tuple(max(sizes) if 0 not in sizes else 0 for sizes in zip(*padded, strict=True))
    width, found = math.prod(dims), []
    for value, own in zip(values, padded, strict=True):
        if value.width in (1, width):
            found.append(Value(value.pieces, dims if value.width == width else (1,) * rank, axis))
        else:
            units = torch.arange(value.width).view(own).expand(dims).flatten().tolist()
            found.append(arranged(graph, value.pieces, units, dims, axis))
    return found


def apply(graph: Graph, op: str, values: Sequence[Value]) -> Value:
    """Return an operation on each unit of values, which are broadcast."""
    wide = broadcast(graph, values)
    largest = max(wide, key=lambda each: each.width)
    return compact(graph, Value(graph.apply(op, *wide).pieces, largest.dims, largest.axis))


def contracted(graph: Graph, one: Value, two: Value) -> Value:
    """Return the products of matrices (P, N, K) and (P, K, M) of each sequence."""
    (batches, rows, inner), columns = one.dims, two.dims[2]
    width = batches * rows * columns
    if width > MAX_UNITS:
        raise NotCompilableError(f"a tensor of {width} numbers for each sequence is not supported")
    args = [joined(graph, one), joined(graph, two)]
    node = graph.make("contract", args, width, batches, rows, columns, inner, False, False)
    return Value((node,), (batches, rows, columns), 0)
