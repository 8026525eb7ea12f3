"""Original LSTM of Hochreiter & Schmidhuber (1997): memory cell blocks without a forget gate, truncated gradients.

    >>> PRESETS
    {'lstm_hs97': {}}

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.hs97.configuration_hs97 import Hs97Config
    from seqhub.models.hs97.modeling_hs97 import (
        Hs97ForCausalLM,
        Hs97ForSequenceClassification,
        Hs97ForTokenClassification,
        Hs97Model,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "Hs97Config",
    "Hs97ForCausalLM",
    "Hs97ForSequenceClassification",
    "Hs97ForTokenClassification",
    "Hs97Model",
]

INPUTS = ("input_ids", "input_values")
PRESETS: dict[str, dict[str, Any]] = {"lstm_hs97": {}}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Hs97Config": "configuration_hs97",
        "Hs97Model": "modeling_hs97",
        "Hs97ForSequenceClassification": "modeling_hs97",
        "Hs97ForTokenClassification": "modeling_hs97",
        "Hs97ForCausalLM": "modeling_hs97",
    },
)
