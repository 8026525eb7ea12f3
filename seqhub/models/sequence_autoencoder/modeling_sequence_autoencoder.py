"""Sequence autoencoders, which reconstruct a sequence from one latent vector.

This file, `configuration_sequence_autoencoder.py`, `scan.py` and `tracing.py` are saved with the weights, so they
import only torch, transformers, huggingface_hub and each other.

Shapes: B sequences, T steps, L real steps of the longest row, S values per step, H = `hidden_size`.

Padding: a step with `attention_mask` 0 is ignored at any position. Internally, the
real steps of each row are moved to the front. The loss is over real steps only.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_sequence_autoencoder import SequenceAutoencoderConfig
from .scan import run_recurrence
from .tracing import is_recording, real_steps_order


@dataclass
class SequenceAutoencoderOutput(ModelOutput):
    """Reconstruction and latent vector.

    Args:
        loss: Scalar, if labels were given.
        logits: Reconstruction with the shape of the input; zero at padded steps.
        latent: (B, H), the only input of the decoder.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    latent: Tensor | None = None


# Passed to every model by PEFT, pipelines and tokenizers; not used here
_IGNORED = frozenset(
    (
        "cache_position", "head_mask", "is_causal", "output_attentions", "output_hidden_states",
        "output_router_logits", "position_ids", "special_tokens_mask", "token_type_ids",
    )
)  # fmt: skip
# Arguments of models with other inputs; accepted if None or False
_UNSET_ONLY = frozenset(("input_ids", "inputs_embeds", "past_key_values", "use_cache"))


def check_extra_arguments(model: nn.Module, extra: dict[str, Any]) -> None:
    """Check arguments of transformers that a model does not use.

    Raises:
        TypeError: The argument does not exist, or its value would have an effect in another model.
    """
    for name, value in extra.items():
        if name not in _IGNORED and not (name in _UNSET_ONLY and (value is None or value is False)):
            raise TypeError(f"{type(model).__name__}.forward() got an unexpected keyword argument {name!r}")


class SequenceAutoencoderModel(PreTrainedModel):
    """Encoder, decoder and output projection.

    The latent vector is the state of the encoder's last layer at the last real step. The decoder reads it at every
    step, and its states are projected to the values of a step, which are therefore not bounded.
    """

    config_class = SequenceAutoencoderConfig
    config: SequenceAutoencoderConfig
    main_input_name = "input_values"
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra
    _auto_class = "AutoModel"

    def __init__(self, config: SequenceAutoencoderConfig) -> None:
        super().__init__(config)
        self.encoder = recurrence(config, config.step_size)
        self.decoder = recurrence(config, config.hidden_size)
        self.projection = nn.Linear(config.hidden_size, config.step_size)
        self.post_init()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does, except for weights loaded from a file."""
        if isinstance(module, nn.RNNBase):
            bound = 1 / math.sqrt(module.hidden_size)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # modules of subclasses
            return
        for parameter in module.parameters():
            init.uniform_(parameter, -bound, bound)

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **extra: Any,
    ) -> SequenceAutoencoderOutput:
        """Encode each sequence and reconstruct it.

        Args:
            input_values: (B, T, *step_shape), or with each step flattened (B, T, S).
            attention_mask: (B, T), 0 at padded steps. If None, no step is padded.
            labels: Target of the reconstruction with the shape of the input, usually the input itself. The loss is the
                mean squared error over the values of all real steps.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If a shape is invalid, or a row has no real step.
        """
        check_extra_arguments(self, extra)
        if is_recording():
            return self._forward_traceable(input_values, attention_mask, labels)
        mask, lengths = self._read_mask(input_values, attention_mask)
        front = torch.arange(int(lengths.max()), device=lengths.device) < lengths.unsqueeze(1)  # (B, L)
        steps = input_values[mask].flatten(1).to(float_type(self))  # (real steps of all rows, S)
        rows = steps.new_zeros(*front.shape, steps.size(1))
        rows[front] = steps

        states = self.encoder(rows)[0]
        latent = states[torch.arange(len(states), device=states.device), lengths - 1]
        decoded = self.decoder(latent.unsqueeze(1).expand(-1, front.size(1), -1))[0]
        values = self.projection(decoded[front]).unflatten(1, input_values.shape[2:])

        logits = values.new_zeros(input_values.shape)
        logits[mask] = values
        loss = None
        if labels is not None:
            if labels.shape != input_values.shape:
                raise ValueError(
                    f"labels must have the input's shape, {tuple(input_values.shape)}, got {tuple(labels.shape)}"
                )
            accurate = torch.promote_types(values.dtype, torch.float32)
            loss = F.mse_loss(values.to(accurate), labels[mask].to(accurate))
        return SequenceAutoencoderOutput(loss, logits, latent)

    def _forward_traceable(
        self, values: Tensor, mask: Tensor | None, labels: Tensor | None
    ) -> SequenceAutoencoderOutput:
        """Compute `forward` with operations that are valid for any batch and padding."""
        flat = values.flatten(2).to(float_type(self))  # (B, T, S)
        mask = torch.ones_like(flat[..., 0]).bool() if mask is None else mask.bool()
        padded = ~mask.unsqueeze(2)
        order, back = real_steps_order(mask)
        rows = flat.masked_fill(padded, 0).gather(1, order.unsqueeze(2).expand_as(flat))
        states = run_recurrence(self.encoder, rows)[0]
        latent = states[torch.arange(states.size(0), device=states.device), mask.sum(1) - 1]
        decoded = run_recurrence(self.decoder, latent.unsqueeze(1).expand_as(states))[0]
        placed = decoded.gather(1, back.unsqueeze(2).expand_as(decoded))
        steps = self.projection(placed).masked_fill(padded, 0)
        loss = None
        if labels is not None:
            accurate = torch.promote_types(steps.dtype, torch.float32)
            errors = (steps.to(accurate) - labels.flatten(2).to(accurate)).masked_fill(padded, 0).square()
            loss = errors.sum() / (mask.sum() * steps.size(2))
        return SequenceAutoencoderOutput(loss, steps.unflatten(2, values.shape[2:]), latent)

    def _read_mask(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Check the shapes; return the mask as booleans, and the number of real steps of each row, (B,)."""
        shape, size = self.config.step_shape, self.config.step_size
        if list(values.shape[2:]) not in (list(shape), [size]) or 0 in values.shape:
            allowed = ", ".join(map(str, shape))
            flat = f" or (batch, steps, {size})" if len(shape) > 1 else ""
            raise ValueError(f"input_values must be (batch, steps, {allowed}){flat}, got {tuple(values.shape)}")
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        if mask.shape != values.shape[:2]:
            raise ValueError(
                f"attention_mask must have the input's (batch, steps), {tuple(values.shape[:2])}, "
                f"got {tuple(mask.shape)}"
            )
        mask = mask.bool()
        lengths = mask.sum(1)
        if (counts := lengths.tolist()).count(0):
            raise ValueError(f"every row needs at least one real step, row {counts.index(0)} is all padding")
        return mask, lengths


def float_type(model: nn.Module) -> torch.dtype:
    """Return the data type of the floating-point parameters; float32 if there are none, as in quantized modules."""
    types = (parameter.dtype for parameter in model.parameters())
    return next((each for each in types if each.is_floating_point), torch.float32)


def recurrence(config: SequenceAutoencoderConfig, width: int) -> nn.RNNBase:
    """Return a recurrence over inputs (B, L, width)."""
    sizes = width, config.hidden_size, config.num_hidden_layers
    if config.cell == "lstm":
        return nn.LSTM(*sizes, batch_first=True)
    if config.cell == "gru":
        return nn.GRU(*sizes, batch_first=True)
    return nn.RNN(*sizes, batch_first=True, nonlinearity=config.cell.removeprefix("rnn_"))
