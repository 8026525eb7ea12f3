"""The sequence autoencoder family: one recurrence reads a sequence into a vector, another writes it out again.

A preset names the cell of both:

    >>> sorted(PRESETS)
    ['gru_autoencoder', 'lstm_autoencoder', 'rnn_relu_autoencoder', 'rnn_tanh_autoencoder']

The classes stand in `configuration_sequence_autoencoder` and `modeling_sequence_autoencoder`.
"""

from typing import Any

INPUTS = ("input_values",)
PRESETS: dict[str, dict[str, Any]] = {
    f"{cell}_autoencoder": {"cell": cell} for cell in ("gru", "lstm", "rnn_relu", "rnn_tanh")
}
