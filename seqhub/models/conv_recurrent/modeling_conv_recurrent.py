"""Convolutional recurrent models for spectrograms, with heads for one label per sequence or per step.

This file, `configuration_conv_recurrent.py`, `scan.py` and `tracing.py` are saved with the weights, so they
import only torch, transformers, huggingface_hub and each other.

Shapes: B sequences, T time steps, F frequency bins, N real steps of the whole batch, H = `hidden_size`.

Padding: a step with `attention_mask` 0 is ignored at any position. The
convolutions do not mix steps and get only the N real steps, so that batch normalisation uses statistics of real steps
only. For the recurrence, the real steps are moved to the front of each row.
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

from .configuration_conv_recurrent import ConvRecurrentConfig
from .scan import run_recurrence
from .tracing import is_recording, real_steps_order


@dataclass
class ConvRecurrentModelOutput(ModelOutput):
    """States of the recurrence.

    Args:
        last_hidden_state: (B, T, H), output of the last layer; zero at padded steps.
        pooler_output: (B, H), one vector per sequence, by `config.pooling`.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None


@dataclass
class ConvRecurrentClassifierOutput(ModelOutput):
    """Logits of a classifier.

    Args:
        loss: Scalar, if labels were given.
        logits: (B, num_labels), or with a label per step (B, T, num_labels).
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


class ConvRecurrentPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = ConvRecurrentConfig
    config: ConvRecurrentConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does, except for weights loaded from a file."""
        if isinstance(module, nn.RNNBase):
            bound = 1 / math.sqrt(module.hidden_size)
        elif isinstance(module, nn.Conv1d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # normalisation, and what it has seen
            return
        for parameter in module.parameters():
            init.uniform_(parameter, -bound, bound)


class ConvRecurrentModel(ConvRecurrentPreTrainedModel):
    """The convolutional blocks and the recurrence without a head."""

    _auto_class = "AutoModel"

    def __init__(self, config: ConvRecurrentConfig) -> None:
        super().__init__(config)
        # Over the frequencies of each step, equal to Conv2d with kernel (k, 1) and stride (s, 1) on F x T
        self.blocks = nn.Sequential()
        widths = [1, *config.channels]
        for width, channels, kernel, stride, pool, pool_stride in zip(
            widths, config.channels, config.kernel_sizes, config.strides, config.pool_sizes, config.pool_strides,
            strict=False,
        ):  # fmt: skip
            convolution, normalisation = nn.Conv1d(width, channels, kernel, stride), nn.BatchNorm1d(channels)
            self.blocks.append(nn.Sequential(convolution, normalisation, nn.ReLU(), nn.MaxPool1d(pool, pool_stride)))
        self.recurrence = recurrence(config)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        **extra: Any,
    ) -> ConvRecurrentModelOutput:
        """Convolve each real step and run the recurrence from a zero state.

        Args:
            input_values: (B, T, num_features), time before frequency.
            attention_mask: (B, T), 0 at padded steps. If None, no step is padded.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If a shape is invalid, a row has no real step, or the model is traced or exported in training
                mode.
        """
        check_extra_arguments(self, extra)
        if is_recording():
            return self._forward_traceable(input_values, attention_mask)
        mask, lengths = read_mask(input_values, attention_mask, self.config.num_features)
        steps = input_values[mask].to(float_type(self))  # (N, F)
        filtered = self.blocks(steps.unsqueeze(1)).flatten(1)  # (N, channels x bins)

        front = torch.arange(int(lengths.max()), device=lengths.device) < lengths.unsqueeze(1)  # (B, L)
        rows = filtered.new_zeros(*front.shape, filtered.size(1))
        rows[front] = filtered
        states = self.recurrence(rows)[0]
        pooled = self._pool(states, front, lengths)

        back = states.new_zeros(*mask.shape, states.size(2))  # in the original positions
        back[mask] = states[front]
        return ConvRecurrentModelOutput(back, pooled)

    def _forward_traceable(self, values: Tensor, mask: Tensor | None) -> ConvRecurrentModelOutput:
        """Compute `forward` with operations that are valid for any batch and padding, convolving all steps."""
        if self.training:
            raise ValueError("batch normalisation would include padding: call eval() before tracing or exporting")
        mask = torch.ones_like(values[..., 0]).bool() if mask is None else mask.bool()
        order, back = real_steps_order(mask)
        lengths = mask.sum(1)
        front = torch.arange(mask.size(1), device=mask.device) < lengths.unsqueeze(1)  # (B, T)
        steps = values.masked_fill(~mask.unsqueeze(2), 0).gather(1, order.unsqueeze(2).expand_as(values))
        filtered = self.blocks(steps.to(float_type(self)).flatten(0, 1).unsqueeze(1)).flatten(1)
        rows = filtered.view(mask.size(0), mask.size(1), filtered.size(1))  # (B, T, channels x bins)
        states = run_recurrence(self.recurrence, rows)[0]
        placed = states.gather(1, back.unsqueeze(2).expand_as(states)).masked_fill(~mask.unsqueeze(2), 0)
        return ConvRecurrentModelOutput(placed, self._pool(states, front, lengths))

    def _pool(self, states: Tensor, front: Tensor, lengths: Tensor) -> Tensor:
        """Return one vector per sequence, (B, H), from states with real steps at the front, (B, L, H)."""
        if self.config.pooling == "last":
            return states[torch.arange(states.size(0), device=states.device), lengths - 1]
        if self.config.pooling == "mean":
            return states.masked_fill(~front.unsqueeze(2), 0).sum(1) / lengths.unsqueeze(1)
        return states.masked_fill(~front.unsqueeze(2), -torch.inf).amax(1)


class ConvRecurrentClassifier(ConvRecurrentPreTrainedModel):
    """Body and readout of the classification heads."""

    def __init__(self, config: ConvRecurrentConfig) -> None:
        super().__init__(config)
        self.model = ConvRecurrentModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 1)
        self.post_init()  # type: ignore[no-untyped-call]


class ConvRecurrentForSequenceClassification(ConvRecurrentClassifier):
    """A linear readout of the pooled states: classes, or regression by `config.problem_type`."""

    _auto_class = "AutoModelForSequenceClassification"

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> ConvRecurrentClassifierOutput:
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
        logits = self.classifier(self.model(input_values, attention_mask, return_dict=True).pooler_output)
        loss = None if labels is None else classifier_loss(self.config.problem_type, logits, labels, num_items_in_batch)
        return ConvRecurrentClassifierOutput(loss, logits)


class ConvRecurrentForTokenClassification(ConvRecurrentClassifier):
    """A linear readout of every step."""

    _auto_class = "AutoModelForTokenClassification"

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> ConvRecurrentClassifierOutput:
        """Score each step.

        Args:
            input_values: (B, T, num_features).
            attention_mask: (B, T), 0 at padded steps.
            labels: (B, T), class indices; -100 and padded steps are ignored. The loss is in nats per step.
            num_items_in_batch: As in `ConvRecurrentForSequenceClassification.forward`.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        logits = self.classifier(self.model(input_values, attention_mask, return_dict=True).last_hidden_state)
        loss = None
        if labels is not None:
            if labels.shape != logits.shape[:2]:
                raise ValueError(f"labels must be (batch, steps), {tuple(logits.shape[:2])}, got {tuple(labels.shape)}")
            if attention_mask is not None:
                labels = labels.masked_fill(attention_mask == 0, -100)
            loss = mean_loss(F.cross_entropy, logits.flatten(0, 1), labels.flatten().long(), num_items_in_batch)
        return ConvRecurrentClassifierOutput(loss, logits)


def recurrence(config: ConvRecurrentConfig) -> nn.RNNBase:
    """Return the recurrence over inputs (B, L, `config.recurrence_size`)."""
    sizes = config.recurrence_size, config.hidden_size, config.num_hidden_layers
    if config.cell == "lstm":
        return nn.LSTM(*sizes, batch_first=True)
    if config.cell == "gru":
        return nn.GRU(*sizes, batch_first=True)
    return nn.RNN(*sizes, batch_first=True, nonlinearity=config.cell.removeprefix("rnn_"))


def read_mask(values: Tensor, mask: Tensor | None, num_features: int) -> tuple[Tensor, Tensor]:
    """Check the shapes of a batch.

    Args:
        values: (B, T, num_features).
        mask: (B, T), 0 at padded steps; None without padding.
        num_features: As in the config.

    Returns:
        The mask as booleans, and the number of real steps of each row, (B,).
    """
    if values.dim() != 3 or values.size(2) != num_features or 0 in values.shape:
        raise ValueError(f"input_values must be (batch, steps, num_features={num_features}), got {tuple(values.shape)}")
    shape = values.shape[:2]
    if mask is None:
        mask = torch.ones(shape, dtype=torch.bool, device=values.device)
    if mask.shape != shape:
        raise ValueError(
            f"attention_mask must have the input's (batch, steps), {tuple(shape)}, got {tuple(mask.shape)}"
        )
    mask = mask.bool()
    lengths = mask.sum(1)
    if (counts := lengths.tolist()).count(0):
        raise ValueError(f"every row needs at least one real step, row {counts.index(0)} is all padding")
    return mask, lengths


def classifier_loss(problem: str | None, logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the loss that `ConvRecurrentForSequenceClassification.forward` describes."""
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
