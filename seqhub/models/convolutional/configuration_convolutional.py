"""Configuration of the convolutional models. This file is saved with the weights, so it does not import seqhub."""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json gets all of them
AUTO_MAP = {
    "AutoConfig": "configuration_convolutional.ConvolutionalConfig",
    "AutoModel": "modeling_convolutional.ConvolutionalModel",
    "AutoModelForSequenceClassification": "modeling_convolutional.ConvolutionalForSequenceClassification",
}


@strict
class ConvolutionalConfig(PreTrainedConfig):
    """Architecture of a convolutional model.

    Args:
        num_features: Number of values per step.
        channels: Number of output channels of the convolution.
        kernel_size: Kernel size of the convolution in steps; the minimal number of steps of a row.
        pooling: Pooling over the windows of a row: `max` or `mean` for any number of steps, or `flatten`, which
            concatenates all windows and requires the same number of steps in every row.
        num_steps: Number of steps of every row; required by `pooling="flatten"`, not allowed otherwise.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> ConvolutionalConfig(pooling="flatten")
    Traceback (most recent call last):
    ValueError: pooling='flatten' needs num_steps >= kernel_size=2, got num_steps=None
    """

    model_type = "seqhub_convolutional"
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

    num_features: int = 2
    channels: int = 8
    kernel_size: int = 2
    pooling: Literal["flatten", "max", "mean"] = "max"
    num_steps: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def output_size(self) -> int:
        """Width of the pooled vector."""
        return self.channels if self.num_steps is None else self.channels * (self.num_steps - self.kernel_size + 1)

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        for name in ("num_features", "channels", "kernel_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        steps = self.num_steps
        if self.pooling == "flatten" and (steps is None or steps < self.kernel_size):
            raise ValueError(
                f"pooling='flatten' needs num_steps >= kernel_size={self.kernel_size}, got num_steps={steps}"
            )
        if self.pooling != "flatten" and steps is not None:
            raise ValueError(
                f"num_steps is only for pooling='flatten', got num_steps={steps} with pooling={self.pooling!r}"
            )
