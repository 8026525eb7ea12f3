"""Convolutional models: one convolution over time, ReLU, and a linear readout.

A baseline without memory for the recurrent models on real values, after D. Voigt Godoy, "Deep Learning with PyTorch
Step-by-Step" (2021), ch. 8, on sequences.

    >>> PRESETS
    {'cnn': {}}

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.convolutional.configuration_convolutional import (
        ConvolutionalConfig,
    )
    from seqhub.models.convolutional.modeling_convolutional import (
        ConvolutionalForSequenceClassification,
        ConvolutionalModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "ConvolutionalConfig",
    "ConvolutionalForSequenceClassification",
    "ConvolutionalModel",
]

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {"cnn": {}}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ConvolutionalConfig": "configuration_convolutional",
        "ConvolutionalModel": "modeling_convolutional",
        "ConvolutionalForSequenceClassification": "modeling_convolutional",
    },
)
