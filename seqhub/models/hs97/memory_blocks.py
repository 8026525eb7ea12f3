"""Memory cell blocks of Hochreiter & Schmidhuber (1997), without a forget gate and with truncated gradients.

This file is saved with the weights, so it does not import seqhub. Shapes: B sequences, T steps, F features of the
input, H cells, G gates, U = H + G units.
"""

import math
import warnings
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_hs97 import Hs97Config
from .scan import scan
from .tracing import is_exporting, is_recording


class BlockShape(NamedTuple):
    """Sizes and activations of the memory cell blocks of a layer, in types that TorchScript accepts."""

    hidden_size: int
    num_gates: int
    num_blocks: int
    block_size: int
    squash_input: str
    squash_output: str


class MemoryBlocks(nn.Module):
    """One layer in one direction, with the interface of `nn.LSTM` with `batch_first`.

    A block has one input gate, one output gate and one or more cells. With y the activations of all cells and gates at
    the previous step (Hochreiter & Schmidhuber 1997, appendix A.1):

        in, out = logistic(W x + V y + b)              one of each per block
        s = s + in g(W x + V y + b)                    the constant error carousel
        output = out h(s)

    g is 4 logistic - 2 and h is 2 logistic - 1, unless configured otherwise. In the paper the input is also delayed by
    a step; here a unit reads the input of the same step.

    The truncated gradient treats y as a constant: errors are propagated back in time along s only. Within a step they
    are propagated to the layers below, such as an embedding.

    Args:
        config: Units and their activations.
        width: F.

    Attributes:
        weight_ih_l0: W, (U, F), with rows for cells, input gates and output gates in this order.
        weight_hh_l0: V, (U, U), rows and columns in the same order; None with `connectivity="below"`.
        bias_l0: b, (U,), or only for the gates, (G,); None without biases.
    """

    def __init__(self, config: Hs97Config, width: int) -> None:
        super().__init__()
        self.hidden_size, self.block_size, self.num_blocks = config.hidden_size, config.block_size, config.num_blocks
        self.num_gates = config.num_gates
        self.only_gates_biased = config.biased_units == "gates"
        self.truncated = config.gradient == "truncated"
        self.squash_input, self.squash_output = config.squash_input, config.squash_output
        units = self.hidden_size + self.num_gates
        biased = {"none": 0, "gates": self.num_gates}.get(config.biased_units, units)
        self.weight_ih_l0 = nn.Parameter(torch.empty(units, width))
        self.weight_hh_l0 = nn.Parameter(torch.empty(units, units)) if config.connectivity == "full" else None
        self.bias_l0 = nn.Parameter(torch.empty(biased)) if biased else None
        self.reset_parameters()

    @property
    def _shape(self) -> BlockShape:
        return BlockShape(
            self.hidden_size, self.num_gates, self.num_blocks, self.block_size, self.squash_input, self.squash_output
        )

    def reset_parameters(self) -> None:
        """Initialise all weights uniformly in +-1/sqrt(H), as PyTorch's recurrences do."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, inputs: Tensor, start: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over all steps.

        Args:
            inputs: (B, T, F).
            start: Initial outputs of the cells, (1, B, H), and initial states with the activations of the gates,
                (1, B, U); None for zero.

        Returns:
            Outputs of the cells, (B, T, H), and the last state, in the form of `start`.
        """
        outputs, memory = self.unroll(inputs, start)
        return outputs, (outputs[:, -1:].transpose(0, 1), memory[:, -1:].transpose(0, 1))

    def unroll(self, inputs: Tensor, start: Any = None, weight_ih: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the outputs of the cells, (B, T, H), and their states with the activations of the gates, (B, T, U).

        Args:
            inputs: As in `forward`.
            start: As in `forward`.
            weight_ih: (U, F'), used in place of W, with inputs (B, T, F').
        """
        bias: Tensor | None = self.bias_l0
        if bias is not None and self.only_gates_biased:
            bias = F.pad(bias, (self.hidden_size, 0))
        net = F.linear(inputs, self.weight_ih_l0 if weight_ih is None else weight_ih, bias)
        if start is None:
            states, units = net.new_zeros(net.size(0), self.hidden_size), net.new_zeros(net.size(0), net.size(-1))
        else:
            states, gates = start[1][0].split((self.hidden_size, self.num_gates), dim=-1)
            units = torch.cat((start[0][0], gates), dim=-1)
        if self.weight_hh_l0 is None:
            return carousel(net, states, self._shape)
        if is_recording():
            read = self._traceable(net, states, units, self.weight_hh_l0)
            return carousel(net + F.linear(read, self.weight_hh_l0), states, self._shape)
        if self.truncated:
            with torch.no_grad():
                before, _, _ = run_steps(net, states, units, self.weight_hh_l0, self._shape)
            return carousel(net + F.linear(before, self.weight_hh_l0), states, self._shape)
        _, outputs, memory = run_steps(net, states, units, self.weight_hh_l0, self._shape)
        return outputs, memory

    def _traceable(self, net: Tensor, states: Tensor, units: Tensor, weight: Tensor) -> Tensor:
        """Return the activations that the units read, (B, T, U), with operations for any number of steps."""
        shape = self._shape
        if self.truncated:  # in place of torch.no_grad(), which torch.export would record as a submodule
            net, states, units, weight = net.detach(), states.detach(), units.detach(), weight.detach()
        if not is_exporting():
            read: Tensor = _scripted()(net, states, units, weight, *shape)
            return read

        def step(states: Tensor, units: Tensor, below: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
            output, both = carousel((below + F.linear(units, weight)).unsqueeze(1), states, shape)
            states, gates = both[:, 0].split((shape.hidden_size, shape.num_gates), dim=-1)
            return states.clone(), torch.cat((output[:, 0], gates), dim=-1), units.clone()

        return scan(step, (states, units), (net,), (weight,))


@cache
def _scripted() -> Any:
    """Return `previous_activations` as a script with its loop, which torch.jit.trace would unroll."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        return torch.jit.script(previous_activations)


def previous_activations(
    net: Tensor,
    states: Tensor,
    units: Tensor,
    weight: Tensor,
    hidden_size: int,
    num_gates: int,
    num_blocks: int,
    block_size: int,
    squash_input: str,
    squash_output: str,
) -> Tensor:
    """Return the first result of `run_steps`, without a `BlockShape`, which TorchScript does not accept as argument."""
    shape = BlockShape(hidden_size, num_gates, num_blocks, block_size, squash_input, squash_output)
    return run_steps(net, states, units, weight, shape)[0]


def run_steps(
    net: Tensor, states: Tensor, units: Tensor, weight: Tensor, shape: BlockShape
) -> tuple[Tensor, Tensor, Tensor]:
    """Run step by step; return the activations that the units read, (B, T, U), and the results of `unroll`.

    Args:
        net: (B, T, U), net inputs from the layer below.
        states: (B, H), initial states of the cells.
        units: (B, U), initial activations.
        weight: (U, U).
        shape: Sizes and activations of the blocks.
    """
    read: list[Tensor] = []
    outputs: list[Tensor] = []
    memory: list[Tensor] = []
    for part in net.unbind(1):
        read.append(units)
        output, both = carousel((part + F.linear(units, weight)).unsqueeze(1), states, shape)
        outputs.append(output)
        memory.append(both)
        states, gates = both[:, 0].split((shape.hidden_size, shape.num_gates), dim=-1)
        units = torch.cat((output[:, 0], gates), dim=-1)
    return torch.stack(read, dim=1), torch.cat(outputs, dim=1), torch.cat(memory, dim=1)


def carousel(net: Tensor, states: Tensor, shape: BlockShape) -> tuple[Tensor, Tensor]:
    """Return the results of `unroll` from the net inputs of all steps, (B, T, U), and the initial states, (B, H)."""
    cells, gates = net.split((shape.hidden_size, shape.num_gates), dim=-1)
    gates = gates.sigmoid()
    squashed = cells.sigmoid() if shape.squash_input == "g1" else 4 * cells.sigmoid() - 2
    written = gates_of_cells(gates[..., : shape.num_blocks], shape.block_size) * squashed
    states = states.unsqueeze(1) + written.cumsum(1)
    outputs = states if shape.squash_output == "id" else 2 * states.sigmoid() - 1
    if shape.num_gates > shape.num_blocks:
        outputs = gates_of_cells(gates[..., shape.num_blocks :], shape.block_size) * outputs
    return outputs, torch.cat((states, gates), dim=-1)


def gates_of_cells(gates: Tensor, block_size: int) -> Tensor:
    """Return the gate of each cell, (..., H), from the gates of the blocks."""
    return gates if block_size == 1 else gates.repeat_interleave(block_size, dim=-1)
