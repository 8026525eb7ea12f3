"""Sequence autoencoders: a recurrence encodes a sequence as a vector, and another one decodes it.

A preset selects the cell of both:

    >>> sorted(PRESETS)
    ['gru_autoencoder', 'lstm_autoencoder', 'rnn_relu_autoencoder', 'rnn_tanh_autoencoder']

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.sequence_autoencoder.configuration_sequence_autoencoder import (
        SequenceAutoencoderConfig,
    )
    from seqhub.models.sequence_autoencoder.modeling_sequence_autoencoder import (
        SequenceAutoencoderModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "SequenceAutoencoderConfig",
    "SequenceAutoencoderModel",
]

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {
    f"{cell}_autoencoder": {"cell": cell} for cell in ("gru", "lstm", "rnn_relu", "rnn_tanh")
}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "SequenceAutoencoderConfig": "configuration_sequence_autoencoder",
        "SequenceAutoencoderModel": "modeling_sequence_autoencoder",
    },
)
