"""Order of computation of a graph: products, reductions and loops over units, with a place in memory for each array.

Nodes are computed in levels. A level has the products and reductions of arrays of lower levels, then one loop for each
width with all operations on units. An operation is in the loop of its operands if it has their width, so that only
operands of products and reductions, and values of other loops, are written to memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqhub.cells.graph import Node, reachable


@dataclass(frozen=True)
class Place:
    """Array in memory: vectors [offset, offset + width) of a buffer."""

    buffer: str
    offset: int


@dataclass(frozen=True)
class Product:
    """Sums with the same operands, whose results are side by side."""

    sums: tuple[Node, ...]
    only_input: bool


@dataclass(frozen=True)
class Reduction:
    """An operation between units: a sum, a maximum, or another order of units."""

    node: Node
    only_input: bool


@dataclass(frozen=True)
class Loop:
    """Operations on units that are computed in one loop."""

    width: int
    nodes: tuple[Node, ...]
    only_input: bool


@dataclass
class Schedule:
    """Order of computation.

    Attributes:
        items: What to compute, in order.
        places: Where the array of a node is, by the number of the node; the first place is the one that is read.
        sizes: Size of each buffer.
    """

    items: list[Product | Reduction | Loop] = field(default_factory=list)
    places: dict[int, list[Place]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def allocate(self, buffer: str, node: Node) -> None:
        """Give a node a new place at the end of a buffer."""
        offset = self.sizes.get(buffer, 0)
        self.sizes[buffer] = offset + node.width
        self.places.setdefault(node.number, []).append(Place(buffer, offset))


def schedule(
    roots: Sequence[Node],
    *,
    places: dict[int, list[Place]],
    recorded: Iterable[Node],
    buffer: str,
    scratch: str,
    sizes: dict[str, int],
    for_input: Sequence[Node] = (),
) -> Schedule:
    """Return the order of computation of a graph.

    Args:
        roots: Nodes to compute.
        places: Where each leaf and each value that is in memory already is, and where roots are to be written.
        recorded: Nodes to keep in the buffer of the step.
        buffer: Name of that buffer.
        scratch: Name of the buffer of other arrays.
        sizes: Sizes of buffers so far.
        for_input: Further nodes to compute, for the gradient of the input only.
    """
    plan = Schedule(places={number: list(each) for number, each in places.items()}, sizes=dict(sizes))
    given = [number for number in places if number not in {each.number for each in (*roots, *for_input)}]
    stop = [each for each in reachable([*roots, *for_input]) if each.number in given]
    nodes = [each for each in reachable([*roots, *for_input], stop) if each.number not in given]
    needed = {each.number for each in reachable(roots, stop)}
    levels: dict[int, int] = {}
    for node in nodes:
        levels[node.number] = _level(node, levels)
    keep = {each.number for each in recorded}
    groups: dict[tuple[Any, ...], list[Node]] = {}
    for node in nodes:
        if node.op in ("const", "row", "leaf"):
            continue
        level, only_input = levels[node.number], node.number not in needed
        if node.op == "sum":
            key: tuple[Any, ...] = (
                level,
                0,
                tuple(each.number for each in node.args),
                only_input,
                node.number in keep,
            )
        elif not node.is_pointwise:
            key = (level, 1, node.number, only_input)
        else:
            key = (level, 2, node.width, only_input)
        groups.setdefault(key, []).append(node)
    # within a phase as in the source, but what is for the gradient of the input only depends on other loops
    order = sorted(groups, key=lambda key: (key[0], key[1], key[3]))
    loop_of = {node.number: key for key in order for node in groups[key]}
    in_memory = {root.number for root in (*roots, *for_input)} | keep
    for node in nodes:
        for each in node.args:
            if each.number in loop_of and (not node.is_pointwise or loop_of[each.number] != loop_of[node.number]):
                in_memory.add(each.number)
    for key in order:
        members = groups[key]
        for node in members:
            if node.number in keep:
                plan.allocate(buffer, node)
                plan.places[node.number].sort(key=lambda place: place.buffer != buffer)
            elif not node.is_pointwise or (node.number in in_memory and node.number not in plan.places):
                plan.allocate(scratch, node)
        only_input = bool(key[3])
        if key[1] == 0:
            plan.items.append(Product(tuple(members), only_input))
        elif key[1] == 1:
            plan.items.append(Reduction(members[0], only_input))
        else:
            plan.items.append(Loop(members[0].width, tuple(members), only_input))
    return plan


def _level(node: Node, levels: dict[int, int]) -> int:
    """Return the level of a node from those of its operands."""
    level = 0
    for each in node.args:
        before = levels.get(each.number, 0)  # leaves are in memory before level 0
        if not node.is_pointwise:
            before += each.number in levels
        elif each.is_pointwise and each.number in levels and each.width != node.width:
            before += 1
        level = max(level, before)
    return level
