"""Configuration of the recurrent models. This file is saved with the weights, so it does not import seqhub."""

import math
import sys
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class". Every config.json has all of them, because `save_pretrained` writes
# only the class that was saved, and the other Auto classes would fail.
AUTO_MAP = {
    "AutoConfig": "configuration_recurrent.RecurrentConfig",
    "AutoModel": "modeling_recurrent.RecurrentModel",
    "AutoModelForSequenceClassification": "modeling_recurrent.RecurrentForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_recurrent.RecurrentForTokenClassification",
    "AutoModelForCausalLM": "modeling_recurrent.RecurrentForCausalLM",
}

# Fields of version 0.1 for the cell that is now the family hs97, with their defaults, which other cells have
_HS97_FIELDS = {
    "block_size": 1,
    "connectivity": "full",
    "gradient": "truncated",
    "output_gates": True,
    "squash_input": "g2",
    "squash_output": "h1",
    "biased_units": "all",
    "init_range": 0.1,
    "output_gate_bias": None,
}


@strict
class RecurrentConfig(PreTrainedConfig):
    """Architecture and initialization of a recurrent model.

    Args:
        cell: Recurrence. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al. (2014) in PyTorch's
            form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000).
        inputs: Input of the first layer: `one_hot` vectors of `input_ids`, a learnt `embedding` of them, or real
            `values` given as `input_values`.
        vocab_size: Number of ids, including padding; only for ids.
        embedding_size: Width of the embedding; required by `inputs="embedding"`, not allowed otherwise.
        num_features: Number of values per step; required by `inputs="values"`, not allowed otherwise.
        hidden_size: Width of the state in each direction.
        num_hidden_layers: Number of stacked recurrences.
        bidirectional: Whether every layer also reads from the last step to the first; doubles the width of its output.
        dropout: Dropout probability between stacked layers, in [0, 1); without effect with a single layer.
        pooling: Pooling over the steps: the `last` real step (in the backward direction the first), or `mean` or `max`
            over the real steps.
        logistic_outputs: Whether the outputs of a head are logistic units with half the squared error as loss, as in
            Hochreiter & Schmidhuber (1997): the logits are the inputs of these units, and targets are 1 for the label
            and 0 for all others, or numbers in [0, 1]. If False, outputs are linear, with a loss that depends on the
            labels.
        initialization: Initialization of the weights, which is decisive for learning long lags. `default` as in
            PyTorch, uniform in +-1/sqrt(hidden_size). The others start from it and then set

            - `forget_bias`: the bias of the gate that keeps the state (forget gate of the LSTM, update gate of the
              GRU) to `forget_bias`; Gers, Schmidhuber & Cummins (2000), "Learning to Forget".
            - `chrono`: that bias to ln u with u uniform in [1, chrono_max_steps - 1], and the input gate of the LSTM
              to its negative; Tallec & Ollivier (2018), "Can Recurrent Neural Networks Warp Time?"
            - `identity`: recurrent weights to the identity, biases to zero, input weights to a normal distribution
              of standard deviation 0.001; Le, Jaitly & Hinton (2015), "A Simple Way to Initialize Recurrent Networks of
              Rectified Linear Units".
        forget_bias: Value for `initialization="forget_bias"`.
        input_gate_bias: With cell `lstm` and `initialization="forget_bias"`, bias of the input gates. Negative values
            keep the gates nearly closed at first. If None, the biases are initialized like other weights.
        latch: Number added to the weight of each unit of a GRU or LSTM on its own candidate. A unit s = tanh(w s + x)
            with w > 1 has two stable states and keeps one of them despite noise: Bengio, Simard & Frasconi (1994),
            "Learning Long-Term Dependencies with Gradient Descent is Difficult", section III.
        chrono_max_steps: Longest lag in steps, >= 3; required by `initialization="chrono"`, not allowed otherwise.
        pad_token_id: Id of padding. It has no column in the one-hot vectors, so that a padded step is the zero vector.
            If None, every id is a symbol and only `attention_mask` marks padding.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> RecurrentConfig(cell="rnn_relu", initialization="chrono", chrono_max_steps=110)
    Traceback (most recent call last):
    ValueError: initialization='chrono' sets gate biases and needs cell 'gru' or 'lstm', got cell='rnn_relu'
    """

    model_type = "seqhub_recurrent"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (typed by its base); Trainer does not gather it
    # As set by `register_for_auto_class()`, so that this file is saved with the weights. The function itself imports
    # the Auto classes, whose import hook requires that this module has been imported completely.
    _auto_class = "AutoConfig"

    cell: Literal["rnn_tanh", "rnn_relu", "gru", "lstm"] = "lstm"
    inputs: Literal["one_hot", "embedding", "values"] = "one_hot"
    vocab_size: int = 9
    embedding_size: int | None = None
    num_features: int | None = None
    hidden_size: int = 8
    num_hidden_layers: int = 1
    bidirectional: bool = False
    dropout: float | int = 0.0
    pooling: Literal["last", "mean", "max"] = "last"
    logistic_outputs: bool = False
    initialization: Literal["default", "forget_bias", "chrono", "identity"] = "default"
    forget_bias: float | int = 1.0
    input_gate_bias: float | int | None = None
    latch: float | int = 0.0
    chrono_max_steps: int | None = None
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        if (model_type := kwargs.pop("model_type", self.model_type)) != self.model_type:
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        for name, default in _HS97_FIELDS.items():
            if (value := kwargs.pop(name, default)) != default:
                raise ValueError(f"{name} is a field of Hs97Config, got {name}={value!r} with cell={self.cell!r}")
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Return the config of a dictionary; for the cell `lstm_hs97` of version 0.1, a config of the family `hs97`."""
        # Not imported, since this file must work without seqhub
        hs97 = sys.modules.get("seqhub.models.hs97.configuration_hs97")
        if hs97 is not None and config_dict.get("cell") == "lstm_hs97":
            return hs97.Hs97Config.from_dict(config_dict, **kwargs)
        return super().from_dict(config_dict, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def num_symbols(self) -> int:
        """Number of ids without the padding id."""
        return self.vocab_size - (self.pad_token_id is not None)

    @property
    def input_size(self) -> int:
        """Width of the input of the first layer."""
        if self.inputs == "one_hot":
            return self.num_symbols
        return self.embedding_size if self.inputs == "embedding" else self.num_features  # type: ignore[return-value]

    @property
    def output_size(self) -> int:
        """Width of the output of a layer, in both directions together."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    @property
    def memory_size(self) -> int:
        """Width of the cell state of one direction; 0 for cells without a cell state."""
        return self.hidden_size if self.cell == "lstm" else 0

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        for name, least, field, owner in (
            ("embedding_size", 1, "inputs", "embedding"),
            ("num_features", 1, "inputs", "values"),
            ("chrono_max_steps", 3, "initialization", "chrono"),
        ):
            value, choice = getattr(self, name), getattr(self, field)
            if choice == owner and (value is None or value < least):
                raise ValueError(f"{field}={owner!r} needs {name} >= {least}, got {name}={value}")
            if choice != owner and value is not None:
                raise ValueError(f"{name} is only for {field}={owner!r}, got {name}={value} with {field}={choice!r}")

        gated = self.cell in ("gru", "lstm")
        by_ids = self.inputs != "values"
        pad = self.pad_token_id
        for holds, rule in (
            (self.hidden_size >= 1, f"hidden_size must be >= 1, got {self.hidden_size}"),
            (self.num_hidden_layers >= 1, f"num_hidden_layers must be >= 1, got {self.num_hidden_layers}"),
            (0 <= self.dropout < 1, f"dropout must be in [0, 1), got {self.dropout}"),
            (math.isfinite(self.forget_bias), f"forget_bias must be finite, got {self.forget_bias}"),
            (math.isfinite(self.latch), f"latch must be finite, got {self.latch}"),
            (
                gated or self.latch == 0,
                f"latch is a weight on the candidate of cell 'gru' or 'lstm', got {self.latch} with cell={self.cell!r}",
            ),
            (self.vocab_size >= 2 or not by_ids, f"vocab_size must be >= 2, got {self.vocab_size}"),
            (
                pad is None or 0 <= pad < self.vocab_size or not by_ids,
                f"pad_token_id must be None or in [0, {self.vocab_size}), got {pad}",
            ),
            (
                gated or self.initialization not in ("forget_bias", "chrono"),
                f"initialization={self.initialization!r} sets gate biases and needs cell 'gru' or 'lstm', "
                f"got cell={self.cell!r}",
            ),
            (
                self.cell.startswith("rnn") or self.initialization != "identity",
                f"initialization='identity' needs cell 'rnn_tanh' or 'rnn_relu', got cell={self.cell!r}",
            ),
            (
                self.input_gate_bias is None or (self.cell == "lstm" and self.initialization == "forget_bias"),
                f"input_gate_bias needs cell='lstm' and initialization='forget_bias', got cell={self.cell!r} and "
                f"initialization={self.initialization!r}",
            ),
            (
                self.input_gate_bias is None or math.isfinite(self.input_gate_bias),
                f"input_gate_bias must be finite, got {self.input_gate_bias}",
            ),
        ):
            if not holds:
                raise ValueError(rule)
