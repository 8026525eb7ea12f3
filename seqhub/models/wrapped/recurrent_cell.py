"""Layer that runs a recurrent cell over time. This file is saved with the weights, so it does not import seqhub.

A cell computes one step: `cell(x_t, state)` with x_t (B, F) and a state that is a tensor (B, W), as in
`torch.nn.RNNCell`, or a tuple of such tensors, as in `torch.nn.LSTMCell`. It returns the new state, whose first tensor
is the output, or a pair of output and new state.

Shapes: B sequences of T steps, F features, W units of a state.
"""

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .tracing import is_recording

State = Tensor | tuple[Tensor, ...]

_NOISE = 0.1


@dataclass(frozen=True)
class StateForm:
    """Form of the state of a cell.

    Args:
        widths: Width of each tensor.
        is_tuple: Whether the state is a tuple.
        has_output: Whether the cell returns a pair of output and new state.
        accepts_none: Whether the cell can be called without a state.
        starts_at_zero: Whether the first step without a state equals that from zeros.
    """

    widths: tuple[int, ...]
    is_tuple: bool
    has_output: bool
    accepts_none: bool = False
    starts_at_zero: bool = True

    def pack(self, states: list[Tensor]) -> State:
        """Return the state that the cell takes."""
        return tuple(states) if self.is_tuple else states[0]

    def unpack(self, result: Any) -> tuple[Tensor, list[Tensor]]:
        """Return the output and the tensors of the new state from the result of a cell.

        Raises:
            ValueError: The result has another form.
        """
        state = result[1] if self.has_output and isinstance(result, (tuple, list)) and len(result) == 2 else result
        states = list(state) if self.is_tuple and isinstance(state, (tuple, list)) else [state]
        if len(states) != len(self.widths) or not all(isinstance(each, Tensor) for each in states):
            raise ValueError(f"the cell returned {_describe(result)}; expected a state of widths {self.widths}")
        return (result[0] if self.has_output else states[0]), states


class CellLayer(nn.Module):
    """A cell that runs over time, with the interface of `torch.nn.LSTM(batch_first=True)`.

    The layer has the parameters, buffers and submodules of the cell, also under the same names. Without the compiler of
    seqhub (`seqhub.cells`), and if it does not support the cell, each step is a call of the cell.

    Args:
        cell: The cell.

    Raises:
        ValueError: The cell is not a module.
    """

    cell: nn.Module
    _forms: dict[int, StateForm]

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        if not isinstance(cell, nn.Module):
            raise ValueError(f"cell of type {type(cell).__name__}: must be a torch.nn.Module")
        own = self.__dict__  # not registered as a submodule, which would prefix all names
        own["cell"] = cell
        own["_forms"] = {}
        for name in ("_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"):
            own[name] = cell.__dict__[name]
        self.training = cell.training

    def train(self, mode: bool = True) -> "CellLayer":
        """Set the training mode of the layer and its cell."""
        self.cell.train(mode)
        self.training = mode
        return self

    def extra_repr(self) -> str:
        """Return the class of the cell."""
        return type(self.cell).__name__

    def forward(
        self, inputs: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run the cell over all steps.

        Args:
            inputs: (B, T, F).
            state: Initial state: one tensor (1, B, W) or a tuple of them, as the cell has; by default the initial state
                of the cell, which is usually zero.
            lengths: (B,), number of real steps of each row, from its first step on; by default T. The state does not
                change at other steps, and their outputs are zero.

        Returns:
            Outputs (B, T, W) and the last state, in the form of `state`.

        Raises:
            ValueError: A shape, type or length is not allowed, or the cell does not have the interface of a cell.
        """
        if inputs.dim() != 3 or not inputs.is_floating_point() or not inputs.size(0) or not inputs.size(1):
            raise ValueError(
                f"inputs {tuple(inputs.shape)} {inputs.dtype}: must be (batch, steps, features), floating point, with "
                "at least one row and step"
            )
        form = self.form(inputs)
        states = None if state is None else self._states(form, state, inputs)
        if lengths is not None and not (is_recording() or torch.compiler.is_compiling()):
            lengths = _checked_lengths(lengths, inputs)
        native: Any = sys.modules.get("seqhub.cells.dispatch")
        found = None if native is None else native.run(self.cell, form, inputs, states, lengths)
        outputs, last = self.loop(form, inputs, states, lengths) if found is None else found
        return outputs, form.pack([each.unsqueeze(0) for each in last])

    def plain(self, inputs: Tensor) -> tuple[Tensor, State]:
        """Return what `forward` returns for inputs alone, by calls of the cell."""
        form = self.form(inputs)
        outputs, last = self.loop(form, inputs, None, None)
        return outputs, form.pack([each.unsqueeze(0) for each in last])

    def loop(
        self, form: StateForm, inputs: Tensor, states: list[Tensor] | None, lengths: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs (B, T, W) and last states (B, W) of a loop over calls of the cell."""
        return run_loop(self.cell, form, inputs, states, lengths)

    def form(self, inputs: Tensor) -> StateForm:
        """Return the form of the state for inputs of this width."""
        key = inputs.size(-1)
        if key not in self._forms:
            self._forms[key] = find_form(self.cell, inputs)
        return self._forms[key]

    def _states(self, form: StateForm, state: State, inputs: Tensor) -> list[Tensor]:
        given = list(state) if isinstance(state, (tuple, list)) else [state]
        shapes = [(1, inputs.size(0), width) for width in form.widths]
        if isinstance(state, Tensor) == form.is_tuple or [tuple(each.shape) for each in given] != shapes:
            allowed = " and ".join(map(str, shapes))
            raise ValueError(f"state {_describe(state)}: must be {'a tuple of ' if form.is_tuple else ''}{allowed}")
        return [each.squeeze(0) for each in given]


class CellStack(nn.Module):
    """Several layers of a cell, in one or both directions, with dropout between layers.

    Args:
        make: Returns a new cell for a width of its inputs.
        input_size: Width of the inputs of the first layer.
        num_layers: Number of layers.
        bidirectional: Whether each layer also reads from the last real step to the first. The outputs of both
            directions are side by side.
        dropout: Probability of dropout of the outputs of each layer but the last, in training.
    """

    def __init__(
        self,
        make: Callable[[int], nn.Module],
        input_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.directions = 2 if bidirectional else 1
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            layers = [CellLayer(make(input_size)) for _ in range(self.directions)]
            self.layers.extend(layers)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                like = next(layers[0].parameters(), torch.zeros(()))
                x = torch.zeros(1, 1, input_size, dtype=like.dtype, device=like.device)
                input_size = sum(each.plain(x)[0].size(-1) for each in layers)

    def forward(
        self, inputs: Tensor, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Run all layers over all steps.

        Args:
            inputs: (B, T, F).
            state: State of each layer, as `CellLayer` takes it; by default the initial state of the cells.
            lengths: (B,), number of real steps of each row; by default T.

        Returns:
            Outputs of the last layer (B, T, D * W), and the last state of each layer; with both directions, of each
            layer and direction.

        Raises:
            ValueError: A state is given, and the layers read in both directions; or see `CellLayer`.
        """
        return self._run(inputs, state, lengths, CellLayer.__call__)

    def plain(self, inputs: Tensor) -> tuple[Tensor, tuple[State, ...]]:
        """Return what `forward` returns for inputs alone, by calls of the cell."""
        return self._run(inputs, None, None, lambda layer, inputs, state, lengths: layer.plain(inputs))

    def pool(self, outputs: Tensor, last: Tensor) -> Tensor:
        """Return the last outputs of each direction in its order: those of the second are at the first step.

        Args:
            outputs: (B, T, D * W).
            last: (B, D * W), outputs at the last real step.
        """
        if self.directions == 1:
            return last
        half = outputs.size(-1) // 2
        return torch.cat([last[:, :half], outputs[:, 0, half:]], dim=1)

    def _run(
        self, inputs: Tensor, state: tuple[State, ...] | None, lengths: Tensor | None, call: Any
    ) -> tuple[Tensor, tuple[State, ...]]:
        if state is not None and self.directions == 2:
            raise ValueError("layers in both directions cannot be continued from a state")
        given: Any = (None,) * len(self.layers) if state is None else state
        after: list[State] = []
        for first in range(0, len(self.layers), self.directions):
            outputs = []
            for number in range(first, first + self.directions):
                is_reversed = number > first
                found, end = call(
                    self.layers[number], _reversed(inputs, lengths) if is_reversed else inputs, given[number], lengths
                )
                outputs.append(_reversed(found, lengths) if is_reversed else found)
                after.append(end)
            inputs = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
            if first + self.directions < len(self.layers):
                inputs = self.dropout(inputs)
        return inputs, tuple(after)


def _reversed(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Return values (B, T, ...) with the real steps of each row in reverse order."""
    if lengths is None:
        return values.flip(1)
    steps = torch.arange(values.size(1), device=values.device)
    order = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return values.gather(1, order.unsqueeze(-1).expand_as(values))


def run_loop(
    cell: nn.Module, form: StateForm, inputs: Tensor, states: list[Tensor] | None, lengths: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Call a cell for each step; see `CellLayer.loop`."""
    if states is None and not form.accepts_none:
        states = [inputs.new_zeros(inputs.size(0), width) for width in form.widths]
    outputs = []
    for step in range(inputs.size(1)):
        x = inputs[:, step]
        output, after = form.unpack(cell(x) if states is None else cell(x, form.pack(states)))
        if lengths is not None:
            present = (step < lengths).unsqueeze(1)
            before = [torch.zeros_like(each) for each in after] if states is None else states
            after = [torch.where(present, new, old) for new, old in zip(after, before, strict=True)]
            output = torch.where(present, output, torch.zeros_like(output))
        outputs.append(output)
        states = after
    assert states is not None
    return torch.stack(outputs, dim=1), states


@torch.no_grad()
def find_form(cell: nn.Module, inputs: Tensor) -> StateForm:
    """Return the form of the state of a cell, found by calling a copy of it.

    Args:
        cell: The cell.
        inputs: (B, T, F), of which only width and type are used.

    Raises:
        ValueError: No form fits.
    """
    rows = 2
    x = torch.arange(rows * inputs.size(-1), device=inputs.device).cos().to(inputs.dtype).reshape(rows, -1)
    copied = copy.deepcopy(cell)
    for tensor in (*copied.parameters(), *copied.buffers()):  # an initial state that is learnt is zero at first
        if tensor.is_floating_point():
            noise = torch.arange(1, tensor.numel() + 1).cos().reshape(tensor.shape)
            tensor.add_(noise.to(tensor) * _NOISE)
    with torch.random.fork_rng(devices=[]):
        try:
            first = copied(x)
        except Exception as error:  # of any kind: the code is not ours
            return _form_of_required_state(copied, x, error)
        for form in _forms_of(first):
            try:
                again = form.unpack(copied(x, form.pack(form.unpack(first)[1])))
            except Exception:  # as above
                continue
            if [tuple(each.shape) for each in again[1]] == [(rows, width) for width in form.widths]:
                start = copied(x, form.pack([x.new_zeros(rows, width) for width in form.widths]))
                pairs = list(zip(_tensors(start), _tensors(first), strict=True))
                same = x.is_meta or all(one.dtype == two.dtype and torch.equal(one, two) for one, two in pairs)
                return StateForm(form.widths, form.is_tuple, form.has_output, True, same)
    raise ValueError(
        f"{type(cell).__name__} returned {_describe(first)} for inputs (batch, {x.size(1)}), and does not accept it as "
        "the next state; expected a cell as torch.nn.RNNCell or LSTMCell, with the same state in and out"
    )


def _forms_of(result: Any) -> list[StateForm]:
    """Return the forms that a result may have, the likelier one first."""
    if _is_matrix(result):
        return [StateForm((result.size(1),), False, False)]
    forms = []
    if isinstance(result, (tuple, list)) and result:
        if all(map(_is_matrix, result)):
            forms.append(StateForm(tuple(each.size(1) for each in result), True, False))
        if len(result) == 2 and _is_matrix(result[0]):
            state = result[1]
            if _is_matrix(state):
                forms.append(StateForm((state.size(1),), False, True))
            elif isinstance(state, (tuple, list)) and state and all(map(_is_matrix, state)):
                forms.append(StateForm(tuple(each.size(1) for each in state), True, True))
    return forms


def _form_of_required_state(cell: nn.Module, x: Tensor, error: Exception) -> StateForm:
    """Return the form of a cell that needs a state, from its attribute `state_size` or `hidden_size`."""
    sizes: Any = getattr(cell, "state_size", None)
    hidden = getattr(cell, "hidden_size", None)
    candidates = [sizes] if sizes is not None else [] if hidden is None else [hidden, (hidden, hidden)]
    for size in candidates:
        widths = tuple(size) if isinstance(size, (tuple, list)) else (size,)
        states = [x.new_zeros(len(x), width) for width in widths]
        try:
            result = cell(x, tuple(states) if isinstance(size, (tuple, list)) else states[0])
        except Exception:  # of any kind: the code is not ours
            continue
        for form in _forms_of(result):
            if (form.widths, form.is_tuple) == (widths, isinstance(size, (tuple, list))):
                return form
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    weight = next((each for each in cell.parameters() if each.is_floating_point()), x)
    if (weight.dtype, weight.device) != (x.dtype, x.device):
        raise ValueError(
            f"inputs of {x.dtype} on {x.device}: the parameters of {type(cell).__name__} are {weight.dtype} on "
            f"{weight.device}"
        )
    raise ValueError(
        f"{type(cell).__name__} cannot be called with inputs (batch, {x.size(1)}), without a state or with one of its "
        f"state_size or hidden_size: {reason}"
    )


def _is_matrix(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 2


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [each for part in value for each in _tensors(part)]


def _checked_lengths(lengths: Tensor, inputs: Tensor) -> Tensor:
    steps = inputs.size(1)
    if lengths.shape != inputs.shape[:1] or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths {_describe(lengths)}: must be ({inputs.size(0)},), whole numbers")
    low, high = (int(each) for each in lengths.aminmax())
    if low < 0 or high > steps:
        raise ValueError(f"lengths from {low} to {high}: must be from 0 to {steps}, the number of steps")
    return lengths


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_describe, value))})"
    return f"a {type(value).__name__}"
