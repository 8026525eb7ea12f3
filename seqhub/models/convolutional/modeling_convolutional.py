"""Convolutional models for sequences of real values, with a head for one label per sequence.

This file, `configuration_convolutional.py` and `tracing.py` are saved with the weights, so they import only
torch, transformers, huggingface_hub and each other.

Shapes: B sequences, T steps, F values per step, C channels.

Padding: a step with `attention_mask` 0 is ignored at any position. The real steps are
moved to the front, and windows that extend beyond them are ignored.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_convolutional import ConvolutionalConfig
from .tracing import is_recording, real_steps_order


@dataclass
class ConvolutionalModelOutput(ModelOutput):
    """Outputs of the convolution.

    Args:
        last_hidden_state: (B, L, C) for the L windows of the longest row: window n covers the real steps n to
            n + `kernel_size` - 1. Windows beyond the last real step of a row are undefined. When traced or exported, L
            is T.
        pooler_output: (B, `config.output_size`), one vector per sequence.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None


@dataclass
class ConvolutionalClassifierOutput(ModelOutput):
    """Logits of a classifier.

    Args:
        loss: Scalar, if labels were given.
        logits: (B, num_labels).
    """

    loss: Tensor | None = None
    logits: Tensor | None = None


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


class ConvolutionalPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = ConvolutionalConfig
    config: ConvolutionalConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does, except for weights loaded from a file."""
        if isinstance(module, nn.Conv1d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # modules of subclasses


class ConvolutionalModel(ConvolutionalPreTrainedModel):
    """The convolution without a head."""

    _auto_class = "AutoModel"

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__(config)
        self.convolution = nn.Conv1d(config.num_features, config.channels, config.kernel_size)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        **extra: Any,
    ) -> ConvolutionalModelOutput:
        """Convolve the real steps of each row.

        Args:
            input_values: (B, T, num_features).
            attention_mask: (B, T), 0 at padded steps. If None, no step is padded.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If a shape is invalid, or a row has less than `kernel_size` real steps or, with
                `pooling="flatten"`, not exactly `num_steps`.
        """
        check_extra_arguments(self, extra)
        values, lengths = real_steps_first(input_values, attention_mask, self.config.num_features)
        least, steps = self.config.kernel_size, self.config.num_steps
        if is_recording():  # pad to enough steps for any row, since lengths cannot be checked
            values = F.pad(values, (0, 0, 0, least - 1 if steps is None else steps))[:, :steps]
        for row, length in enumerate([] if is_recording() else lengths.tolist()):
            if length < least or length != (steps or length):
                need = f"at least kernel_size={least}" if steps is None else f"exactly num_steps={steps}"
                raise ValueError(f"every row needs {need} real steps, row {row} has {length}")

        windows = self.convolution(values.to(float_type(self)).transpose(1, 2)).relu().transpose(1, 2)
        counts = (lengths - least + 1).unsqueeze(1)
        beyond = (torch.arange(windows.size(1), device=windows.device) >= counts).unsqueeze(2)
        if self.config.pooling == "flatten":
            pooled = windows.flatten(1)
        elif self.config.pooling == "mean":
            pooled = windows.masked_fill(beyond, 0).sum(1) / counts
        else:
            pooled = windows.masked_fill(beyond, -torch.inf).amax(1)
        return ConvolutionalModelOutput(windows, pooled)


class ConvolutionalForSequenceClassification(ConvolutionalPreTrainedModel):
    """The convolution and a linear readout: classes, or regression by `config.problem_type`."""

    _auto_class = "AutoModelForSequenceClassification"

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__(config)
        self.model = ConvolutionalModel(config)
        self.classifier = nn.Linear(config.output_size, config.num_labels or 1)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> ConvolutionalClassifierOutput:
        """Score each sequence.

        Args:
            input_values: (B, T, num_features).
            attention_mask: (B, T), 0 at padded steps.
            labels: By `config.problem_type`: `single_label_classification` (B,), class indices, loss in nats;
                `regression` (B,) or (B, num_labels), loss is the mean squared error; `multi_label_classification`
                (B, num_labels), 0 or 1, loss in nats per label. If it is None: regression for a single label, otherwise
                by the type of the labels, integer or float.
            num_items_in_batch: Divisor of the summed loss: the number of labels in all batches of one optimizer step,
                as Trainer counts them. By default the number of labels in this batch.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        pooled = self.model(input_values, attention_mask, return_dict=True).pooler_output
        logits = self.classifier(pooled)
        loss = None if labels is None else classifier_loss(self.config.problem_type, logits, labels, num_items_in_batch)
        return ConvolutionalClassifierOutput(loss, logits)


def real_steps_first(values: Tensor, mask: Tensor | None, num_features: int) -> tuple[Tensor, Tensor]:
    """Move the real steps of each row to the front.

    Args:
        values: (B, T, num_features).
        mask: (B, T), 0 at padded steps; None without padding.
        num_features: As in the config.

    Returns:
        The steps, (B, L, num_features), zero after the last real step of each row; and the number of real steps, (B,).
        L is the number of real steps of the longest row; when traced or exported, T.
    """
    if is_recording():
        mask = torch.ones_like(values[..., 0]).bool() if mask is None else mask.bool()
        order, _ = real_steps_order(mask)
        first = values.masked_fill(~mask.unsqueeze(2), 0).gather(1, order.unsqueeze(2).expand_as(values))
        return first, mask.sum(1)
    if values.dim() != 3 or values.size(2) != num_features or 0 in values.shape:
        raise ValueError(f"input_values must be (batch, steps, num_features={num_features}), got {tuple(values.shape)}")
    if mask is None:
        return values, torch.full((len(values),), values.size(1), device=values.device)
    if mask.shape != values.shape[:2]:
        raise ValueError(
            f"attention_mask must have the input's (batch, steps), {tuple(values.shape[:2])}, got {tuple(mask.shape)}"
        )
    mask = mask.bool()
    lengths = mask.sum(1)
    real = torch.arange(int(lengths.max()), device=values.device) < lengths.unsqueeze(1)
    first = values.new_zeros(*real.shape, num_features)
    first[real] = values[mask]
    return first, lengths


def classifier_loss(problem: str | None, logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the loss that `ConvolutionalForSequenceClassification.forward` describes."""
    if problem is None and logits.size(1) == 1:
        problem = "regression"
    if problem == "single_label_classification" or (problem is None and not labels.is_floating_point()):
        return mean_loss(F.cross_entropy, logits, labels.long(), count)
    if labels.numel() != logits.numel():
        raise ValueError(f"labels must be (batch, num_labels), {tuple(logits.shape)}, got {tuple(labels.shape)}")
    loss = F.mse_loss if problem == "regression" else F.binary_cross_entropy_with_logits
    accurate = torch.promote_types(logits.dtype, torch.float32)
    return mean_loss(loss, logits, labels.reshape(logits.shape).to(accurate), count)


def float_type(model: nn.Module) -> torch.dtype:
    """Return the data type of the floating-point parameters; float32 if there are none, as in quantized modules."""
    types = (parameter.dtype for parameter in model.parameters())
    return next((each for each in types if each.is_floating_point), torch.float32)


def mean_loss(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the mean of a loss over the labels, or its sum divided by `count`, computed at least in float32."""
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    return loss(logits, labels) if count is None else loss(logits, labels, reduction="sum") / count
