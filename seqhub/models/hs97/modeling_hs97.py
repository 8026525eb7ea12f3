"""Original LSTM of Hochreiter & Schmidhuber (1997), with the heads of the recurrent models.

This file and the others of this folder are saved with the weights, so they import only torch, transformers,
huggingface_hub and each other. Shapes as in `modeling_base`.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .configuration_hs97 import Hs97Config
from .memory_blocks import MemoryBlocks
from .modeling_base import (
    BaseForCausalLM,
    BaseForSequenceClassification,
    BaseForTokenClassification,
    BaseLayer,
    BaseModel,
    BasePreTrainedModel,
    identity_weights,
    input_sums,
    is_unchanged,
)


class Hs97Layer(BaseLayer):
    """Memory cell blocks in one or two directions."""

    @staticmethod
    def make_recurrence(config: Hs97Config, width: int) -> MemoryBlocks:
        """Return the memory cell blocks of one direction."""
        return MemoryBlocks(config, width)

    @staticmethod
    def is_replaceable(recurrence: nn.Module) -> bool:
        """Return whether computing memory cell blocks from their weights is equivalent to calling them."""
        return type(recurrence) is MemoryBlocks and is_unchanged(recurrence)

    @staticmethod
    def run_recurrence(recurrence: Any, inputs: Tensor, start: Any) -> tuple[Tensor, Any]:
        """Run memory cell blocks of one direction; inputs as in `forward`."""
        if inputs.is_floating_point():
            result: tuple[Tensor, Any] = recurrence(inputs, start)
            return result
        outputs, memory = _unroll(recurrence, inputs, start)
        return outputs, (outputs[:, -1:].transpose(0, 1), memory[:, -1:].transpose(0, 1))

    @staticmethod
    def cell_states(recurrence: Any, inputs: Tensor, states: Tensor, start: Any = None) -> Tensor:
        """Return the cell states of all steps, concatenated with the activations of the gates, (B, T, U).

        Args:
            recurrence: One layer, one direction.
            inputs: (B, T, F), its inputs; or (B, T, 1), integers, columns of one-hot vectors.
            states: (B, T, H), its outputs.
            start: Initial outputs, and initial states with activations of the gates; None for zero.
        """
        if not Hs97Layer.is_replaceable(recurrence):
            ends = []
            for step in inputs.split(1, dim=1):
                _, start = recurrence(step, start)
                ends.append(start[1])
            return torch.cat(ends).transpose(0, 1)
        return _unroll(recurrence, inputs, start)[1]


def _unroll(blocks: MemoryBlocks, inputs: Tensor, start: Any) -> tuple[Tensor, Tensor]:
    if inputs.is_floating_point():
        return blocks.unroll(inputs, start)
    sums = input_sums(blocks, inputs)
    return blocks.unroll(sums, start, identity_weights(sums))


class Hs97PreTrainedModel(BasePreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = Hs97Config
    config: Hs97Config
    layer_class = Hs97Layer
    _no_split_modules = ["Hs97Layer"]  # noqa: RUF012 (typed by its base)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module by `config.initialization`, except for weights loaded from a file."""
        if isinstance(module, MemoryBlocks):
            self._init_blocks(module)
        elif isinstance(module, nn.Linear) and self.config.initialization == "hs97":
            self._init_linear(module, self.config.init_range)
        else:
            super()._init_weights(module)

    def _init_blocks(self, module: MemoryBlocks) -> None:
        config, blocks = self.config, module.num_blocks
        bound = config.init_range if config.initialization == "hs97" else 1 / math.sqrt(module.hidden_size)
        for name, parameter in module.named_parameters():
            if getattr(parameter, "_is_hf_initialized", False):
                continue  # loaded from a file
            init.uniform_(parameter, -bound, bound)
            if name == "bias_l0":
                gates = parameter[-module.num_gates :]
                for part, value in (
                    (gates[:blocks], config.input_gate_bias),
                    (gates[blocks:], config.output_gate_bias),
                ):
                    if value is not None:
                        init.copy_(part, torch.as_tensor(value, device=part.device).to(part.dtype).expand(blocks))

    @staticmethod
    def has_head_bias(config: Hs97Config) -> bool:
        """Return whether the readout has biases."""
        return config.biased_units == "all"

    @staticmethod
    def reads_inputs_in_head(config: Hs97Config) -> bool:
        """Return whether the readout reads the input of the first layer in addition to the cells."""
        return config.connectivity == "below"


class Hs97Model(Hs97PreTrainedModel, BaseModel):
    """The memory cell blocks without a head."""

    _auto_class = "AutoModel"


class Hs97ForSequenceClassification(Hs97PreTrainedModel, BaseForSequenceClassification):
    """The blocks and a linear readout of the pooled outputs: classes, or regression by `config.problem_type`."""

    _auto_class = "AutoModelForSequenceClassification"
    body_class = Hs97Model


class Hs97ForTokenClassification(Hs97PreTrainedModel, BaseForTokenClassification):
    """The blocks and a linear readout of every step."""

    _auto_class = "AutoModelForTokenClassification"
    body_class = Hs97Model


class Hs97ForCausalLM(Hs97PreTrainedModel, BaseForCausalLM):
    """The blocks and a linear readout of every step that predicts the next id."""

    _auto_class = "AutoModelForCausalLM"
    body_class = Hs97Model
