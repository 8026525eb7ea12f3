"""Recurrent models: nn.RNN, nn.GRU or nn.LSTM on symbols or values, with heads for sequences, steps and next symbols.

This file and the others of this folder are saved with the weights, so they import only torch, transformers,
huggingface_hub and each other. Shapes as in `modeling_base`.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from .configuration_recurrent import RecurrentConfig
from .modeling_base import (
    BaseForCausalLM,
    BaseForSequenceClassification,
    BaseForTokenClassification,
    BaseLayer,
    BaseModel,
    BasePreTrainedModel,
    RecurrentClassifierOutput,
    RecurrentModelOutput,
    RecurrentState,
    identity_weights,
    input_sums,
    is_transformed,
    is_unchanged,
)
from .scan import accumulate, run_by_scan
from .tracing import is_exporting

__all__ = [
    "RecurrentClassifierOutput",
    "RecurrentConfig",
    "RecurrentForCausalLM",
    "RecurrentForSequenceClassification",
    "RecurrentForTokenClassification",
    "RecurrentModel",
    "RecurrentModelOutput",
    "RecurrentPreTrainedModel",
    "RecurrentState",
]

_WEIGHTS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


def run_on_columns(module: nn.RNNBase, columns: Tensor, start: Any) -> tuple[Tensor, Any]:
    """Run a recurrence on one-hot vectors, given by their columns.

    Args:
        module: Recurrence for which `RecurrentLayer.is_replaceable` is true.
        columns: (B, T, 1), as `one_hot_columns` returns them.
        start: As in `BaseLayer.forward`.
    """
    sums = input_sums(module, columns)
    flat = [identity_weights(sums), *(getattr(module, name) for name in _WEIGHTS[1:])]
    zero = sums.new_zeros(1, sums.size(0), module.hidden_size)
    options = True, 1, 0.0, module.training, False, True
    if module.mode == "LSTM":
        states, *last = torch.lstm(sums, (zero, zero) if start is None else start, flat, *options)
        return states, tuple(last)
    function = {"GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}[module.mode]
    result: tuple[Tensor, Tensor] = function(sums, zero if start is None else start, flat, *options)
    return result


def run_by_steps(module: nn.RNNBase, inputs: Tensor, start: Any) -> tuple[Tensor, Any]:
    """Run a recurrence step by step, for transforms of `torch.func` that PyTorch's recurrences do not support.

    Args:
        module: Recurrence for which `RecurrentLayer.is_replaceable` is true.
        inputs: As in `BaseLayer.forward`.
        start: As in `BaseLayer.forward`.
    """
    bias: Tensor = module.bias_ih_l0  # type: ignore[assignment]
    sums = input_sums(module, inputs) + bias
    with_cells = module.mode == "LSTM"
    h = c = sums.new_zeros(sums.size(0), module.hidden_size)
    if start is not None:
        h, c = (start[0][0], start[1][0]) if with_cells else (start[0], c)
    states = []
    for below in sums.unbind(1):
        before = F.linear(h, module.weight_hh_l0, module.bias_hh_l0)  # type: ignore[arg-type]
        if with_cells:
            i, f, g, o = (below + before).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        elif module.mode == "GRU":
            (r, z, n), (r_h, z_h, n_h) = below.chunk(3, dim=-1), before.chunk(3, dim=-1)
            n = (n + (r + r_h).sigmoid() * n_h).tanh()
            h = n + (z + z_h).sigmoid() * (h - n)
        else:
            h = (below + before).relu() if module.mode == "RNN_RELU" else (below + before).tanh()
        states.append(h)
    last = h.unsqueeze(0)
    return torch.stack(states, dim=1), (last, c.unsqueeze(0)) if with_cells else last


class RecurrentLayer(BaseLayer):
    """PyTorch's recurrence in one or two directions."""

    @staticmethod
    def make_recurrence(config: RecurrentConfig, width: int) -> nn.RNNBase:
        """Return the recurrence of one direction."""
        if config.cell == "lstm":
            return nn.LSTM(width, config.hidden_size, batch_first=True)
        if config.cell == "gru":
            return nn.GRU(width, config.hidden_size, batch_first=True)
        return nn.RNN(width, config.hidden_size, batch_first=True, nonlinearity=config.cell.removeprefix("rnn_"))

    @staticmethod
    def is_replaceable(recurrence: nn.Module) -> bool:
        """Return whether computing a recurrence from its weights is equivalent to calling it."""
        return (
            type(recurrence) in (nn.RNN, nn.GRU, nn.LSTM)
            and recurrence._flat_weights_names == _WEIGHTS
            and is_unchanged(recurrence)
        )

    @staticmethod
    def run_recurrence(recurrence: Any, inputs: Tensor, start: Any) -> tuple[Tensor, Any]:
        """Run a recurrence of one direction; inputs as in `forward`."""
        result: tuple[Tensor, Any]
        if is_transformed() and RecurrentLayer.is_replaceable(recurrence):
            result = run_by_steps(recurrence, inputs, start)
        elif is_exporting() and RecurrentLayer.is_replaceable(recurrence):
            result = run_by_scan(recurrence, inputs, start, input_sums(recurrence, inputs))
        elif inputs.is_floating_point():
            result = recurrence(inputs, start)
        else:
            result = run_on_columns(recurrence, inputs, start)
        return result

    @staticmethod
    def cell_states(recurrence: Any, inputs: Tensor, states: Tensor, start: Any = None) -> Tensor:
        """Recover the cell states of all steps, (B, T, H), of an LSTM, which returns only the last one.

        Given all hidden states, the gates of all steps are one matrix product, and the remaining recurrence
        c_t = f_t c_(t-1) + i_t g_t is elementwise. A module that must be called runs step by step.

        Args:
            recurrence: One layer, one direction.
            inputs: (B, T, F), its inputs.
            states: (B, T, H), its outputs.
            start: Initial hidden and cell state, each (1, B, H); None for zero.
        """
        if not RecurrentLayer.is_replaceable(recurrence):
            ends = []
            for step in inputs.split(1, dim=1):
                _, start = recurrence(step, start)
                ends.append(start[1])
            return torch.cat(ends).transpose(0, 1)
        first = torch.zeros_like(states[:, :1]) if start is None else start[0].transpose(0, 1)
        previous = torch.cat((first, states), dim=1)[:, :-1]  # h_(t-1)
        _, weight_hh, bias_ih, bias_hh = (getattr(recurrence, name) for name in _WEIGHTS)
        gates = input_sums(recurrence, inputs) + bias_ih + F.linear(previous, weight_hh, bias_hh)
        i, f, g, _ = gates.chunk(4, dim=-1)
        keep, new = f.sigmoid(), i.sigmoid() * g.tanh()
        return accumulate(keep, new, None if start is None else start[1][0])


class RecurrentPreTrainedModel(BasePreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = RecurrentConfig
    config: RecurrentConfig
    layer_class = RecurrentLayer
    _no_split_modules = ["RecurrentLayer"]  # noqa: RUF012 (typed by its base)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module by `config.initialization`, except for weights loaded from a file."""
        if isinstance(module, nn.RNNBase):
            self._init_recurrence(module)
        else:
            super()._init_weights(module)

    def _init_recurrence(self, module: nn.RNNBase) -> None:
        size = module.hidden_size
        is_configured = module.mode.lower() == self.config.cell  # a subclass may add other recurrences
        scheme = self.config.initialization if is_configured else "default"
        latch = self.config.latch if is_configured else 0
        bound = 1 / math.sqrt(size)
        for name, parameter in module.named_parameters():
            if getattr(parameter, "_is_hf_initialized", False):
                continue  # loaded from a file; slices do not have the attribute
            init.uniform_(parameter, -bound, bound)
            if scheme == "identity":
                if name.startswith("bias"):
                    init.zeros_(parameter)
                elif name.startswith("weight_hh"):
                    init.eye_(parameter)
                else:
                    init.normal_(parameter, std=0.001)
            elif scheme in ("forget_bias", "chrono") and name.startswith("bias"):
                # Gates in PyTorch's order: i f g o (LSTM), r z n (GRU); the second one keeps the state. Only the sum of
                # its two biases matters, so that one gets the value and the other one zero.
                keep = torch.zeros(size, device=parameter.device)
                if name.startswith("bias_ih") and scheme == "forget_bias":
                    keep += self.config.forget_bias
                elif name.startswith("bias_ih"):
                    keep.uniform_(1, self.config.chrono_max_steps - 1)  # type: ignore[operator]
                    # In double precision, since logarithms in single precision depend on the processor
                    double = keep.dtype if keep.device.type == "mps" else torch.float64
                    keep = keep.to(double).log().to(keep.dtype)
                init.copy_(parameter[size : 2 * size], keep)
                if scheme == "chrono" and isinstance(module, nn.LSTM):
                    init.copy_(parameter[:size], -keep)
                elif self.config.input_gate_bias is not None:
                    init.constant_(parameter[:size], self.config.input_gate_bias if name.startswith("bias_ih") else 0.0)
            if latch and name.startswith("weight_hh"):  # the candidate is the third block in both cells
                parameter[2 * size : 3 * size].diagonal().add_(latch)


class RecurrentModel(RecurrentPreTrainedModel, BaseModel):
    """The recurrence without a head."""

    _auto_class = "AutoModel"


class RecurrentForSequenceClassification(RecurrentPreTrainedModel, BaseForSequenceClassification):
    """The recurrence and a linear readout of the pooled states: classes, or regression by `config.problem_type`."""

    _auto_class = "AutoModelForSequenceClassification"
    body_class = RecurrentModel


class RecurrentForTokenClassification(RecurrentPreTrainedModel, BaseForTokenClassification):
    """The recurrence and a linear readout of every step."""

    _auto_class = "AutoModelForTokenClassification"
    body_class = RecurrentModel


class RecurrentForCausalLM(RecurrentPreTrainedModel, BaseForCausalLM):
    """The recurrence and a linear readout of every step that predicts the next id."""

    _auto_class = "AutoModelForCausalLM"
    body_class = RecurrentModel
