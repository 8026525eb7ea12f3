"""Recurrent models: RNN, GRU and LSTM, in one or two directions, with a linear readout.

A preset selects the cell; the other fields have the defaults of `RecurrentConfig`:

    >>> sorted(PRESETS)
    ['gru', 'lstm', 'rnn_relu', 'rnn_tanh']

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.recurrent.configuration_recurrent import (
        RecurrentConfig,
    )
    from seqhub.models.recurrent.modeling_recurrent import (
        RecurrentForCausalLM,
        RecurrentForSequenceClassification,
        RecurrentForTokenClassification,
        RecurrentModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "RecurrentConfig",
    "RecurrentForCausalLM",
    "RecurrentForSequenceClassification",
    "RecurrentForTokenClassification",
    "RecurrentModel",
]

INPUTS = ("input_ids", "input_values")
PRESETS: dict[str, dict[str, Any]] = {cell: {"cell": cell} for cell in ("gru", "lstm", "rnn_relu", "rnn_tanh")}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "RecurrentConfig": "configuration_recurrent",
        "RecurrentModel": "modeling_recurrent",
        "RecurrentForSequenceClassification": "modeling_recurrent",
        "RecurrentForTokenClassification": "modeling_recurrent",
        "RecurrentForCausalLM": "modeling_recurrent",
    },
)
