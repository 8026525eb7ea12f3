"""Config of the convolutional models. Travels with the weights, so it imports nothing of seqhub."""

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
        num_features: Values per step.
        channels: Filters of the convolution.
        kernel_size: Steps that a filter sees at once; no row may have fewer.
        pooling: How the windows become one vector: `max` or `mean` over those of the row, whose number may vary, or
            `flatten`, which keeps all of them and their places and needs the same number of steps in every row.
        num_steps: Steps of every row; needed by `pooling="flatten"`, refused otherwise.

    Raises:
        ValueError: If the fields contradict each other; one line that says what was given and what is allowed.

    >>> ConvolutionalConfig(pooling="flatten")
    Traceback (most recent call last):
    ValueError: pooling='flatten' needs num_steps >= kernel_size=2, got num_steps=None
    """

    model_type = "seqhub_convolutional"
    _auto_class = "AutoConfig"  # as `register_for_auto_class()` sets it: this file is copied with the weights

    num_features: int = 2
    channels: int = 8
    kernel_size: int = 2
    pooling: Literal["flatten", "max", "mean"] = "max"
    num_steps: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it again, but would wrap the error in a second line

    def to_dict(self) -> dict[str, Any]:
        # The code is copied with every save, so the map refers to the same folder, whatever a loaded config said
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def output_size(self) -> int:
        """Width of the pooled vector."""
        return self.channels if self.num_steps is None else self.channels * (self.num_steps - self.kernel_size + 1)

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: At the first broken rule.
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
