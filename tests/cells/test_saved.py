"""Values that the forward pass of a cell saves for the backward pass."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqhub.cells import kernel
from seqhub.cells.compile import compile_cell
from seqhub.cells.graph import Graph, Node
from seqhub.cells.saved import values_to_save
from seqhub.cells.step import Step


def computable(read: list[Node], known: set[int]) -> bool:
    """Return whether cheap operations compute nodes from known ones and inputs."""

    def is_known(node: Node) -> bool:
        if node.number in known or node.op == "leaf":
            return True
        return node.op in ("add", "mul", "copy") and all(map(is_known, node.args))

    return all(map(is_known, read))


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "mul", "tanh", "wide"]), st.integers(0, 20), st.integers(0, 20)), max_size=7
    ),
    st.sets(st.integers(0, 9), min_size=1, max_size=4),
    st.sets(st.integers(0, 9), max_size=2),
)
def test_no_smaller_set_is_sufficient(program: list[tuple[str, int, int]], read: set[int], given: set[int]) -> None:
    """By comparison with all sets of the nodes of a graph."""
    graph = Graph()
    nodes = [graph.leaf("x", 0, 1), graph.make("tanh", [graph.leaf("x", 1, 3)], 3)]
    for op, first, second in program:
        one, two = nodes[first % len(nodes)], nodes[second % len(nodes)]
        if op in ("add", "mul") and one.width == two.width:
            nodes.append(graph.make(op, [one, two]))
        elif op == "wide" and one.width == 1:
            nodes.append(graph.make("copy", [one], 3))
        else:
            nodes.append(graph.make("tanh", [one]))
    needed, available = ([nodes[each % len(nodes)] for each in sorted(some)] for some in (read, given))
    saved = values_to_save(needed, available)
    free = {each.number for each in available}
    assert computable(needed, free | {each.number for each in saved})
    found = sum(each.width for each in saved)
    candidates = [each for each in dict.fromkeys(nodes) if each.op != "leaf" and each.number not in free]
    for size in range(len(candidates) + 1):
        for some in itertools.combinations(candidates, size):
            if sum(each.width for each in some) < found:
                assert not computable(needed, free | {each.number for each in some})


class GatedCell(nn.Module):
    """A product of a gate and the state is an operand of a matrix, as in the minimal gated unit."""

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.gate, self.new = (nn.Linear(features + units, units) for _ in range(2))
        self.hidden_size = units

    def forward(self, x: torch.Tensor, h: Any = None) -> torch.Tensor:
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        gate = self.gate(torch.cat([x, h], dim=1)).sigmoid()
        return (1 - gate) * h + gate * self.new(torch.cat([x, gate * h], dim=1)).tanh()


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        (nn.RNNCell(9, 8), 9 + 8),  # the result of tanh is the state of the next record
        (nn.RNNCell(9, 8, nonlinearity="relu"), 9 + 8),
        (nn.LSTMCell(9, 8), 9 + 2 * 8 + 5 * 8),  # gates and tanh(c)
        (GatedCell(9, 8), 9 + 3 * 8),  # gate * h is computed again
    ],
    ids=["tanh", "relu", "lstm", "gated"],
)
def test_values_of_a_step(cell: nn.Module, values: int) -> None:
    form = compile_cell(cell).form(torch.zeros(1, 1, 9))
    low, _ = kernel.lower_cell(cell, form, 9, torch.float32)
    assert Step(low).forward.sizes["record"] == values
