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

_OF_BLOCKS = ("block_size", "connectivity", "gradient", "output_gates", "squash_input", "squash_output", "biased_units")


@strict
class RecurrentConfig(PreTrainedConfig):
    """Shape and first weights of a recurrent model.

    Args:
        cell: Recurrence. `rnn_tanh` and `rnn_relu` after Elman (1990), `gru` after Cho et al. (2014) in PyTorch's
            form, `lstm` after Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000), `lstm_hs97`
            their memory cell blocks as they were in 1997 (see `memory_blocks`).
        inputs: What enters the first layer: `one_hot` vectors of `input_ids`, a learnt `embedding` of them, or
            real `values` given as `input_values`.
        vocab_size: Number of ids, the padding id included; only for ids.
        embedding_size: Width of the embedding; needed by `inputs="embedding"`, refused otherwise.
        num_features: Values per step; needed by `inputs="values"`, refused otherwise.
        hidden_size: Width of the state of one direction; of `lstm_hs97` its memory cells.
        num_hidden_layers: Stacked recurrences.
        bidirectional: Whether every layer also reads from the last step to the first; doubles the width of its output.
        dropout: Probability between stacked layers, in [0, 1); without effect with a single one.
        pooling: How the steps become one vector: the `last` real step (of the backward direction: the first), or
            `mean` or `max` over the real steps.
        block_size: Memory cells of `lstm_hs97` that share their gates; it divides `hidden_size`.
        connectivity: What the units of `lstm_hs97` read besides the input. `full`: the cells and gates all cells and
            gates of the step before (F in table 10 of the paper). `below`: nothing, and a head reads the input beside
            the cells (B); of a single layer in one direction.
        gradient: Of `lstm_hs97`: `truncated` lets errors go back in time only along the cell states, as in the paper;
            `full` is backpropagation through time. The outputs are the same.
        output_gates: Whether `lstm_hs97` has output gates beside its input gates.
        squash_input: What a cell of `lstm_hs97` squashes its input by: logistic `g2` to [-2, 2] or `g1` to [0, 1].
        squash_output: What its state is squashed by: `h1`, logistic to [-1, 1], or `id`, not at all.
        biased_units: Units of a model of `lstm_hs97` that have a bias: `all`, the `hidden` ones but not the outputs,
            only the `gates`, or `none`.
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
            - `hs97`: all weights of `lstm_hs97` and of its head uniform in +-`init_range`, as in the paper, but
              for the gate biases below.
        forget_bias: Value for `initialization="forget_bias"`.
        init_range: Bound of the weights, above 0, for `initialization="hs97"`; like `forget_bias`, others ignore it.
        input_gate_bias: Beside `forget_bias` or `hs97`, the bias of the input gates: below zero, little is written at
            first; a remedy of Hochreiter & Schmidhuber (1997), section 4, against abuse and drift of the cell state. A
            number, or of `lstm_hs97` one for each block, as in [-2, -4]. If None, it stays as drawn.
        output_gate_bias: The same of the output gates, only with `hs97`.
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

    cell: Literal["rnn_tanh", "rnn_relu", "gru", "lstm", "lstm_hs97"] = "lstm"
    inputs: Literal["one_hot", "embedding", "values"] = "one_hot"
    vocab_size: int = 9
    embedding_size: int | None = None
    num_features: int | None = None
    hidden_size: int = 8
    num_hidden_layers: int = 1
    bidirectional: bool = False
    dropout: float | int = 0.0
    pooling: Literal["last", "mean", "max"] = "last"
    block_size: int = 1
    connectivity: Literal["full", "below"] = "full"
    gradient: Literal["truncated", "full"] = "truncated"
    output_gates: bool = True
    squash_input: Literal["g1", "g2"] = "g2"
    squash_output: Literal["id", "h1"] = "h1"
    biased_units: Literal["none", "gates", "hidden", "all"] = "all"
    logistic_outputs: bool = False
    initialization: Literal["default", "forget_bias", "chrono", "identity", "hs97"] = "default"
    forget_bias: float | int = 1.0
    init_range: float | int = 0.1
    input_gate_bias: float | int | list[float | int] | None = None
    output_gate_bias: float | int | list[float | int] | None = None
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
        """Width of the output of a layer: both directions side by side, or cells and input of `below`."""
        return self.hidden_size * (2 if self.bidirectional else 1) + (
            self.input_size if self.connectivity == "below" else 0
        )

    @property
    def num_blocks(self) -> int:
        """Memory cell blocks of `lstm_hs97`."""
        return self.hidden_size // self.block_size

    @property
    def num_gates(self) -> int:
        """Gate units of `lstm_hs97`."""
        return self.num_blocks * (1 + self.output_gates)

    @property
    def memory_size(self) -> int:
        """Width of what one direction carries beside its hidden state: cell states, and of `lstm_hs97` gates."""
        return {"lstm": self.hidden_size, "lstm_hs97": self.hidden_size + self.num_gates}.get(self.cell, 0)

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

        self._validate_blocks()
        self._validate_gate_biases()
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
                self.cell == "lstm_hs97" or self.initialization != "hs97",
                f"initialization='hs97' needs cell 'lstm_hs97', got cell={self.cell!r}",
            ),
        ):
            if not holds:
                raise ValueError(rule)

    def _validate_blocks(self) -> None:
        """Check the fields of `lstm_hs97`."""
        if not 0 < self.init_range < math.inf:
            raise ValueError(f"init_range must be above 0, got {self.init_range}")
        if self.cell != "lstm_hs97":
            for name in _OF_BLOCKS:
                if (value := getattr(self, name)) != getattr(type(self), name):
                    raise ValueError(
                        f"{name} is only for cell='lstm_hs97', got {name}={value!r} with cell={self.cell!r}"
                    )
            return
        one = self.num_hidden_layers == 1 and not self.bidirectional
        for holds, rule in (
            (
                self.block_size >= 1 and self.hidden_size % self.block_size == 0,
                f"block_size must divide hidden_size {self.hidden_size}, got {self.block_size}",
            ),
            (
                self.connectivity != "below" or one,
                f"connectivity='below' needs one layer in one direction, got num_hidden_layers="
                f"{self.num_hidden_layers} and bidirectional={self.bidirectional}",
            ),
        ):
            if not holds:
                raise ValueError(rule)

    def _validate_gate_biases(self) -> None:
        """Check what the gates start with."""
        for name in ("input_gate_bias", "output_gate_bias"):
            if (value := getattr(self, name)) is None:
                continue
            values = value if isinstance(value, list) else [value]
            blocks = (self.cell, self.initialization) == ("lstm_hs97", "hs97")
            number = (self.cell, self.initialization, name) == ("lstm", "forget_bias", "input_gate_bias")
            has_gates = name == "input_gate_bias" or self.output_gates
            for holds, rule in (
                (
                    blocks or number,
                    f"{name} is for cell='lstm_hs97' with initialization='hs97', that of input gates also for 'lstm' "
                    f"with 'forget_bias', got cell={self.cell!r} with initialization={self.initialization!r}",
                ),
                (all(map(math.isfinite, values)), f"{name} must be finite, got {value}"),
                (
                    not isinstance(value, list) or (blocks and len(value) == self.num_blocks),
                    f"{name} must be a number, or one for each block of 'lstm_hs97', got {value}",
                ),
                (
                    not blocks or (has_gates and self.biased_units != "none"),
                    f"{name} needs such gates with biases, got output_gates={self.output_gates} and "
                    f"biased_units={self.biased_units!r}",
                ),
            ):
                if not holds:
                    raise ValueError(rule)
