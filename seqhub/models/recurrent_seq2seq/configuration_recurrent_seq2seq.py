"""Configuration of recurrent encoder-decoders. This file is saved with the weights, so it does not import seqhub."""

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_recurrent import RecurrentConfig

# Class that each Auto class loads, as "file.class"; every config.json has all of them. transformers has one Auto class
# for texts to texts and one for real values to texts.
AUTO_MAP = {
    "AutoConfig": "configuration_recurrent_seq2seq.RecurrentSeq2SeqConfig",
    "AutoModel": "modeling_recurrent_seq2seq.RecurrentSeq2SeqModel",
    "AutoModelForSeq2SeqLM": "modeling_recurrent_seq2seq.RecurrentSeq2SeqForConditionalGeneration",
    "AutoModelForSpeechSeq2Seq": "modeling_recurrent_seq2seq.RecurrentSeq2SeqForConditionalGeneration",
}


@strict
class RecurrentSeq2SeqConfig(PreTrainedConfig):
    """Architecture of a recurrent encoder-decoder, and the schedule of its teacher forcing.

    Args:
        is_encoder_decoder: Always True; `generate` of transformers reads it.
        cell: Recurrence of the encoder, see `RecurrentConfig`.
        decoder_cell: Recurrence of the decoder.
        inputs: Input of the encoder: `one_hot` vectors of `input_ids`, a learnt `embedding` of them, or real `values`
            given as `input_values`.
        vocab_size: Number of ids of the source, including padding; only for ids.
        embedding_size: Width of the embedding of the source; required by `inputs="embedding"`, not allowed otherwise.
        num_features: Number of values per step; required by `inputs="values"`, not allowed otherwise.
        hidden_size: Width of the states, in each direction of the encoder, and of the embedding of target ids.
        num_hidden_layers: Number of stacked recurrences of the encoder.
        bidirectional: Whether the encoder also reads from the last step to the first.
        num_decoder_layers: Number of stacked recurrences of the decoder.
        decoder_vocab_size: Number of ids of the target: padding, symbols and the end.
        attention: Score of a source step for the state of the decoder: `additive` after Bahdanau, Cho & Bengio (2015),
            `multiplicative` (general) after Luong, Pham & Manning (2015), or `none`: the decoder then has only the
            last state of the encoder.
        input_feeding: Whether the decoder also reads the attentional vector of its previous step, after Luong et al.;
            needs an attention.
        tie_word_embeddings: Whether the readout has the weights of the embedding of target ids.
        dropout: Dropout probability between stacked layers, and of the vectors that the readout reads, in [0, 1).
        teacher_forcing: Probability that the decoder reads the target's previous id in training, and not an id sampled
            from its own output, after Bengio, Vinyals, Jaitly & Shazeer (2015), "Scheduled Sampling for Sequence
            Prediction with Recurrent Neural Networks". After i batches, with k = `teacher_forcing_batches`:

            - `always`: 1.
            - `linear`: 1 - i / k.
            - `exponential`: exp(-i / k).
            - `inverse_sigmoid`: k / (k + exp(i / k)).
        teacher_forcing_batches: Number k of training batches, >= 1; required by a schedule, not allowed without one.
        teacher_forcing_floor: Smallest probability, in [0, 1].
        max_target_length: Number of ids of the longest target with its end, which `generate` returns at most by
            default. If None, the default of transformers.
        pad_token_id: Id of padding in source and target.
        decoder_start_token_id: First id that the decoder reads.
        eos_token_id: Id of the end of a target. If None, the last one.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> RecurrentSeq2SeqConfig(input_feeding=True)
    Traceback (most recent call last):
    ValueError: input_feeding=True: must be False with attention='none'
    """

    model_type = "seqhub_recurrent_seq2seq"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (typed by its base); Trainer does not gather it
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

    is_encoder_decoder: bool = True
    cell: Literal["gru", "lstm"] = "lstm"
    decoder_cell: Literal["gru", "lstm"] = "lstm"
    inputs: Literal["one_hot", "embedding", "values"] = "one_hot"
    vocab_size: int = 9
    embedding_size: int | None = None
    num_features: int | None = None
    hidden_size: int = 64
    num_hidden_layers: int = 1
    bidirectional: bool = True
    num_decoder_layers: int = 1
    decoder_vocab_size: int = 10
    attention: Literal["none", "additive", "multiplicative"] = "none"
    input_feeding: bool = False
    tie_word_embeddings: bool = False
    dropout: float | int = 0.0
    teacher_forcing: Literal["always", "linear", "exponential", "inverse_sigmoid"] = "always"
    teacher_forcing_batches: int | None = None
    teacher_forcing_floor: float | int = 0.0
    max_target_length: int | None = None
    pad_token_id: int = 0
    decoder_start_token_id: int = 0
    eos_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        if self.eos_token_id is None:
            self.eos_token_id = self.decoder_vocab_size - 1
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def encoder_size(self) -> int:
        """Width of the outputs of the encoder, in both directions together."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    def for_encoder(self) -> RecurrentConfig:
        """Return the config of the encoder."""
        return RecurrentConfig(
            cell=self.cell,
            inputs=self.inputs,
            vocab_size=self.vocab_size,
            embedding_size=self.embedding_size,
            num_features=self.num_features,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            pad_token_id=self.pad_token_id,
        )

    def for_decoder(self) -> RecurrentConfig:
        """Return the config of the decoder's recurrence, which reads embedded ids as real values."""
        return RecurrentConfig(
            cell=self.decoder_cell,
            inputs="values",
            num_features=self.hidden_size * (2 if self.input_feeding else 1),
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_decoder_layers,
            dropout=self.dropout,
        )

    def teacher_probability(self, batches: int) -> float:
        """Return the probability that the decoder reads the target's previous id, after a number of training batches.

        >>> config = RecurrentSeq2SeqConfig(teacher_forcing="linear", teacher_forcing_batches=100)
        >>> config.teacher_probability(0), config.teacher_probability(25), config.teacher_probability(500)
        (1.0, 0.75, 0.0)
        """
        if self.teacher_forcing == "always":
            return 1.0
        k = self.teacher_forcing_batches or 1
        share = batches / k
        if self.teacher_forcing == "linear":
            scheduled = 1 - share
        elif self.teacher_forcing == "exponential":
            scheduled = math.exp(-share)
        else:
            scheduled = k / (k + math.exp(min(share, 700.0)))  # exp(710) is above the largest float
        return max(float(self.teacher_forcing_floor), scheduled)

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        size = self.decoder_vocab_size
        scheduled, batches = self.teacher_forcing != "always", self.teacher_forcing_batches
        for holds, rule in (
            (self.is_encoder_decoder, "is_encoder_decoder must be True, got False"),
            (self.num_decoder_layers >= 1, f"num_decoder_layers must be >= 1, got {self.num_decoder_layers}"),
            (size >= 3, f"decoder_vocab_size must be >= 3, for padding, a symbol and the end, got {size}"),
            (
                self.attention != "none" or not self.input_feeding,
                f"input_feeding={self.input_feeding}: must be False with attention='none'",
            ),
            (
                (batches is not None and batches >= 1) if scheduled else batches is None,
                f"teacher_forcing_batches={batches}: must be "
                + ("at least 1" if scheduled else "None")
                + f" with teacher_forcing={self.teacher_forcing!r}",
            ),
            (
                0 <= self.teacher_forcing_floor <= 1,
                f"teacher_forcing_floor must be in [0, 1], got {self.teacher_forcing_floor}",
            ),
            (
                self.max_target_length is None or self.max_target_length >= 1,
                f"max_target_length must be None or >= 1, got {self.max_target_length}",
            ),
            *(
                (0 <= getattr(self, name) < size, f"{name} must be in [0, {size}), got {getattr(self, name)}")
                for name in ("pad_token_id", "decoder_start_token_id", "eos_token_id")
            ),
            (
                self.eos_token_id not in (self.pad_token_id, self.decoder_start_token_id),
                f"eos_token_id={self.eos_token_id}: must differ from pad_token_id and decoder_start_token_id",
            ),
        ):
            if not holds:
                raise ValueError(rule)
        self.for_encoder()  # checks the fields of the encoder
