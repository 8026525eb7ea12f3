"""Locally connected models: rows of a fixed number of real values in, one label per row out.

This file, `configuration_locally_connected.py` and `tracing.py` travel with the weights, so they import only torch,
transformers, huggingface_hub and each other.

Shapes: B sequences, T steps, F values per step, N windows.

Padding: a step with `attention_mask` 0 is ignored, wherever it is; the other steps of each row must
be `num_steps` steps.
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
    """A linear map of each window of a vector, every window with weights of its own.

    It is a dense layer whose matrix is zero outside the windows. Window n covers the values n * stride - padding and
    the `kernel_size` - 1 after it; there are N = (in_features + 2 * padding - kernel_size) // stride + 1. Values
    behind the last window are not seen.

    Args:
        in_features: Length of the vector.
        local_features: Outputs per window.
        kernel_size: Values in a window.
        stride: Values from one window to the next.
        padding: Zeros put on both ends.
        bias: Whether each output has an offset of its own.

    Attributes:
        weight: (N, kernel_size, local_features), at first uniform in +-1/sqrt(kernel_size), as nn.Linear would be on
            one window.
        bias: (N, local_features), in the same order; or None.

    Raises:
        ValueError: If a size is out of range, or the window wider than the vector with its zeros.

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
                f"kernel_size={kernel_size} is more than in_features={in_features} with padding={padding} on both ends"
            )
        windows = (in_features + 2 * padding - kernel_size) // stride + 1
        self.in_features, self.kernel_size, self.stride, self.padding = in_features, kernel_size, stride, padding
        self.weight = nn.Parameter(torch.empty(windows, kernel_size, local_features))
        self.bias = nn.Parameter(torch.empty(windows, local_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the weights, unless they were loaded from a file."""
        bound = 1 / math.sqrt(self.kernel_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        """Map each window.

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
    """The hidden layer.

    Args:
        last_hidden_state: (B, N, `config.local_features`).
        pooler_output: (B, `config.output_size`), the same in one vector.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None


@dataclass
class LocallyConnectedClassifierOutput(ModelOutput):
    """Scores of a classifier, before any softmax.

    Args:
        loss: Scalar, if labels were given.
        logits: (B, num_labels).
    """

    loss: Tensor | None = None
    logits: Tensor | None = None


# Passed to every model by PEFT, pipelines and tokenizers; without a meaning here
_IGNORED = frozenset(
    (
        "cache_position", "head_mask", "is_causal", "output_attentions", "output_hidden_states",
        "output_router_logits", "position_ids", "special_tokens_mask", "token_type_ids",
    )
)  # fmt: skip
# Arguments of models of other inputs, as they are passed where they are not given
_ABSENT = frozenset(("input_ids", "inputs_embeds", "past_key_values", "use_cache"))


def check_extra_arguments(model: nn.Module, extra: dict[str, Any]) -> None:
    """Accept the usual arguments of transformers that a model does not take.

    Raises:
        TypeError: Another argument, or one whose value the model would have to follow.
    """
    for name, value in extra.items():
        if name not in _IGNORED and not (name in _ABSENT and (value is None or value is False)):
            raise TypeError(f"{type(model).__name__}.forward() got an unexpected keyword argument {name!r}")


class LocallyConnectedPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving."""

    config_class = LocallyConnectedConfig
    config: LocallyConnectedConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    accepts_loss_kwargs = False  # of Trainer, which otherwise takes the extra arguments of `forward` for them

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does; weights loaded from a file stay."""
        if isinstance(module, LocalLinear):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # of subclasses


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
        """Map each row and rectify.

        Args:
            input_values: (B, T, num_features) with `num_steps` real steps in each row.
            attention_mask: (B, T), 0 at padded steps. If None, no step is padded.
            **extra: The usual arguments of transformers that mean nothing here, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If the shapes do not fit, or a row has not `num_steps` real steps.
        """
        check_extra_arguments(self, extra)
        rows = whole_rows(input_values, attention_mask, self.config.num_steps, self.config.num_features)
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
                (B, num_labels), 0 or 1, loss in nats per label. If that is None: regression for a single label, else
                by the type of the labels, integer or float.
            num_items_in_batch: What the summed loss is divided by: the labels in all batches of one optimizer step, as
                Trainer counts them. By default the labels in this batch.
            **extra: The usual arguments of transformers that mean nothing here, such as `token_type_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        logits = self.classifier(self.model(input_values, attention_mask, return_dict=True).pooler_output)
        loss = None if labels is None else classifier_loss(self.config.problem_type, logits, labels, num_items_in_batch)
        return LocallyConnectedClassifierOutput(loss, logits)


def whole_rows(values: Tensor, mask: Tensor | None, num_steps: int, num_features: int) -> Tensor:
    """Flatten the real steps of each row, which must be all that the model reads.

    Args:
        values: (B, T, num_features).
        mask: (B, T), 0 at padded steps; None if there are none.
        num_steps: Real steps of every row, as the config says.
        num_features: As the config says.

    Returns:
        (B, num_steps * num_features).
    """
    if is_recording() and mask is not None:  # T is free, and no row is refused
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
    """Data type of the floating-point parameters of a model; float32 without any, as quantized modules need."""
    types = (parameter.dtype for parameter in model.parameters())
    return next((each for each in types if each.is_floating_point), torch.float32)


def mean_loss(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the mean of a loss over the labels, or its sum divided by `count`; at least in float32."""
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    return loss(logits, labels) if count is None else loss(logits, labels, reduction="sum") / count
