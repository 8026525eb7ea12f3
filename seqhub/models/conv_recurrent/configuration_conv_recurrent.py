"""Configuration of the convolutional recurrent models.

This file is saved with the weights, so it does not import seqhub.
"""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json gets all of them
AUTO_MAP = {
    "AutoConfig": "configuration_conv_recurrent.ConvRecurrentConfig",
    "AutoModel": "modeling_conv_recurrent.ConvRecurrentModel",
    "AutoModelForSequenceClassification": "modeling_conv_recurrent.ConvRecurrentForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_conv_recurrent.ConvRecurrentForTokenClassification",
}


@strict
class ConvRecurrentConfig(PreTrainedConfig):
    """Architecture of a convolutional recurrent model.

    A block is a convolution over frequency, batch normalisation, ReLU and max pooling over frequency. The lists have
    one number per block.

    Args:
        num_features: Number of frequency bins per step.
        channels: Number of output channels of each convolution.
        kernel_sizes: Kernel size of each convolution, in bins.
        strides: Stride of each convolution.
        pool_sizes: Kernel size of each max pooling; 1 for no pooling.
        pool_strides: Stride of each max pooling.
        cell: Recurrence over time. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al. (2014) in
            PyTorch's form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000).
        hidden_size: Width of the state.
        num_hidden_layers: Number of stacked recurrences.
        pooling: Pooling over the steps: the `last` real step, or `mean` or `max` over the real steps.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> ConvRecurrentConfig(num_features=16).recurrence_size  # (16 - 5 + 1) // 2 bins of 8 channels
    48
    >>> ConvRecurrentConfig(num_features=4)
    Traceback (most recent call last):
    ValueError: block 0: kernel_sizes[0]=5 is more than its 4 input bins
    """

    model_type = "seqhub_conv_recurrent"
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

    num_features: int = 32
    channels: list[int] | tuple[int, ...] = (8,)
    kernel_sizes: list[int] | tuple[int, ...] = (5,)
    strides: list[int] | tuple[int, ...] = (1,)
    pool_sizes: list[int] | tuple[int, ...] = (2,)
    pool_strides: list[int] | tuple[int, ...] = (2,)
    cell: Literal["rnn_tanh", "rnn_relu", "gru", "lstm"] = "lstm"
    hidden_size: int = 16
    num_hidden_layers: int = 1
    pooling: Literal["last", "mean", "max"] = "last"

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        for name in _LISTS:
            setattr(self, name, list(getattr(self, name)))  # as loaded from JSON
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def recurrence_size(self) -> int:
        """Width of the input of the recurrence, channels times bins after the last block."""
        return self.channels[-1] * self._bins()

    def _bins(self) -> int:
        """Return the number of bins after the last block.

        Raises:
            ValueError: If a kernel is larger than the input of its block.
        """
        bins = self.num_features
        for block in range(len(self.channels)):
            for sizes, strides in (("kernel_sizes", "strides"), ("pool_sizes", "pool_strides")):
                size, stride = getattr(self, sizes)[block], getattr(self, strides)[block]
                if size > bins:
                    raise ValueError(f"block {block}: {sizes}[{block}]={size} is more than its {bins} input bins")
                bins = (bins - size) // stride + 1
        return bins

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        for name in ("num_features", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        blocks = len(self.channels)
        for name in _LISTS:
            numbers = getattr(self, name)
            if not numbers or min(numbers) < 1:
                raise ValueError(f"{name} must be numbers >= 1, one per block, got {numbers}")
            if len(numbers) != blocks:
                raise ValueError(f"{name} must have one number per block, {blocks} as in channels, got {numbers}")
        self._bins()


_LISTS = ("channels", "kernel_sizes", "strides", "pool_sizes", "pool_strides")
