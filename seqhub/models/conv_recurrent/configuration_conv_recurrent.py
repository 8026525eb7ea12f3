"""Config of the convolutional recurrent models. Travels with the weights, so it imports nothing of seqhub."""

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

    A block is a convolution over frequency, batch normalisation, a rectifier and a maximum over frequency. The lists
    hold one number per block.

    Args:
        num_features: Frequency bins per step.
        channels: Filters of each block.
        kernel_sizes: Bins that a filter sees at once.
        strides: Bins from one place of a filter to the next.
        pool_sizes: Places under one maximum; 1 for none.
        pool_strides: Places from one maximum to the next.
        cell: Recurrence over time. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al. (2014) in
            PyTorch's form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000).
        hidden_size: Width of the state.
        num_hidden_layers: Stacked recurrences.
        pooling: How the steps become one vector: the `last` real step, or `mean` or `max` over the real steps.

    Raises:
        ValueError: If the fields contradict each other; one line that says what was given and what is allowed.

    >>> ConvRecurrentConfig(num_features=16).recurrence_size  # (16 - 5 + 1) // 2 bins of 8 channels
    48
    >>> ConvRecurrentConfig(num_features=4)
    Traceback (most recent call last):
    ValueError: block 0: kernel_sizes[0]=5 is more than the 4 bins that reach it
    """

    model_type = "seqhub_conv_recurrent"
    _auto_class = "AutoConfig"  # as `register_for_auto_class()` sets it: this file is copied with the weights

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
            setattr(self, name, list(getattr(self, name)))  # as JSON gives them back
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it again, but would wrap the error in a second line

    def to_dict(self) -> dict[str, Any]:
        # The code is copied with every save, so the map refers to the same folder, whatever a loaded config said
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def recurrence_size(self) -> int:
        """Width of the input of the recurrence: all channels of the remaining bins."""
        return self.channels[-1] * self._bins()

    def _bins(self) -> int:
        """Places along frequency after the last block.

        Raises:
            ValueError: At the first block that is too wide for what reaches it.
        """
        bins = self.num_features
        for block in range(len(self.channels)):
            for sizes, strides in (("kernel_sizes", "strides"), ("pool_sizes", "pool_strides")):
                size, stride = getattr(self, sizes)[block], getattr(self, strides)[block]
                if size > bins:
                    raise ValueError(
                        f"block {block}: {sizes}[{block}]={size} is more than the {bins} bins that reach it"
                    )
                bins = (bins - size) // stride + 1
        return bins

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: At the first broken rule.
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
