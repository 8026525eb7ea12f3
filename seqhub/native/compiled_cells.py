"""Models of compiled cells for native training: an embedding of ids or real values, layers of cells, and a readout.

`seqhub.cells.native_model` makes them from models of torch; see src/train_compiled_cells.h.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[Any]]
"""Weights of a model by name."""


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """A layer that runs one cell from the first to the last real step of each sequence.

    Args:
        forward: Address of the function of the kernel that runs forward.
        backward: Address of its function that runs backward.
        saved_bytes: Address of its function that returns the size of what forward saves for backward.
        forward_scratch: Bytes of memory that forward needs.
        backward_scratch: Bytes of memory that backward needs.
        features: Width of the input.
        output: Width of the output.
        widths: Width of each state.
        weights: Arrays that the kernel reads: names of parameters, or constants.
        library: Object that keeps the functions loaded.
    """

    forward: int
    backward: int
    saved_bytes: int
    forward_scratch: int
    backward_scratch: int
    features: int
    output: int
    widths: tuple[int, ...]
    weights: "tuple[str | NDArray[Any], ...]"
    library: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class CompiledCells:
    """Structure of a model of compiled cells.

    Args:
        layers: The layers, from input to output.
        head: Name of the module of the readout.
        embedding: Name of the embedding of ids; None for real values.
        predicted: Ids whose outputs the readout has, in the order of native training; None for all outputs of the head
            in their order. The model never predicts the other ids, so that their weights have no gradient.
    """

    layers: tuple[CompiledLayer, ...]
    head: str
    embedding: str | None
    predicted: NDArray[np.int64] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the parameters before those of the head, in the order of native training."""
        names = [] if self.embedding is None else [self.embedding]
        names += [each for layer in self.layers for each in layer.weights if isinstance(each, str)]
        return list(dict.fromkeys(names))

    def read(self, weights: Weights) -> list[NDArray[Any]]:
        """Return the parameters in the order of native training."""
        found = [weights[name] for name in self.names]
        head = [weights[name] for name in self._head]
        if self.predicted is None:
            return found + head
        return (
            found + [np.delete(each, self.predicted, axis=0) for each in head] + [each[self.predicted] for each in head]
        )

    def write(self, flat: NDArray[Any], weights: Weights) -> None:
        """Copy parameters in the order of native training into the weights of a model."""
        for name in self.names:
            flat = _fill(weights[name], flat)
        head = [weights[name] for name in self._head]
        if self.predicted is None:
            for each in head:
                flat = _fill(each, flat)
            return
        unread = np.setdiff1d(np.arange(len(head[0])), self.predicted)
        for rows in (unread, self.predicted):
            for each in head:
                part = each[rows]
                flat = _fill(part, flat)
                each[rows] = part

    @property
    def _head(self) -> tuple[str, str]:
        return f"{self.head}.weight", f"{self.head}.bias"

    def pack(self, weights: Weights) -> "PackedCells":
        """Return the `CompiledModel` of src/compiled_cells.h."""
        offsets, end = {}, 0
        for name in self.names:
            offsets[name] = end
            end += weights[name].size
        unread = 0
        if self.predicted is not None:
            unread = sum(weights[name].size // len(weights[name]) for name in self._head)
            unread *= len(weights[self._head[0]]) - len(self.predicted)
        held: list[NDArray[Any]] = []

        def address(numbers: list[int]) -> int:
            held.append(np.array(numbers, np.int64))
            return held[-1].ctypes.data

        rows = []
        for each in self.layers:
            constants = [0 if isinstance(weight, str) else weight.ctypes.data for weight in each.weights]
            places = [offsets[weight] if isinstance(weight, str) else -1 for weight in each.weights]
            rows += [
                *(each.forward, each.backward, each.saved_bytes, each.forward_scratch, each.backward_scratch),
                *(each.features, each.output, len(each.widths), address(list(each.widths))),
                *(len(each.weights), address(places), address(constants)),
            ]
        layers = address(rows)
        fields = (len(self.layers), self.embedding is not None, end + unread, unread, layers)
        return PackedCells(struct.pack("5q", *fields), held, self)


@dataclass(frozen=True, eq=False)
class PackedCells:
    """Bytes of a `CompiledModel` of src/compiled_cells.h, and what they have addresses of."""

    content: bytes
    arrays: list[NDArray[Any]]
    cells: CompiledCells


def _fill(weight: NDArray[Any], flat: NDArray[Any]) -> NDArray[Any]:
    """Copy the first numbers into a weight, and return the other ones."""
    weight[...] = flat[: weight.size].reshape(weight.shape)
    return flat[weight.size :]
