"""Configuration of the sequence autoencoders. This file is saved with the weights, so it does not import seqhub."""

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json has all of them. An autoencoder has no heads.
AUTO_MAP = {
    "AutoConfig": "configuration_sequence_autoencoder.SequenceAutoencoderConfig",
    "AutoModel": "modeling_sequence_autoencoder.SequenceAutoencoderModel",
}


@strict
class SequenceAutoencoderConfig(PreTrainedConfig):
    """Architecture of a sequence autoencoder.

    Args:
        step_shape: Shape of the values of one step: `[2]` for points in a plane, `[28, 28]` for video frames.
        cell: Recurrence of encoder and decoder. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al.
            (2014) in PyTorch's form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al.
            (2000).
        hidden_size: Width of the states, and of the latent vector.
        num_hidden_layers: Number of stacked recurrences, in the encoder and in the decoder.

    Raises:
        ValueError: If a value is out of range; one line with the given and the allowed values.

    >>> SequenceAutoencoderConfig(step_shape=[4, 4]).step_size
    16
    """

    model_type = "seqhub_sequence_autoencoder"
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

    step_shape: list[int] | tuple[int, ...] = (2,)
    cell: Literal["rnn_tanh", "rnn_relu", "gru", "lstm"] = "lstm"
    hidden_size: int = 20
    num_hidden_layers: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        self.step_shape = list(self.step_shape)  # as loaded from JSON
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def step_size(self) -> int:
        """Number of values of one step."""
        return math.prod(self.step_shape)

    def validate_rules(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        if not self.step_shape or min(self.step_shape) < 1:
            raise ValueError(f"step_shape must be one or more sizes >= 1, got {self.step_shape}")
        for name in ("hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
