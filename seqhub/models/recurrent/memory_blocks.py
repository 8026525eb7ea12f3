"""Memory cell blocks as Hochreiter & Schmidhuber (1997) have them: no forget gate, and a truncated gradient.

Travels with the weights: nothing of seqhub may be imported here. Shapes: B sequences, T steps, F features of the input,
H cells, G gates, U = H + G units.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_recurrent import RecurrentConfig


class MemoryBlocks(nn.Module):
    """One layer in one direction, called as `nn.LSTM` with `batch_first` is.

    A block has one input gate, one output gate and one or more cells. With y the activations of the step before, of
    cells and gates alike (Hochreiter & Schmidhuber 1997, appendix A.1):

        in, out = logistic(W x + V y + b)              one of each for a block
        s = s + in g(W x + V y + b)                    the constant error carousel
        output = out h(s)

    g is 4 logistic - 2 and h is 2 logistic - 1, unless the config says otherwise. The paper delays the input by a step,
    too; here a unit reads that of its own step.

    The truncated gradient takes y for given: an error that reaches a cell goes back in time along s and in no other
    way. It still reaches what is below within the step, such as an embedding or another layer.

    Args:
        config: Which units there are, and what they squash by.
        width: F.

    Attributes:
        weight_ih_l0: W, (U, F): cells, then input gates, then output gates.
        weight_hh_l0: V, (U, U), rows and columns in that order; None with `connectivity="below"`.
        bias_l0: b, (U,), or of the gates alone (G,); None if no unit has one.
    """

    def __init__(self, config: RecurrentConfig, width: int) -> None:
        super().__init__()
        self.hidden_size, self.block_size, self.num_blocks = config.hidden_size, config.block_size, config.num_blocks
        self.num_gates = config.num_gates
        self.truncated = config.gradient == "truncated"
        self.squash_input, self.squash_output = config.squash_input, config.squash_output
        units = self.hidden_size + self.num_gates
        biased = {"none": 0, "gates": self.num_gates}.get(config.biased_units, units)
        self.weight_ih_l0 = nn.Parameter(torch.empty(units, width))
        self.weight_hh_l0 = nn.Parameter(torch.empty(units, units)) if config.connectivity == "full" else None
        self.bias_l0 = nn.Parameter(torch.empty(biased)) if biased else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights uniformly in +-1/sqrt(H), as PyTorch's recurrences do."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, inputs: Tensor, start: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over all steps.

        Args:
            inputs: (B, T, F).
            start: Outputs of the cells before the first step, (1, B, H), and their states with the activations of the
                gates, (1, B, U); None for zero.

        Returns:
            Outputs of the cells, (B, T, H), and where they ended, in the form of `start`.
        """
        outputs, memory = self.unroll(inputs, start)
        return outputs, (outputs[:, -1:].transpose(0, 1), memory[:, -1:].transpose(0, 1))

    def unroll(self, inputs: Tensor, start: Any = None, weight_ih: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Outputs of the cells, (B, T, H), and their states with the activations of the gates, (B, T, U).

        Args:
            inputs: As in `forward`.
            start: As in `forward`.
            weight_ih: (U, F'), in place of W, with inputs (B, T, F').
        """
        bias: Tensor | None = self.bias_l0
        if bias is not None and len(bias) == self.num_gates:
            bias = F.pad(bias, (self.hidden_size, 0))
        net = F.linear(inputs, self.weight_ih_l0 if weight_ih is None else weight_ih, bias)
        if start is None:
            states, units = net.new_zeros(len(net), self.hidden_size), net.new_zeros(len(net), net.size(-1))
        else:
            states, gates = start[1][0].split((self.hidden_size, self.num_gates), dim=-1)
            units = torch.cat((start[0][0], gates), dim=-1)
        if self.weight_hh_l0 is None:
            return self._carousel(net, states)
        if self.truncated:
            with torch.no_grad():
                before, _, _ = self._steps(net, states, units)
            return self._carousel(net + F.linear(before, self.weight_hh_l0), states)
        _, outputs, memory = self._steps(net, states, units)
        return outputs, memory

    def _steps(self, net: Tensor, states: Tensor, units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step by step: what the units read of the step before, (B, T, U), and what `unroll` returns."""
        read, outputs, memory = [], [], []
        for part in net.unbind(1):
            read.append(units)
            output, both = self._carousel((part + F.linear(units, self.weight_hh_l0)).unsqueeze(1), states)  # type: ignore[arg-type]
            outputs.append(output)
            memory.append(both)
            states, gates = both[:, 0].split((self.hidden_size, self.num_gates), dim=-1)
            units = torch.cat((output[:, 0], gates), dim=-1)
        return torch.stack(read, dim=1), torch.cat(outputs, dim=1), torch.cat(memory, dim=1)

    def _carousel(self, net: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """What `unroll` returns, of the net inputs of all steps, (B, T, U), and the states before them, (B, H)."""
        cells, gates = net.split((self.hidden_size, self.num_gates), dim=-1)
        gates = gates.sigmoid()
        squashed = cells.sigmoid() if self.squash_input == "g1" else 4 * cells.sigmoid() - 2
        written = self._of_cells(gates[..., : self.num_blocks]) * squashed
        states = states.unsqueeze(1) + written.cumsum(1)
        outputs = states if self.squash_output == "id" else 2 * states.sigmoid() - 1
        if self.num_gates > self.num_blocks:
            outputs = self._of_cells(gates[..., self.num_blocks :]) * outputs
        return outputs, torch.cat((states, gates), dim=-1)

    def _of_cells(self, gates: Tensor) -> Tensor:
        """The gate of each cell, (..., H), of those of the blocks."""
        return gates if self.block_size == 1 else gates.repeat_interleave(self.block_size, dim=-1)
