"""The convolutional family: one convolution over time, a rectifier, and a linear readout.

The twin without memory of the recurrent models on real values, after the sequence chapter of D. Voigt Godoy, "Deep
Learning with PyTorch Step-by-Step" (2021), ch. 8.

    >>> PRESETS
    {'cnn': {}}

The classes stand in `configuration_convolutional` and `modeling_convolutional`.
"""

from typing import Any

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {"cnn": {}}
