"""Layers of the package torchrecurrent, whose cells run with kernels.

The layers call their cells step by step. Here each of their layers runs over all steps before the next one, which is
the same except for the random numbers of dropout: they are drawn for all steps at once.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from seqhub.cells import dispatch
from seqhub.cells.snapshot import is_modified
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
    kind: Any = type(module)
    name = _forward_of(kind)
    if name is None:
        return None
    values = module.__dict__
    found: list[tuple[nn.Module, StateForm]] = []
    for cell in values["_modules"]["cells"]:
        if name == _DELAYED:
            found.append((DelayedCell(cell), _form(name, values["hidden_size"], values["delay"])))
        else:
            second = cell.input_size if name in _PREVIOUS_INPUT else values["hidden_size"]
            found.append((cell, _form(name, values["hidden_size"], second)))
    return found


@cache
def _forward_of(kind: Any) -> str | None:
    """Return the key in `_FORWARDS` of a class of layers; None for other classes."""
    name: str = kind.forward.__qualname__
    return name if kind.__module__.partition(".")[0] == PACKAGE and name in _FORWARDS else None


@cache
def _form(name: str, hidden: int, second: int) -> StateForm:
    if name == _DELAYED:
        return StateForm((hidden,) * (1 + second), True, False)
    is_pair, has_output = _FORWARDS[name]
    return StateForm((hidden, second)[: 1 + is_pair], is_pair, has_output)


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
    kind: Any = type(module)
    name, layer = _forward_of(kind), module.__dict__
    if cells is None or name is None or is_modified(module) or not layer["batch_first"]:
        return None
    if inputs.dim() != 3 or not inputs.size(0) or not inputs.size(1):
        return None
    is_pair = _FORWARDS[name][0]
    owners = list(layer["_modules"]["cells"])
    last = []
    for number, (cell, form) in enumerate(cells):
        states = None
        if state is not None:
            states = [part[number] for part in state] if is_pair else [state[number]]
            # states before the first step are zero, as in the layer
            states += [torch.zeros_like(states[0])] * (len(form.widths) - len(states))
        found = dispatch.run(cell, form, inputs, states, lengths, owner=owners[number])
        if found is None and number == 0:
            return None
        inputs, ends = run_loop(cell, form, inputs, states, lengths) if found is None else found
        last.append(ends)
        if number < len(cells) - 1:
            dropout: nn.Module | None = getattr(module, "dropout_layer", None)
            inputs = inputs if dropout is None else dropout(inputs)
    first = _stacked([ends[0] for ends in last])
    if not is_pair:
        return inputs, first
    second = [ends[1] for ends in last]
    return inputs, (first, tuple(second) if name in _PREVIOUS_INPUT else _stacked(second))


def _stacked(states: list[Tensor]) -> Tensor:
    return torch.stack(states) if len(states) > 1 else states[0].unsqueeze(0)
