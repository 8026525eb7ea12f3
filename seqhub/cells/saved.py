"""Choice of the values that the forward pass saves for the backward pass.

Results of cheap operations are computed again where that saves memory: of all sets of nodes from which the backward
pass can compute what it reads, the one with the fewest numbers is saved (a minimum cut of the graph of the step).
"""

from collections import deque
from collections.abc import Iterable, Sequence

from seqhub.cells.graph import Node, reachable

_COMPUTED_AGAIN = {
    *("add", "sub", "mul", "neg", "copy", "where", "lt", "le", "gt", "ge", "eq", "ne", "max", "min", "clamp"),
    *("hard_clamp", "abs", "sign", "detach", "floor", "ceil", "trunc", "round", "relu", "gather"),
}


def values_to_save(read: Sequence[Node], available: Iterable[Node]) -> list[Node]:
    """Return the nodes to save, in order of their numbers.

    Args:
        read: Nodes of the forward pass that the backward pass reads.
        available: Nodes of the forward pass that are in memory anyway. So are inputs, constants and rows.
    """
    given = {each.number for each in available}
    saved = [each for each in set(read) if not _is_cheap(each) and not _is_given(each, given)]
    given |= {each.number for each in saved}
    for node in reachable(read):
        if _is_given(node, given) or (_is_cheap(node) and all(each.number in given for each in node.args)):
            given.add(node.number)
    missing = [each for each in dict.fromkeys(read) if each.number not in given]
    return sorted([*saved, *_minimum_cut(missing, given)], key=lambda node: node.number)


def _is_cheap(node: Node) -> bool:
    return node.op in _COMPUTED_AGAIN


def _is_given(node: Node, given: set[int]) -> bool:
    return node.number in given or (not node.args and node.op != "sum")


def _minimum_cut(read: Sequence[Node], given: set[int]) -> list[Node]:
    """Return nodes of the least total width that separate `read` from the nodes that are not computed again.

    Of several such sets it is the one nearest to `read`, which leaves the least to compute. The flow is the one of
    Edmonds and Karp (1972) in the graph whose nodes have an entry and an exit, joined with the capacity of their width.
    """
    nodes: dict[int, Node] = {}
    stack = list(read)
    while stack:
        node = stack.pop()
        if node.number not in nodes and node.number not in given:
            nodes[node.number] = node
            if _is_cheap(node):
                stack += node.args
    source, sink = -1, -2
    unlimited = sum(each.width for each in nodes.values()) + 1
    rest: dict[int, dict[int, int]] = {source: {}, sink: {}}  # capacity left, of entry 2n and exit 2n + 1 of node n
    for number, node in nodes.items():
        rest.setdefault(2 * number, {}).update({2 * number + 1: node.width})
        rest.setdefault(2 * number + 1, {}).setdefault(2 * number, 0)
        if not _is_cheap(node):
            rest[source][2 * number] = unlimited
            rest[2 * number][source] = 0
        for each in node.args if _is_cheap(node) else ():
            if each.number in nodes:
                rest.setdefault(2 * each.number + 1, {})[2 * number] = unlimited
                rest[2 * number].setdefault(2 * each.number + 1, 0)
    for node in read:
        rest[2 * node.number + 1][sink] = unlimited
        rest[sink][2 * node.number + 1] = 0
    while path := _path(rest, source, sink):
        flow = min(rest[one][two] for one, two in path)
        for one, two in path:
            rest[one][two] -= flow
            rest[two][one] += flow
    near, queue = {sink}, [sink]  # what can still reach the sink
    while queue:
        for before in rest[(end := queue.pop())]:
            if before not in near and rest[before].get(end, 0):
                near.add(before)
                queue.append(before)
    return [each for number, each in nodes.items() if 2 * number + 1 in near and 2 * number not in near]


def _path(rest: dict[int, dict[int, int]], source: int, sink: int) -> list[tuple[int, int]]:
    """Return the edges of a shortest path with unused capacity, or an empty list if there is no path."""
    before: dict[int, int] = {source: source}
    queue = deque([source])
    while queue and sink not in before:
        one = queue.popleft()
        for two, capacity in rest[one].items():
            if capacity and two not in before:
                before[two] = one
                queue.append(two)
    path: list[tuple[int, int]] = []
    end = sink
    while end in before and end != source:
        path.append((before[end], end))
        end = before[end]
    return path
