"""Shape of the recurrent models. Travels with the weights: nothing of seqhub may be imported here."""

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Which class each Auto class loads, as "file.class". Written whole into every config.json, because
# `save_pretrained` by itself writes only the class that was saved, and the other Auto classes then fail.
AUTO_MAP = {
    "AutoConfig": "configuration_recurrent.RecurrentConfig",
    "AutoModel": "modeling_recurrent.RecurrentModel",
    "AutoModelForSequenceClassification": "modeling_recurrent.RecurrentForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_recurrent.RecurrentForTokenClassification",
    "AutoModelForCausalLM": "modeling_recurrent.RecurrentForCausalLM",
}


@strict
class RecurrentConfig(PreTrainedConfig):
    """Shape and first weights of a recurrent model.

    Args:
        cell: Recurrence. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al. (2014) in PyTorch's
            form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000).
        inputs: What enters the first layer: `one_hot` vectors of `input_ids`, a learnt `embedding` of them, or
            real `values` given as `input_values`.
        vocab_size: Number of ids, the padding id included; only for ids.
        embedding_size: Width of the embedding; needed by `inputs="embedding"`, refused otherwise.
        num_features: Values per step; needed by `inputs="values"`, refused otherwise.
        hidden_size: Width of the state of one direction.
        num_hidden_layers: Stacked recurrences.
        bidirectional: Whether every layer also reads from the last step to the first; doubles the width of its output.
        dropout: Probability between stacked layers, in [0, 1); without effect with a single one.
        pooling: How the steps become one vector: the `last` real step (of the backward direction: the first), or
            `mean` or `max` over the real steps.
        logistic_outputs: Whether the outputs of a head are logistic units with half the squared error as loss, as in
            Hochreiter & Schmidhuber (1997): the logits are what these units squash, and targets are 1 for the label and
            0 for all others, or numbers in [0, 1]. If False, they are linear, with a loss by the kind of label.
        initialization: First weights, which decide whether long lags are learnt at all. `default` is PyTorch's:
            uniform in +-1/sqrt(hidden_size). The others start there and then set

            - `forget_bias`: the bias of the gate that keeps the state (forget gate of the LSTM, update gate of the
              GRU) to `forget_bias`; Gers, Schmidhuber & Cummins (2000), "Learning to Forget".
            - `chrono`: that bias to ln u with u uniform in [1, chrono_max_steps - 1], and the input gate of the LSTM
              to its negative; Tallec & Ollivier (2018), "Can Recurrent Neural Networks Warp Time?"
            - `identity`: recurrent weights to the identity, biases to zero, input weights to a normal distribution
              of deviation 0.001; Le, Jaitly & Hinton (2015), "A Simple Way to Initialize Recurrent Networks of
              Rectified Linear Units".
        forget_bias: Value for `initialization="forget_bias"`.
        input_gate_bias: Beside `forget_bias`, the bias of the LSTM's input gate: below zero, little is written at
            first; a remedy of Hochreiter & Schmidhuber (1997), section 4, against abuse and drift of the cell state. If
            None, it stays as drawn.
        latch: What is added to the weight of each unit of a GRU or LSTM on its own candidate. A unit s = tanh(w s + x)
            with w > 1 has two stable states and holds one of them against noise: Bengio, Simard & Frasconi (1994),
            "Learning Long-Term Dependencies with Gradient Descent is Difficult", section III.
        chrono_max_steps: Longest lag in steps, >= 3; needed by `initialization="chrono"`, refused otherwise.
        pad_token_id: Id of padding. It has no column in the one-hot vectors: a padded step is the zero vector. If
            None, every id is a symbol and only `attention_mask` tells padding.

    Raises:
        ValueError: If the fields contradict each other; one line that says what was given and what is allowed.

    >>> RecurrentConfig(cell="rnn_relu", initialization="chrono", chrono_max_steps=110)
    Traceback (most recent call last):
    ValueError: initialization='chrono' sets gate biases and needs cell 'gru' or 'lstm', got cell='rnn_relu'
    """

    model_type = "seqhub_recurrent"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (typed by its base); what Trainer gathers
    # As `register_for_auto_class()` sets it: this file is copied beside the weights. Set here because that call
    # imports the Auto classes, whose import hook asks for this half-made module.
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
            raise ValueError(f"the config is of a {model_type!r} model, a {self.model_type!r} one is wanted")
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it again, but would wrap the error in a second line

    def to_dict(self) -> dict[str, Any]:
        # The code is copied along with every save, so the map means the same folder, whatever a loaded config said
        return super().to_dict() | {"auto_map": AUTO_MAP}

    @property
    def num_symbols(self) -> int:
        """Number of ids without that of padding, which is neither read nor predicted."""
        return self.vocab_size - (self.pad_token_id is not None)

    @property
    def input_size(self) -> int:
        """Width of the vectors that enter the first layer."""
        if self.inputs == "one_hot":
            return self.num_symbols
        return self.embedding_size if self.inputs == "embedding" else self.num_features  # type: ignore[return-value]

    @property
    def output_size(self) -> int:
        """Width of the output of a layer: both directions side by side."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    def validate_rules(self) -> None:
        """Check what no single field can tell.

        Raises:
            ValueError: At the first broken rule.
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
            (
                math.isfinite(self.input_gate_bias or 0),
                f"input_gate_bias must be finite, got {self.input_gate_bias}",
            ),
            (
                self.input_gate_bias is None or (self.cell, self.initialization) == ("lstm", "forget_bias"),
                f"input_gate_bias is for cell='lstm' with initialization='forget_bias', got cell={self.cell!r} with "
                f"initialization={self.initialization!r}",
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
                not gated or self.initialization != "identity",
                f"initialization='identity' needs cell 'rnn_tanh' or 'rnn_relu', got cell={self.cell!r}",
            ),
        ):
            if not holds:
                raise ValueError(rule)
