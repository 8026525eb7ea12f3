"""Rules of matrix products: of values of the batch with weights, and of two values of each sequence."""

import torch

from seqhub.cells import arrays
from seqhub.cells.graph import Matrix, Value
from seqhub.cells.lowering import Lowering
from seqhub.cells.rules.registry import rule
from seqhub.cells.trace import Operation, Ref

_MIXED = "mixes sequences of the batch"


def _product(low: Lowering, operation: Operation, one: Ref, two: Ref) -> Value:
    """Return the product of two tensors of two or three dimensions."""
    extra = 3 - len(low.trace.shape(one.index))  # 1 for matrices, which are products of one pair
    first, second = low.batch.get(one.index), low.batch.get(two.index)
    if first is not None and second is not None:
        if extra or first.axis != 0 or second.axis != 0:
            raise operation.error(_MIXED)
        return arrays.contracted(low.graph, first, second)
    given = first if first is not None else second
    assert given is not None
    assert given.axis is not None
    dims, axis = (1,) * extra + given.dims, given.axis + extra
    units = torch.arange(given.width).view(dims)
    pieces = []
    if first is not None and axis == 1:  # (P, f * sequences, K) times (P, K, M)
        weights = [low.matrices(two, operation)] if extra else low.slices(two)
        for rows, terms in zip(units, weights, strict=True):
            pieces += [_times(low, given, row.tolist(), terms) for row in rows]
        found, shape = pieces, (dims[0], dims[1], weights[0][0].rows)
        result = _arranged(low, found, list(range(len(found) * shape[2])), shape, 1)
    elif second is not None and axis == 2:  # (P, N, K) times (P, K, f * sequences)
        weights = [low.matrices(one, operation)] if extra else low.slices(one)
        weights = [[each.transposed for each in terms] for terms in weights]
        for columns, terms in zip(units, weights, strict=True):
            pieces += [_times(low, given, column.tolist(), terms) for column in columns.t()]
        count, rows_, size = dims[0], weights[0][0].rows, dims[2]
        order = torch.arange(count * size * rows_).view(count, size, rows_).transpose(1, 2)
        result = _arranged(low, pieces, order.flatten().tolist(), (count, rows_, size), 2)
    else:
        raise operation.error(_MIXED)
    assert result.axis is not None
    return Value(result.pieces, result.dims[extra:], result.axis - extra)


def _times(low: Lowering, value: Value, units: list[int], terms: list[Matrix]) -> Value:
    """Return the product of a sum of matrices and of units of a value."""
    operand = arrays.arranged(low.graph, value.pieces, units, (1, len(units)), 0)
    return Value((low.graph.product(operand, terms),))


def _arranged(low: Lowering, values: list[Value], units: list[int], dims: tuple[int, ...], axis: int) -> Value:
    pieces = [piece for each in values for piece in each.pieces]
    return arrays.arranged(low.graph, pieces, units, dims, axis)


@rule("mm", "bmm")
def _mm(low: Lowering, operation: Operation) -> Value:
    return _product(low, operation, operation.args[0], operation.args[1])


@rule("mv")
def _mv(low: Lowering, operation: Operation) -> Value:
    matrix, vector = operation.args
    value = low.batch.get(matrix.index)
    if value is None or value.axis != 0 or vector.index in low.batch:
        raise operation.error(_MIXED)
    terms = low.matrices(vector, operation)
    units = torch.arange(value.width).view(value.dims)
    found = [_times(low, value, row.tolist(), terms) for row in units]
    return _arranged(low, found, list(range(len(found))), value.dims[:1], 0)


@rule("addmm", "baddbmm")
def _addmm(low: Lowering, operation: Operation) -> Value:
    bias, one, two = operation.args
    product = low.scaled(_product(low, operation, one, two), operation.argument("alpha", 1))
    beta = operation.argument("beta", 1)
    return product if beta == 0 else low.apply("add", product, low.scaled(low.value(bias), beta))


@rule("_trilinear")
def _bilinear(low: Lowering, operation: Operation) -> Value:
    """`torch.nn.functional.bilinear`: the sum of one[i] * weight[o, i, j] * two[j]."""
    one, weight, two = operation.args[:3]
    given = [low.batch.get(each.index) for each in (one, two)]
    if operation.args[3:7] != ([1, 3], [0], [1, 2], [2, 3]) or weight.index in low.batch or None in given:
        raise operation.error("only supported as in bilinear with a weight")
    first, second = (each for each in given if each is not None)
    terms = low.slices(weight)
    rows = [_times(low, first, list(range(first.width)), each) for each in terms]
    wide = _arranged(low, rows, list(range(len(terms) * second.width)), (1, len(terms), second.width), 0)
    product = low.apply("mul", wide, Value(second.pieces, (1, 1, second.width), 0))
    table = torch.arange(product.width).view(len(terms), -1).tolist()
    return Value((low.graph.gather(product.pieces, table),), (1, len(terms)), 0)
