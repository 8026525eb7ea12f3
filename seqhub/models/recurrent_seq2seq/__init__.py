"""Recurrent encoder-decoders: an LSTM or GRU reads a sequence, and another one writes its target, with attention.

A preset selects the cell of both and the attention; the other fields have the defaults of `RecurrentSeq2SeqConfig`:

    >>> sorted(PRESETS)[:3]
    ['gru_seq2seq', 'gru_seq2seq_additive', 'gru_seq2seq_multiplicative']

The classes are imported at first use, so that the presets can be listed without importing torch.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.recurrent_seq2seq.configuration_recurrent_seq2seq import (
        RecurrentSeq2SeqConfig,
    )
    from seqhub.models.recurrent_seq2seq.modeling_recurrent_seq2seq import (
        RecurrentSeq2SeqForConditionalGeneration,
        RecurrentSeq2SeqModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "RecurrentSeq2SeqConfig",
    "RecurrentSeq2SeqForConditionalGeneration",
    "RecurrentSeq2SeqModel",
]

INPUTS = ("input_ids", "input_values")
PRESETS: dict[str, dict[str, Any]] = {
    f"{cell}_seq2seq{'' if attention == 'none' else f'_{attention}'}": {
        "cell": cell,
        "decoder_cell": cell,
        "attention": attention,
    }
    for cell in ("gru", "lstm")
    for attention in ("none", "additive", "multiplicative")
}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "RecurrentSeq2SeqConfig": "configuration_recurrent_seq2seq",
        "RecurrentSeq2SeqModel": "modeling_recurrent_seq2seq",
        "RecurrentSeq2SeqForConditionalGeneration": "modeling_recurrent_seq2seq",
    },
)
