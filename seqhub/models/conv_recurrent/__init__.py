"""Convolutional recurrent models: convolutions over the frequencies of each step, then a recurrence over time.

A preset selects the cell of the recurrence:

    >>> sorted(PRESETS)
    ['cnn_gru', 'cnn_lstm', 'cnn_rnn_relu', 'cnn_rnn_tanh']

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.conv_recurrent.configuration_conv_recurrent import (
        ConvRecurrentConfig,
    )
    from seqhub.models.conv_recurrent.modeling_conv_recurrent import (
        ConvRecurrentForSequenceClassification,
        ConvRecurrentForTokenClassification,
        ConvRecurrentModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "ConvRecurrentConfig",
    "ConvRecurrentForSequenceClassification",
    "ConvRecurrentForTokenClassification",
    "ConvRecurrentModel",
]

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {f"cnn_{cell}": {"cell": cell} for cell in ("gru", "lstm", "rnn_relu", "rnn_tanh")}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ConvRecurrentConfig": "configuration_conv_recurrent",
        "ConvRecurrentModel": "modeling_conv_recurrent",
        "ConvRecurrentForSequenceClassification": "modeling_conv_recurrent",
        "ConvRecurrentForTokenClassification": "modeling_conv_recurrent",
    },
)
