"""The convolutional recurrent family: filters over the frequencies of each step, then a recurrence over time.

A preset names the cell of the recurrence:

    >>> sorted(PRESETS)
    ['cnn_gru', 'cnn_lstm', 'cnn_rnn_relu', 'cnn_rnn_tanh']

The classes stand in `configuration_conv_recurrent` and `modeling_conv_recurrent`.
"""

from typing import Any

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {f"cnn_{cell}": {"cell": cell} for cell in ("gru", "lstm", "rnn_relu", "rnn_tanh")}
