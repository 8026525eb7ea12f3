"""Weights and config of a recurrent model, without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.native.compiled_cells import CompiledCells

if TYPE_CHECKING:
    from torch import nn

HEADS = {"sequence": "classifier", "token": "classifier", "causal": "lm_head"}
"""Name of the readout for each head."""


@dataclass(frozen=True, eq=False)
class NativeModel:
    """Recurrent model with a head, for native training.

    Args:
        config: Config of one of the families `recurrent` and `hs97`, of transformers or a `PlainConfig`; or of the
            family `wrapped`, with `cells`.
        head: A key of `HEADS`.
        weights: Weights by name, in the order of the parameters of the model: those of each layer and direction, and
            of the head. They are changed in place by `NativeTrainer.write_to`.
        module: Model of torch with the same weights at first; None if there is none.
        cells: Structure of a model of compiled cells; None for other models.
    """

    config: Any
    head: str
    weights: dict[str, NDArray[Any]]
    module: "nn.Module | None" = None
    cells: CompiledCells | None = None

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(each.size for each in self.weights.values())

    @property
    def num_outputs(self) -> int:
        """Number of outputs of the head in native training."""
        if self.cells is not None and self.cells.predicted is not None:
            return len(self.cells.predicted)
        return len(self.weights[f"{HEADS[self.head]}.weight"])

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of the model, as `models.sizing.measure_sizes` does."""
        config = self.config
        in_head = sum(each.size for name, each in self.weights.items() if name.startswith(HEADS[self.head]))
        found: dict[str, Any] = {"parameters": self.num_parameters, "embedding": 0, "head": in_head}
        if not config.bidirectional:  # otherwise it carries no state
            state = config.num_hidden_layers * (config.hidden_size + config.memory_size)
            found["state"] = [state, state]
        return found


def one_hot_columns(vocab_size: int, pad: int | None) -> NDArray[np.int32]:
    """Return the column of the one-hot vector of each id, -1 for padding: (vocab_size,)."""
    ids = np.arange(vocab_size, dtype=np.int32)
    return ids if pad is None else np.where(ids == pad, -1, (ids - pad - 1) % vocab_size).astype(np.int32)
