"""Locally connected models for rows of a fixed number of real values, with a head for one label per row.

This file, `configuration_locally_connected.py` and `tracing.py` are saved with the weights, so they import only
torch, transformers, huggingface_hub and each other.

Shapes: B sequences, T steps, F values per step, N windows.

Padding: a step with `attention_mask` 0 is ignored at any position. Each row must have
`num_steps` real steps.
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

from .configuration_locally_connected import LocallyConnectedConfig
from .tracing import is_recording, real_steps_order


class LocalLinear(nn.Module):
    """Linear layer with a separate matrix for each window of the input vector.

    It is a dense layer whose matrix is zero outside the windows. Window n covers `kernel_size` values, starting at
    n * stride - padding. There are N = (in_features + 2 * padding - kernel_size) // stride + 1 windows. Values after
    the last window are ignored.

    Args:
        in_features: Length of the input vector.
        local_features: Number of outputs per window.
        kernel_size: Number of values in a window.
        stride: Distance between windows.
        padding: Number of zeros added at both ends.
        bias: Whether to add a bias to each output.

    Attributes:
        weight: (N, kernel_size, local_features), initialised uniformly in +-1/sqrt(kernel_size), as nn.Linear for one
            window.
        bias: (N, local_features), initialised in the same way; or None.

    Raises:
        ValueError: If a size is out of range, or the kernel is larger than the padded input.

    >>> layer = LocalLinear(in_features=8, local_features=1, kernel_size=2, stride=2, bias=False)
    >>> layer(torch.zeros(5, 3, 8)).shape, layer.weight.numel()
    (torch.Size([5, 3, 4, 1]), 8)
    """

    def __init__(
        self,
        in_features: int,
        local_features: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if min(in_features, local_features, kernel_size, stride) < 1 or padding < 0:
            raise ValueError(
                "in_features, local_features, kernel_size and stride must be >= 1 and padding >= 0, "
                f"got {in_features}, {local_features}, {kernel_size}, {stride} and {padding}"
            )
        if kernel_size > in_features + 2 * padding:
            raise ValueError(
                f"kernel_size={kernel_size} is more than in_features={in_features} with padding={padding} at both ends"
            )
        windows = (in_features + 2 * padding - kernel_size) // stride + 1
        self.in_features, self.kernel_size, self.stride, self.padding = in_features, kernel_size, stride, padding
        self.weight = nn.Parameter(torch.empty(windows, kernel_size, local_features))
        self.bias = nn.Parameter(torch.empty(windows, local_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the weights, except for weights loaded from a file."""
        bound = 1 / math.sqrt(self.kernel_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        """Apply the layer to each window.

        Args:
            values: (..., in_features).

        Returns:
            (..., N, local_features).
        """
        if not is_recording() and (values.dim() == 0 or values.size(-1) != self.in_features):
            raise ValueError(f"values must be (..., in_features={self.in_features}), got {tuple(values.shape)}")
        windows = F.pad(values, (self.padding, self.padding)).unfold(-1, self.kernel_size, self.stride)
        mapped = torch.einsum("...nk,nkl->...nl", windows, self.weight)
        return mapped if self.bias is None else mapped + self.bias

    def extra_repr(self) -> str:
        return f"{self.in_features}, kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


@dataclass
class LocallyConnectedModelOutput(ModelOutput):
    """Output of the hidden layer.

    Args:
        last_hidden_state: (B, N, `config.local_features`).
        pooler_output: (B, `config.output_size`), the same values flattened.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None


@dataclass
class LocallyConnectedClassifierOutput(ModelOutput):
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


class LocallyConnectedPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = LocallyConnectedConfig
    config: LocallyConnectedConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does, except for weights loaded from a file."""
        if isinstance(module, LocalLinear):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # modules of subclasses


class LocallyConnectedModel(LocallyConnectedPreTrainedModel):
    """The hidden layer without a head."""

    _auto_class = "AutoModel"

    def __init__(self, config: LocallyConnectedConfig) -> None:
        super().__init__(config)
        self.hidden = (
            LocalLinear(config.input_size, config.local_features, config.kernel_size, config.stride, config.padding)
            if config.connectivity == "local"
            else nn.Linear(config.input_size, config.output_size)
        )
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        **extra: Any,
    ) -> LocallyConnectedModelOutput:
        """Apply the hidden layer and ReLU to each row.

        Args:
            input_values: (B, T, num_features) with `num_steps` real steps in each row.
            attention_mask: (B, T), 0 at padded steps. If None, no step is padded.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If a shape is invalid, or a row does not have `num_steps` real steps.
        """
        check_extra_arguments(self, extra)
        rows = flatten_rows(input_values, attention_mask, self.config.num_steps, self.config.num_features)
        hidden = self.hidden(rows.to(float_type(self))).relu().flatten(1)
        return LocallyConnectedModelOutput(hidden.unflatten(1, (self.config.num_windows, -1)), hidden)


class LocallyConnectedForSequenceClassification(LocallyConnectedPreTrainedModel):
    """The hidden layer and a linear readout: classes, or regression by `config.problem_type`."""

    _auto_class = "AutoModelForSequenceClassification"

    def __init__(self, config: LocallyConnectedConfig) -> None:
        super().__init__(config)
        self.model = LocallyConnectedModel(config)
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
    ) -> LocallyConnectedClassifierOutput:
        """Score each sequence.

        Args:
            input_values: (B, T, num_features) with `num_steps` real steps in each row.
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
        return LocallyConnectedClassifierOutput(loss, logits)


def flatten_rows(values: Tensor, mask: Tensor | None, num_steps: int, num_features: int) -> Tensor:
    """Flatten the real steps of each row.

    Args:
        values: (B, T, num_features).
        mask: (B, T), 0 at padded steps; None without padding.
        num_steps: Number of real steps of every row, as in the config.
        num_features: As in the config.

    Returns:
        (B, num_steps * num_features).
    """
    if is_recording() and mask is not None:  # T is dynamic, and lengths cannot be checked
        order, _ = real_steps_order(mask.bool())
        order = F.pad(order, (0, num_steps))[:, :num_steps]
        return values.gather(1, order.unsqueeze(2).expand(-1, -1, values.size(2))).flatten(1)
    if values.dim() != 3 or values.size(2) != num_features or 0 in values.shape:
        raise ValueError(f"input_values must be (batch, steps, num_features={num_features}), got {tuple(values.shape)}")
    shape = values.shape[:2]
    if mask is not None and mask.shape != shape:
        raise ValueError(
            f"attention_mask must have the input's (batch, steps), {tuple(shape)}, got {tuple(mask.shape)}"
        )
    lengths = [shape[1]] if mask is None else mask.bool().sum(1).tolist()
    for row, length in enumerate(lengths):
        if length != num_steps:
            raise ValueError(f"every row needs exactly num_steps={num_steps} real steps, row {row} has {length}")
    return values.flatten(1) if mask is None else values[mask.bool()].view(len(values), -1)


def classifier_loss(problem: str | None, logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the loss that `LocallyConnectedForSequenceClassification.forward` describes."""
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
