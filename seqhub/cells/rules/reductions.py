"""Rules of sums, extremes and products over units, and of cumulative ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from seqhub.cells import arrays
from seqhub.cells.graph import Value
from seqhub.cells.lowering import Lowering
from seqhub.cells.rules.registry import rule
from seqhub.cells.trace import Operation

_MAX_FACTORS = 64  # of a product over units
_MAX_TERMS = 1 << 15  # of all sums of `cumsum`


@dataclass(frozen=True)
class Groups:
    """Units of a value in the groups that a reduction combines.

    Args:
        value: The value.
        units: Units of each group.
        dims: Shape of the result, as in `Value`.
        axis: As in `Value`.
    """

    value: Value
    units: list[list[int]]
    dims: tuple[int, ...]
    axis: int


def groups_of(operation: Operation, value: Value, dims: Any, *, keepdim: bool) -> Groups:
    """Return the groups of units of a reduction over dimensions.

    Raises:
        NotCompilableError: The reduction is over the sequences of the batch.
    """
    rank = len(value.dims)
    over = range(rank) if dims in (None, []) else [dims] if isinstance(dims, int) else dims
    reduced = {arrays.normal_axis(each, rank) for each in over}
    if value.axis is None or value.axis in reduced:
        raise operation.error("mixes sequences of the batch")
    kept = [axis for axis in range(rank) if axis not in reduced]
    count = math.prod(value.dims[axis] for axis in reduced)
    units = torch.arange(value.width).view(value.dims).permute(*kept, *sorted(reduced)).reshape(-1, count)
    if keepdim:
        shape = tuple(1 if axis in reduced else size for axis, size in enumerate(value.dims))
        return Groups(value, units.tolist(), shape, value.axis)
    return Groups(value, units.tolist(), tuple(value.dims[axis] for axis in kept), kept.index(value.axis))


def total(low: Lowering, groups: Groups) -> Value:
    """Return the sum of each group."""
    graph = low.graph
    if len(groups.units) == 1:
        node = graph.reduce("reduce_sum", groups.value)
    else:
        node = graph.gather(groups.value.pieces, groups.units)
    return Value((node,), groups.dims, groups.axis)


def largest(low: Lowering, groups: Groups) -> Value:
    """Return the maximum of each group."""
    graph = low.graph
    if len(groups.units) == 1:
        return Value((graph.reduce("reduce_max", groups.value),), groups.dims, groups.axis)
    node = arrays.joined(graph, _in_order(low, groups))
    return Value((graph.make("reduce_max", [node], len(groups.units)),), groups.dims, groups.axis)


def _in_order(low: Lowering, groups: Groups) -> Value:
    """Return the units of all groups side by side."""
    units = [unit for each in groups.units for unit in each]
    return arrays.arranged(low.graph, groups.value.pieces, units, (1, len(units)), 0)


def reduction(low: Lowering, operation: Operation, value: Value | None = None) -> Groups:
    """Return the groups of an operation with arguments `self`, `dim` and `keepdim`."""
    given = low.value(operation.argument("self")) if value is None else value
    return groups_of(operation, given, operation.argument("dim"), keepdim=operation.argument("keepdim", False))


@rule("sum")
def _sum(low: Lowering, operation: Operation) -> Value:
    return total(low, reduction(low, operation))


@rule("mean")
def _mean(low: Lowering, operation: Operation) -> Value:
    groups = reduction(low, operation)
    return low.apply("div", total(low, groups), low.value(len(groups.units[0])))


@rule("amax")
def _amax(low: Lowering, operation: Operation) -> Value:
    return largest(low, reduction(low, operation))


@rule("amin")
def _amin(low: Lowering, operation: Operation) -> Value:
    negative = low.apply("neg", low.value(operation.argument("self")))
    return low.apply("neg", largest(low, reduction(low, operation, negative)))


@rule("max", "min")
def _max(low: Lowering, operation: Operation) -> list[Value]:
    """The gradient of `max` over a dimension is that of the first maximum; its indices cannot be read."""
    value, graph = low.value(operation.argument("self")), low.graph
    groups = reduction(low, operation)
    ordered = _in_order(low, groups)
    compared = low.apply("neg", ordered) if operation.name == "min" else ordered
    size = len(groups.units[0])
    first = Value((graph.make("first_max", [arrays.joined(graph, compared)], value.width, len(groups.units)),))
    chosen = graph.apply("where", first, ordered, Value((graph.const(0.0),)))
    table = [range(start, start + size) for start in range(0, value.width, size)]
    found = Value((graph.gather(chosen.pieces, table),), groups.dims, groups.axis)
    return [found, found]


@rule("var", "std")
def _var(low: Lowering, operation: Operation) -> Value:
    value, groups = low.value(operation.argument("self")), reduction(low, operation)
    correction = operation.argument("correction")
    if correction is None:
        correction = 0 if operation.argument("unbiased") is False else 1
    size = len(groups.units[0])
    if correction >= size:
        raise operation.error(f"correction {correction} for {size} units is not supported")
    kept = groups_of(operation, value, operation.argument("dim"), keepdim=True)
    mean = low.apply("div", total(low, kept), low.value(size))
    centred = low.apply("sub", value, mean)
    squares = total(low, reduction(low, operation, low.apply("mul", centred, centred)))
    found = low.apply("div", squares, low.value(size - correction))
    return low.apply("norm", found) if operation.name == "std" else found


@rule("linalg_vector_norm")
def _norm(low: Lowering, operation: Operation) -> Value:
    value, order = low.value(operation.argument("self")), operation.argument("ord", 2)
    if order == 2:
        return low.apply("norm", total(low, reduction(low, operation, low.apply("mul", value, value))))
    groups = reduction(low, operation, low.apply("abs", value))
    if order == 1:
        return total(low, groups)
    if order == math.inf:
        return largest(low, groups)
    raise operation.error("only norms of order 1, 2 and infinity are supported")


@rule("logsumexp")
def _logsumexp(low: Lowering, operation: Operation) -> Value:
    value, dims = low.value(operation.argument("self")), operation.argument("dim")
    shift, flat = (finite(low, largest(low, groups_of(operation, value, dims, keepdim=keep))) for keep in (
        True, operation.argument("keepdim", False)))  # fmt: skip
    exponentials = low.apply("exp", low.apply("sub", value, shift))
    return low.apply("add", flat, low.apply("log", total(low, reduction(low, operation, exponentials))))


def finite(low: Lowering, value: Value) -> Value:
    """Return a value without gradient, with zero in place of infinite numbers."""
    infinite = low.apply("eq", low.apply("abs", value), low.value(math.inf))
    return low.apply("detach", low.apply("where", infinite, low.value(0.0), value))


def _along(operation: Operation, value: Value) -> torch.Tensor:
    """Return the units of a value as (positions along the dimension of an operation, others)."""
    axis = arrays.normal_axis(operation.argument("dim"), len(value.dims))
    if axis == value.axis:
        raise operation.error("mixes sequences of the batch")
    return torch.arange(value.width).view(value.dims).movedim(axis, 0).flatten(1)


@rule("cumsum")
def _cumsum(low: Lowering, operation: Operation) -> Value:
    value = low.value(operation.argument("self"))
    units = _along(operation, value)
    if len(units) * value.width > _MAX_TERMS:
        raise operation.error(f"only supported for few units, not {len(units)}")
    table: list[Sequence[int]] = [()] * value.width
    for place, row in enumerate(units.tolist()):
        for column, unit in enumerate(row):
            table[unit] = units[: place + 1, column].tolist()
    return Value((low.graph.gather(value.pieces, table),), value.dims, value.axis)


@rule("cumprod", "prod")
def _prod(low: Lowering, operation: Operation) -> Value:
    value, graph = low.value(operation.argument("self")), low.graph
    units = _along(operation, value) if operation.argument("dim") is not None else None
    if units is None or len(units) > _MAX_FACTORS:
        raise operation.error(f"only supported over at most {_MAX_FACTORS} units")
    parts = [arrays.arranged(graph, value.pieces, row, (1, len(row)), 0) for row in units.tolist()]
    products = parts[:1]
    for each in parts[1:]:
        products.append(low.apply("mul", products[-1], each))
    if operation.name == "prod":
        groups = reduction(low, operation)
        return Value(products[-1].pieces, groups.dims, groups.axis)
    order = units.flatten().argsort().tolist()
    pieces = [piece for each in products for piece in each.pieces]
    return arrays.arranged(graph, pieces, order, value.dims, value.axis)
