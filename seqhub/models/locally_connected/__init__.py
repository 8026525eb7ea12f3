"""Locally connected models, with separate weights for each window, and fully connected ones of the same size.

    >>> PRESETS
    {'fully_connected': {'connectivity': 'dense'}, 'locally_connected': {'connectivity': 'local'}}

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.locally_connected.configuration_locally_connected import (
        LocallyConnectedConfig,
    )
    from seqhub.models.locally_connected.modeling_locally_connected import (
        LocallyConnectedForSequenceClassification,
        LocallyConnectedModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "LocallyConnectedConfig",
    "LocallyConnectedForSequenceClassification",
    "LocallyConnectedModel",
]

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {
    "fully_connected": {"connectivity": "dense"},
    "locally_connected": {"connectivity": "local"},
}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "LocallyConnectedConfig": "configuration_locally_connected",
        "LocallyConnectedModel": "modeling_locally_connected",
        "LocallyConnectedForSequenceClassification": "modeling_locally_connected",
    },
)
