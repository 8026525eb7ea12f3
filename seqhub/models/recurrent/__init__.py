"""The recurrent family: plain, gated and bidirectional recurrences with a linear readout.

A preset names a cell; everything else keeps the default of `RecurrentConfig` until it is overridden:

    >>> sorted(PRESETS)
    ['gru', 'lstm', 'lstm_hs97', 'rnn_relu', 'rnn_tanh']

The classes stand in `configuration_recurrent`, `memory_blocks` and `modeling_recurrent`. They are not imported
here, so that the presets can be listed without torch.
"""

from typing import Any

INPUTS = ("input_ids", "input_values")
PRESETS: dict[str, dict[str, Any]] = {
    cell: {"cell": cell} for cell in ("gru", "lstm", "lstm_hs97", "rnn_relu", "rnn_tanh")
}
