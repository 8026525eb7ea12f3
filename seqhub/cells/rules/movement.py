"""Rules of operations that only move numbers: slices, views, transpositions, concatenations, constant indices.

One rule is enough for all of them: the operation itself runs on tensors that have the number of a sequence and of a
unit in place of each element, for both recorded batch sizes. It is supported if no element leaves its sequence.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from seqhub.cells import arrays
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.graph import Value
from seqhub.cells.lowering import Lowering, refs_of
from seqhub.cells.rules.registry import RULES, rule
from seqhub.cells.trace import BATCHES, Operation, Ref

_WITH_INDICES = ("index_select", "index", "index_copy", "scatter", "index_put")
_MIXED = "mixes sequences of the batch"


class _Sources:
    """Operands of an operation as units side by side, numbered from 1; 0 is the number zero."""

    def __init__(self, low: Lowering, operation: Operation) -> None:
        self.low = low
        self.starts: dict[int, int] = {}
        self.values: dict[int, Value] = {}
        self.end = 0
        for ref in refs_of((operation.args, operation.kwargs)):
            if ref.index in self.values:
                continue
            if ref.index in low.batch or low.trace.values[ref.index].dtype is low.dtype:
                self.values[ref.index] = value = low.value(ref)
                self.starts[ref.index] = self.end
                self.end += value.width
            elif operation.name.removesuffix("_") not in _WITH_INDICES:
                raise operation.error(f"an operand of {low.trace.values[ref.index].dtype} is not supported")

    def numbered(self, given: Any, batch: int) -> Any:
        """Return an argument with tensors of numbers in place of operands."""
        if not isinstance(given, Ref):
            return given
        if given.index not in self.values:
            return self.low.frozen_value(given)
        value, start = self.values[given.index], self.starts[given.index] + 1
        if value.axis is None:
            return (start + torch.arange(value.width)).view(value.dims)
        numbers = [row * (self.end + 1) + start + unit for row, unit in arrays.entries(value, batch)]
        return torch.tensor(numbers).view(arrays.shape_of(value, batch))

    def units_of(self, result: Tensor, axis: int, batch: int) -> list[int]:
        """Return the unit of each element of a sequence, the same for all; -1 for zero.

        Raises:
            NotCompilableError: The sequences have different units, or those of others.
        """
        split = result.unflatten(axis, (batch, result.size(axis) // batch)).movedim(axis, 0).flatten(1)
        rows, numbers = split // (self.end + 1), split % (self.end + 1)
        of_batch = torch.tensor(
            [False, *(value.axis is not None for value in self.values.values() for _ in range(value.width))]
        )
        own = torch.arange(batch).unsqueeze(1).expand_as(rows)
        if (numbers != numbers[0]).any() or (of_batch[numbers] & (rows != own)).any():
            raise NotCompilableError(_MIXED)
        found: list[int] = (numbers[0] - 1).tolist()
        return found


def moved(low: Lowering, operation: Operation, *, keep: int | None = None, fill: float = 0.0) -> list[Value]:
    """Return the results of an operation that only moves numbers.

    Args:
        low: The step.
        operation: The operation.
        keep: Number of arguments to call it with; by default all.
        fill: Number at units that are zero without the other arguments.
    """
    sources = _Sources(low, operation)
    refs, pairs = refs_of(operation.results), zip(BATCHES, low.both(operation), (low.trace, low.other), strict=True)
    tables: list[list[list[int]]] = []
    for batch, each, trace in pairs:
        args, kwargs = (
            tree_map(lambda given, batch=batch: sources.numbered(given, batch), part)
            for part in (each.args[:keep], {} if keep else each.kwargs)
        )
        results = each.function(*args, **kwargs)
        tables.append([])
        for ref, result in zip(refs, [results] if isinstance(results, Tensor) else results, strict=True):
            axis = low.batch_axis(ref.index)
            if axis is None or tuple(result.shape) != trace.shape(ref.index) or result.dtype is not torch.int64:
                raise NotCompilableError(_MIXED)
            tables[-1].append(sources.units_of(result, axis, batch))
    if tables[0] != tables[1]:
        raise NotCompilableError("the result depends on the batch size")
    pieces = [piece for value in sources.values.values() for piece in value.pieces]
    found = []
    for ref, units in zip(refs, tables[0], strict=True):
        axis, shape = low.batch_axis(ref.index), low.trace.shape(ref.index)
        dims = [size // (BATCHES[0] if number == axis else 1) for number, size in enumerate(shape)]
        found.append(arrays.arranged(low.graph, pieces, units, dims, axis, fill))
    return found


for _name in (
    *("slice", "narrow", "select", "split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk"),
    *("unsafe_chunk", "unbind", "cat", "stack", "unsqueeze", "squeeze", "view", "reshape", "_unsafe_view", "expand"),
    *("t", "transpose", "permute", "movedim", "roll", "flip", "rot90", "repeat", "tile", "diagonal", "unfold", "tril"),
    *("triu", "diag_embed", "index_select", "index", "index_copy", "slice_scatter", "select_scatter"),
):
    RULES[_name] = moved


@rule("scatter")
def _scatter(low: Lowering, operation: Operation) -> list[Value]:
    if not isinstance(operation.argument("src"), Ref) or operation.argument("reduce") is not None:
        raise operation.error("only supported for a tensor and without a reduction")
    return moved(low, operation)


@rule("index_put")
def _index_put(low: Lowering, operation: Operation) -> list[Value]:
    if operation.argument("accumulate"):
        raise operation.error("accumulation is not supported")
    return moved(low, operation)


@rule("constant_pad_nd")
def _pad(low: Lowering, operation: Operation) -> list[Value]:
    return moved(low, operation, keep=2, fill=operation.argument("value", 0))
