"""Layers of the package torchrecurrent, whose cells run with kernels.

The layers call their cells step by step. Here each of their layers runs over all steps before the next one, which is
the same except for the random numbers of dropout: they are drawn for all steps at once.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seqhub.cells import dispatch
from seqhub.models.wrapped.recurrent_cell import StateForm, run_loop

PACKAGE = "torchrecurrent"
_DELAYED = "tauGRU.forward"
_FORWARDS = {  # qualified name of `forward` -> whether a state is a pair, and whether the output is not part of it
    "SingleStateRecurrentLayerBase.forward": (False, False),
    "DoubleStateRecurrentLayerBase.forward": (True, False),
    "DecoupledSingleStateRecurrentLayerBase.forward": (False, True),
    "DecoupledDoubleStateRecurrentLayerBase.forward": (True, True),
    _DELAYED: (False, False),
    "TGRU.forward": (True, False),
    "TLSTM.forward": (True, True),
}
_PREVIOUS_INPUT = ("TGRU.forward", "TLSTM.forward")  # the second part of their states is the input of the last step


class DelayedCell(nn.Module):
    """Cell with the states of earlier steps in its state: (h, the state `delay` steps before, ..., one step before).

    Args:
        cell: Takes the input, the state, and the state `delay` steps before.
    """

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the new state."""
        h, delayed, *later = states
        return self.cell(x, h, delayed), *later, h


def cells_of(module: nn.Module) -> list[tuple[nn.Module, StateForm]] | None:
    """Return the cell of each layer and the form of its state; None if the module is not a layer of torchrecurrent."""
    name = type(module).forward.__qualname__
    if type(module).__module__.partition(".")[0] != PACKAGE or name not in _FORWARDS:
        return None
    layer: Any = module
    is_pair, has_output = _FORWARDS[name]
    found: list[tuple[nn.Module, StateForm]] = []
    for cell in layer.cells:
        if name == _DELAYED:
            found.append((DelayedCell(cell), StateForm((layer.hidden_size,) * (1 + layer.delay), True, False)))
        else:
            second = cell.input_size if name in _PREVIOUS_INPUT else layer.hidden_size
            found.append((cell, StateForm((layer.hidden_size, second)[: 1 + is_pair], is_pair, has_output)))
    return found


def run_layers(
    module: nn.Module, inputs: Tensor, state: Any, lengths: Tensor | None = None
) -> tuple[Tensor, Any] | None:
    """Run a layer of torchrecurrent with kernels.

    Args:
        module: The layer, with `batch_first`.
        inputs: (B, T, F).
        state: Initial state as the layer takes it, or None.
        lengths: (B,), number of real steps of each row; None if all are real.

    Returns:
        What the layer returns, (B, T, H) and the last state; None if the layer is to be called. With lengths, outputs
        at other steps are zero and the last state is that after the last real step.
    """
    cells = cells_of(module)
    layer: Any = module
    if cells is None or dispatch.is_modified(module) or not layer.batch_first or inputs.dim() != 3:
        return None
    if not inputs.size(0) or not inputs.size(1):
        return None
    name = type(module).forward.__qualname__
    is_pair = _FORWARDS[name][0]
    last = []
    for number, (cell, form) in enumerate(cells):
        states = None
        if state is not None:
            states = [part[number] for part in state] if is_pair else [state[number]]
            # states before the first step are zero, as in the layer
            states += [torch.zeros_like(states[0])] * (len(form.widths) - len(states))
        found = dispatch.run(cell, form, inputs, states, lengths, owner=layer.cells[number])
        if found is None and number == 0:
            return None
        inputs, ends = run_loop(cell, form, inputs, states, lengths) if found is None else found
        last.append(ends)
        if layer.dropout_layer is not None and number < layer.num_layers - 1:
            inputs = layer.dropout_layer(inputs)
    first = torch.stack([ends[0] for ends in last])
    if not is_pair:
        return inputs, first
    second = [ends[1] for ends in last]
    return inputs, (first, tuple(second) if name in _PREVIOUS_INPUT else torch.stack(second))
