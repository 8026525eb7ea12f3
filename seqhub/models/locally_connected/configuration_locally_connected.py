"""Config of the locally connected models. Travels with the weights, so it imports nothing of seqhub."""

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

    A row is read as the vector of all its values, step after step: `num_steps * num_features` of them.

    Args:
        num_steps: Steps of every row.
        num_features: Values per step.
        connectivity: `local` where each hidden value sees one window, with weights of its own; `dense` where as many
            hidden values see the whole row.
        kernel_size: Values in a window.
        stride: Values from one window to the next.
        padding: Zeros put on both ends.
        local_features: Hidden values per window.

    Raises:
        ValueError: If the fields contradict each other; one line that says what was given and what is allowed.

    >>> config = LocallyConnectedConfig(num_steps=32, kernel_size=4, stride=4)
    >>> config.num_windows, config.output_size
    (8, 64)
    >>> LocallyConnectedConfig(num_steps=2)
    Traceback (most recent call last):
    ValueError: kernel_size=4 is more than the 2 values of a row (2 steps of 1, and 0 zeros on both ends)
    """

    model_type = "seqhub_locally_connected"
    _auto_class = "AutoConfig"  # as `register_for_auto_class()` sets it: this file is copied with the weights

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
        self.validate_rules()  # `strict` calls it again, but would wrap the error in a second line

    def to_dict(self) -> dict[str, Any]:
        # The code is copied with every save, so the map refers to the same folder, whatever a loaded config said
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def input_size(self) -> int:
        """Values of a row."""
        return self.num_steps * self.num_features

    @property
    def num_windows(self) -> int:
        """Windows of a row."""
        return (self.input_size + 2 * self.padding - self.kernel_size) // self.stride + 1

    @property
    def output_size(self) -> int:
        """Hidden values of all windows together."""
        return self.num_windows * self.local_features

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: At the first broken rule.
        """
        for name in ("num_steps", "num_features", "kernel_size", "stride", "local_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0 <= self.padding < self.kernel_size:
            raise ValueError(f"padding must be in [0, kernel_size={self.kernel_size}), got {self.padding}")
        if self.num_windows < 1:
            raise ValueError(
                f"kernel_size={self.kernel_size} is more than the {self.input_size + 2 * self.padding} values of a row "
                f"({self.num_steps} steps of {self.num_features}, and {self.padding} zeros on both ends)"
            )
