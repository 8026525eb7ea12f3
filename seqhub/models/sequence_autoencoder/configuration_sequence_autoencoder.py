"""Config of the sequence autoencoders. Travels with the weights, so it imports nothing of seqhub."""

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json gets all of them. There are no heads: what an
# autoencoder is for, it does itself.
AUTO_MAP = {
    "AutoConfig": "configuration_sequence_autoencoder.SequenceAutoencoderConfig",
    "AutoModel": "modeling_sequence_autoencoder.SequenceAutoencoderModel",
}


@strict
class SequenceAutoencoderConfig(PreTrainedConfig):
    """Architecture of a sequence autoencoder.

    Args:
        step_shape: Shape of the values of one step: `[2]` for points of a plane, `[28, 28]` for frames of a film.
        cell: Recurrence of encoder and decoder. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al.
            (2014) in PyTorch's form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al.
            (2000).
        hidden_size: Width of the state of both, and so of the latent vector.
        num_hidden_layers: Stacked recurrences, in each of both.

    Raises:
        ValueError: If a value is out of range; one line that says what was given and what is allowed.

    >>> SequenceAutoencoderConfig(step_shape=[4, 4]).step_size
    16
    """

    model_type = "seqhub_sequence_autoencoder"
    _auto_class = "AutoConfig"  # as `register_for_auto_class()` sets it: this file is copied with the weights

    step_shape: list[int] | tuple[int, ...] = (2,)
    cell: Literal["rnn_tanh", "rnn_relu", "gru", "lstm"] = "lstm"
    hidden_size: int = 20
    num_hidden_layers: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        self.step_shape = list(self.step_shape)  # as JSON gives it back
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it again, but would wrap the error in a second line

    def to_dict(self) -> dict[str, Any]:
        # The code is copied with every save, so the map refers to the same folder, whatever a loaded config said
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def step_size(self) -> int:
        """Values of one step."""
        return math.prod(self.step_shape)

    def validate_rules(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: At the first broken rule.
        """
        if not self.step_shape or min(self.step_shape) < 1:
            raise ValueError(f"step_shape must be one or more sizes >= 1, got {self.step_shape}")
        for name in ("hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
