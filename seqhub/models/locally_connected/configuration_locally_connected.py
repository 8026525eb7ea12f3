"""Configuration of the locally connected models. This file is saved with the weights, so it does not import seqhub."""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json gets all of them
AUTO_MAP = {
    "AutoConfig": "configuration_locally_connected.LocallyConnectedConfig",
    "AutoModel": "modeling_locally_connected.LocallyConnectedModel",
    "AutoModelForSequenceClassification": "modeling_locally_connected.LocallyConnectedForSequenceClassification",
}


@strict
class LocallyConnectedConfig(PreTrainedConfig):
    """Architecture of a locally connected model.

    The input is the flattened row, with `num_steps * num_features` values.

    Args:
        num_steps: Number of steps of every row.
        num_features: Number of values per step.
        connectivity: With `local`, each hidden unit is connected to one window, with separate weights for each window;
            with `dense`, the same number of hidden units is connected to the whole row.
        kernel_size: Number of values in a window.
        stride: Distance between windows.
        padding: Number of zeros added at both ends.
        local_features: Number of hidden units per window.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> config = LocallyConnectedConfig(num_steps=32, kernel_size=4, stride=4)
    >>> config.num_windows, config.output_size
    (8, 64)
    >>> LocallyConnectedConfig(num_steps=2)
    Traceback (most recent call last):
    ValueError: kernel_size=4 is more than the 2 values of a row (2 steps of 1, with padding=0 at both ends)
    """

    model_type = "seqhub_locally_connected"
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

    num_steps: int = 32
    num_features: int = 1
    connectivity: Literal["local", "dense"] = "local"
    kernel_size: int = 4
    stride: int = 4
    padding: int = 0
    local_features: int = 8

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def input_size(self) -> int:
        """Number of values of a row."""
        return self.num_steps * self.num_features

    @property
    def num_windows(self) -> int:
        """Number of windows of a row."""
        return (self.input_size + 2 * self.padding - self.kernel_size) // self.stride + 1

    @property
    def output_size(self) -> int:
        """Number of hidden units of all windows."""
        return self.num_windows * self.local_features

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        for name in ("num_steps", "num_features", "kernel_size", "stride", "local_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0 <= self.padding < self.kernel_size:
            raise ValueError(f"padding must be in [0, kernel_size={self.kernel_size}), got {self.padding}")
        if self.num_windows < 1:
            raise ValueError(
                f"kernel_size={self.kernel_size} is more than the {self.input_size + 2 * self.padding} values of a row "
                f"({self.num_steps} steps of {self.num_features}, with padding={self.padding} at both ends)"
            )
