"""Plan of the forward and the backward pass of a step: what is computed and saved, and where it is in memory."""

import itertools
from collections.abc import Container, Iterable, Iterator
from typing import Any

from seqhub.cells.graph import Node, Value, flatten_sums, reachable
from seqhub.cells.lowering import Lowering
from seqhub.cells.reverse import WeightGradient, differentiate
from seqhub.cells.saved import values_to_save
from seqhub.cells.schedule import Place, schedule

_INLINE = ("leaf", "const", "row")
_ALIGNED = 8  # vectors


class Step:
    """Forward and backward pass of a step.

    Buffers: `x` has the input, `state` the states; `record` has what is saved of one step: the inputs and states that
    the backward pass reads, and further values; `next` the new states and the output if it is not one of them; `after`
    the next record, whose states are the new ones; `d_record` the gradients whose sums over steps are gradients of
    weights, and their operands if these are computed again.

    Args:
        low: The step; nodes for the backward pass are added to its graph.

    Attributes:
        kept: Buffer of each input and state that is in the record, its offset there, and its size.
        reads_after: Whether the backward pass reads the next record.
    """

    def __init__(self, low: Lowering) -> None:
        self.graph = low.graph
        self.features, *self.widths = (low.trace.shape(index)[1] for index in low.trace.inputs)
        ends = [low.output, *low.states]
        flat = iter(flatten_sums(self.graph, [piece for value in ends for piece in value.pieces]))
        self.output, *self.states = (self._in_loop(next(flat) for _ in value.pieces) for value in ends)
        self.roots = [piece for value in (self.output, *self.states) for piece in value.pieces]
        offsets = [0, *itertools.accumulate(self.widths)]
        self.next_offsets, units = offsets[:-1], offsets[-1]
        same = [k for k, each in enumerate(self.states) if each == self.output]
        self.output_offset = self.next_offsets[same[0]] if same else units
        self.next_size = units + (0 if same else self.output.width)
        self._differentiate()
        self._choose_saved()
        self._place()

    def _in_loop(self, pieces: Iterable[Node]) -> Value:
        """Return a value whose pieces are computed by loops, which write them to any place."""
        return Value(tuple(each if each.is_pointwise else self.graph.make("copy", [each]) for each in pieces))

    def _differentiate(self) -> None:
        forward = reachable(self.roots)
        self._known = {each.number for each in forward}
        # the gradient of an output that is a state is added to that of the state
        output = Value(()) if self.output in self.states else self.output
        found = differentiate(self.graph, output, self.states, (self.features, *self.widths))
        ends = [found.inputs, *found.states]
        roots = [piece for value in ends for piece in value.pieces]
        new = iter(flatten_sums(self.graph, [*roots, *(each.gradient for each in found.weights)], keep=forward))
        self.d_input, *self.d_states = (self._in_loop(next(new) for _ in value.pieces) for value in ends)
        self.weight_gradients = []
        for each, node in zip(found.weights, new, strict=True):
            own = self._copy(node) if node.op == "leaf" or node.number in self._known else node
            self.weight_gradients.append(WeightGradient(each.view, own, each.operand))

    def _copy(self, node: Node) -> Node:
        """Return a copy for `d_record`, other than the copies of the forward pass."""
        return self.graph.make("copy", [node], node.width, "recorded")

    def _choose_saved(self) -> None:
        gradients = [each.gradient for each in self.weight_gradients]
        ends = [*(piece for value in (*self.d_states, self.d_input) for piece in value.pieces), *gradients]
        operands = [each.operand for each in self.weight_gradients if each.operand is not None]
        known = [self.graph.nodes[number] for number in self._known]
        read = [each for each in reachable(ends, known) if each.number in self._known] + operands
        new_states = [piece for value in self.states for piece in value.pieces if piece not in ends]
        self.saved = values_to_save(read, new_states)

        stop = [*self.saved, *new_states]
        in_memory = {each.number for each in reachable(read, stop)}
        sources = {node.attributes[0] for node in self.graph.nodes if node.op == "leaf" and node.number in in_memory}
        new = {each.number for each in new_states} & in_memory
        after = [k for k, value in enumerate(self.states) if any(piece.number in new for piece in value.pieces)]
        self._read_after = {each.number for each in new_states}
        self.reads_after = bool(after)
        sources.update(("state", k) for k in after)
        self.kept: list[tuple[Place, int, int]] = []
        self._offsets: dict[Any, int] = {}
        self.kept_size = 0
        for source, place, width in self._sources():
            if source in sources:
                self._offsets[source] = self.kept_size
                self.kept.append((place, self.kept_size, width))
                self.kept_size += width

        saved = {each.number for each in self.saved}
        for number, each in enumerate(self.weight_gradients):
            operand = each.operand
            if operand is not None and operand.op != "leaf" and operand.number not in saved:
                if operand.number in self._read_after:  # in the next record, whose other lanes are cleared
                    operand = self._copy(operand)
                self.weight_gradients[number] = WeightGradient(each.view, each.gradient, operand)
        self._recorded = [each.operand for each in self.weight_gradients if each.operand is not None]
        self._recorded = [each for each in self._recorded if each.op != "leaf" and each.number not in saved]
        self._recorded = [*dict.fromkeys([*gradients, *self._recorded])]

    def _sources(self) -> Iterator[tuple[Any, Place, int]]:
        """Return the input and each state, its place in the forward pass, and its width."""
        yield "x", Place("x", 0), self.features
        for k, (offset, width) in enumerate(zip(self.next_offsets, self.widths, strict=True)):
            yield ("state", k), Place("state", offset), width

    def _place(self) -> None:
        sources = {source: place for source, place, _ in self._sources()}
        places = self._leaves(sources)
        for value, offset in zip(self.states, self.next_offsets, strict=True):
            _put(places, value, "next", offset)
        if self.output_offset == sum(self.widths):
            _put(places, self.output, "next", self.output_offset)
        self.forward = schedule(
            self.roots,
            places=places,
            recorded=self.saved,
            buffer="record",
            scratch="scratch",
            sizes={"record": self.kept_size, "scratch": 0},
        )

        sources = {source: Place("record", offset) for source, offset in self._offsets.items()}
        sources |= {("d_state", k): Place("d_next", offset) for k, offset in enumerate(self.next_offsets)}
        places = self._leaves(sources | {"d_output": Place("d_next", self.output_offset)})
        for k, value in enumerate(self.states):
            if ("state", k) in self._offsets:
                _put(places, value, "after", self._offsets["state", k], self._read_after)
        for node in self.saved:
            places[node.number] = self.forward.places[node.number][:1]
        for value, offset in zip(self.d_states, self.next_offsets, strict=True):
            _put(places, value, "d_before", offset)
        _put(places, self.d_input, "d_x", 0)
        self.backward = schedule(
            [*(piece for value in self.d_states for piece in value.pieces), *self._recorded],
            places=places,
            recorded=self._recorded,
            buffer="d_record",
            scratch="scratch",
            sizes={"d_record": 0, "scratch": 0},
            for_input=self.d_input.pieces,
        )

    def _leaves(self, sources: dict[Any, Place]) -> dict[int, list[Place]]:
        """Return the places of the leaves, from that of each source."""
        found = {}
        for node in self.graph.nodes:
            if node.op == "leaf" and node.attributes[0] in sources:
                start = sources[node.attributes[0]]
                found[node.number] = [Place(start.buffer, start.offset + node.attributes[1])]
        return found

    @property
    def record(self) -> int:
        """Vectors from one record to the next."""
        return _distance(self.forward.sizes["record"])

    @property
    def d_record(self) -> int:
        """The same for gradients."""
        return _distance(self.backward.sizes["d_record"])


def _distance(size: int) -> int:
    """Return a distance of arrays of a size that puts them on different lines of a cache."""
    return size if size % _ALIGNED else size + 1


def _put(
    places: dict[int, list[Place]], value: Value, buffer: str, offset: int, only: Container[int] | None = None
) -> None:
    """Add the places of the pieces of a value, or of some of them."""
    for piece in value.pieces:
        if only is None or piece.number in only:
            places.setdefault(piece.number, []).append(Place(buffer, offset))
        offset += piece.width
