"""Layers of the package ncps (CfC and LTC), whose cells run with kernels."""

from typing import Any

import torch
from torch import Tensor, nn

from seqhub.cells import dispatch
from seqhub.cells.snapshot import is_modified
from seqhub.models.wrapped.recurrent_cell import StateForm

PACKAGE = "ncps.torch"
_LAYERS = ("CfC", "LTC")


class TimedCell(nn.Module):
    """Cell of a layer with steps of length 1, after the LSTM of `mixed_memory`.

    Args:
        cell: Takes the input, the state and the length of the step; returns output and state.
        lstm: Takes the input and a pair of states; returns the pair. None without mixed memory.
    """

    def __init__(self, cell: nn.Module, lstm: nn.Module | None) -> None:
        super().__init__()
        self.cell, self.lstm = cell, lstm

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return output and new state."""
        if self.lstm is None:
            return self.cell(x, state, 1.0)  # type: ignore[no-any-return]
        h, c = self.lstm(x, state)
        output, h = self.cell(x, h, 1.0)
        return output, (h, c)


def cells_of(module: nn.Module) -> list[tuple[nn.Module, StateForm]] | None:
    """Return the cell of a layer and the form of its state; None if the module is not a layer of ncps."""
    kind = type(module)
    if kind.__name__ not in _LAYERS or not kind.__module__.startswith(f"{PACKAGE}."):
        return None
    layer: Any = module
    cell = TimedCell(layer.rnn_cell, layer.lstm if layer.use_mixed else None).train(module.training)
    widths = (layer.state_size,) * (1 + layer.use_mixed)
    return [(cell, StateForm(widths, layer.use_mixed, True))]


def run_layers(
    module: nn.Module, inputs: Tensor, state: Any, lengths: Tensor | None = None
) -> tuple[Tensor, Any] | None:
    """Run a layer of ncps with a kernel; see `seqhub.cells.torchrecurrent.run_layers`."""
    cells = cells_of(module)
    layer: Any = module
    if cells is None or is_modified(module) or not (layer.batch_first and layer.return_sequences):
        return None
    if inputs.dim() != 3 or not inputs.size(0) or not inputs.size(1):
        return None
    ((cell, form),) = cells
    states = None if state is None else list(state) if form.is_tuple else [state]
    found = dispatch.run(cell, form, inputs, states, lengths, owner=module)
    if found is None:
        return None
    outputs, last = found
    projection = getattr(module, "fc", None)
    if isinstance(projection, nn.Linear):
        outputs = projection(outputs)
        if lengths is not None:
            real = torch.arange(inputs.size(1)) < lengths[:, None]
            outputs = torch.where(real.unsqueeze(2), outputs, 0.0)
    return outputs, form.pack(last)
