"""Configuration of the original (1997) LSTM. This file is saved with the weights, so it does not import seqhub."""

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json gets all of them
AUTO_MAP = {
    "AutoConfig": "configuration_hs97.Hs97Config",
    "AutoModel": "modeling_hs97.Hs97Model",
    "AutoModelForSequenceClassification": "modeling_hs97.Hs97ForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_hs97.Hs97ForTokenClassification",
    "AutoModelForCausalLM": "modeling_hs97.Hs97ForCausalLM",
}

_CELL = "lstm_hs97"
_OLD_MODEL_TYPE = "seqhub_recurrent"
# Fields of version 0.1 for other cells, when this model was a cell of the recurrent family
_RECURRENT_FIELDS = ("cell", "forget_bias", "latch", "chrono_max_steps")


@strict
class Hs97Config(PreTrainedConfig):
    """Architecture and initialization of a model with memory cell blocks.

    The blocks are as in Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", without a forget gate (see
    `memory_blocks`).

    Args:
        inputs: Input of the first layer: `one_hot` vectors of `input_ids`, a learnt `embedding` of them, or real
            `values` given as `input_values`.
        vocab_size: Number of ids, including padding; only for ids.
        embedding_size: Width of the embedding; required by `inputs="embedding"`, not allowed otherwise.
        num_features: Number of values per step; required by `inputs="values"`, not allowed otherwise.
        hidden_size: Number of memory cells in each direction.
        num_hidden_layers: Number of stacked recurrences.
        bidirectional: Whether every layer also reads from the last step to the first; doubles the width of its output.
        dropout: Dropout probability between stacked layers, in [0, 1); without effect with a single layer.
        pooling: Pooling over the steps: the `last` real step (in the backward direction the first), or `mean` or `max`
            over the real steps.
        block_size: Number of memory cells that share their gates, a divisor of `hidden_size`.
        connectivity: Inputs of the units in addition to the input of the layer. `full`: all cells and gates of the
            previous step (F in table 10 of the paper). `below`: none, and a head reads the input in addition to the
            cells (B); only for a single layer in one direction.
        gradient: `truncated` propagates errors back in time only along the cell states, as in the paper; `full` is
            backpropagation through time. The outputs are equal.
        output_gates: Whether there are output gates in addition to the input gates.
        squash_input: Activation of the input of a cell: logistic `g2` to [-2, 2] or `g1` to [0, 1].
        squash_output: Activation of the state of a cell: `h1`, logistic to [-1, 1], or `id`, the identity.
        biased_units: Units that have a bias: `all`, the `hidden` ones but not the outputs, only the `gates`, or `none`.
        logistic_outputs: Whether the outputs of a head are logistic units with half the squared error as loss, as in
            the paper: the logits are the inputs of these units, and targets are 1 for the label and 0 for all others,
            or numbers in [0, 1]. If False, outputs are linear, with a loss that depends on the labels.
        initialization: `default` as in PyTorch, uniform in +-1/sqrt(hidden_size). `hs97` as in the paper: all weights,
            including the head, uniform in +-`init_range`, with the gate biases below.
        init_range: Bound of the weights, above 0, for `initialization="hs97"`.
        input_gate_bias: With `initialization="hs97"`, bias of the input gates. Negative values keep the gates nearly
            closed at first, a remedy of the paper, section 4, against abuse and drift of the cell state. A number, or
            one for each block, as in [-2, -4]. If None, the biases are initialized like other weights.
        output_gate_bias: The same for the output gates.
        pad_token_id: Id of padding. It has no column in the one-hot vectors, so that a padded step is the zero vector.
            If None, every id is a symbol and only `attention_mask` marks padding.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> Hs97Config(hidden_size=4, block_size=3)
    Traceback (most recent call last):
    ValueError: block_size must divide hidden_size 4, got 3
    """

    model_type = "seqhub_hs97"
    cell = _CELL  # name of the recurrence for the native kernels; not a field
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (typed by its base); Trainer does not gather it
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

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
    initialization: Literal["default", "hs97"] = "default"
    init_range: float | int = 0.1
    input_gate_bias: float | int | list[float | int] | None = None
    output_gate_bias: float | int | list[float | int] | None = None
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        model_type, cell = kwargs.pop("model_type", self.model_type), kwargs.get("cell", _CELL)
        if model_type not in (self.model_type, _OLD_MODEL_TYPE):
            raise ValueError(f"model_type={model_type!r}: must be {self.model_type!r}")
        if cell != _CELL:
            raise ValueError(f"cell={cell!r}: must be {_CELL!r}; RecurrentConfig has the other cells")
        for name in _RECURRENT_FIELDS:
            kwargs.pop(name, None)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()  # `strict` calls it, too, but adds a second line to the error

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
        """Width of the output of a layer: both directions, or cells and input with `connectivity="below"`."""
        return self.hidden_size * (2 if self.bidirectional else 1) + (
            self.input_size if self.connectivity == "below" else 0
        )

    @property
    def num_blocks(self) -> int:
        """Number of memory cell blocks."""
        return self.hidden_size // self.block_size

    @property
    def num_gates(self) -> int:
        """Number of gate units."""
        return self.num_blocks * (1 + self.output_gates)

    @property
    def memory_size(self) -> int:
        """Number of cell states and gate activations that one direction carries in addition to its outputs."""
        return self.hidden_size + self.num_gates

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        for name, owner in (("embedding_size", "embedding"), ("num_features", "values")):
            value = getattr(self, name)
            if self.inputs == owner and (value is None or value < 1):
                raise ValueError(f"inputs={owner!r} needs {name} >= 1, got {name}={value}")
            if self.inputs != owner and value is not None:
                raise ValueError(f"{name} is only for inputs={owner!r}, got {name}={value} with inputs={self.inputs!r}")
        by_ids = self.inputs != "values"
        pad = self.pad_token_id
        one = self.num_hidden_layers == 1 and not self.bidirectional
        for holds, rule in (
            (self.hidden_size >= 1, f"hidden_size must be >= 1, got {self.hidden_size}"),
            (self.num_hidden_layers >= 1, f"num_hidden_layers must be >= 1, got {self.num_hidden_layers}"),
            (0 <= self.dropout < 1, f"dropout must be in [0, 1), got {self.dropout}"),
            (0 < self.init_range < math.inf, f"init_range must be above 0, got {self.init_range}"),
            (self.vocab_size >= 2 or not by_ids, f"vocab_size must be >= 2, got {self.vocab_size}"),
            (
                pad is None or 0 <= pad < self.vocab_size or not by_ids,
                f"pad_token_id must be None or in [0, {self.vocab_size}), got {pad}",
            ),
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
        for name, has_gates in (("input_gate_bias", True), ("output_gate_bias", self.output_gates)):
            self._validate_gate_bias(name, has_gates)

    def _validate_gate_bias(self, name: str, has_gates: bool) -> None:
        if (value := getattr(self, name)) is None:
            return
        values = value if isinstance(value, list) else [value]
        for holds, rule in (
            (
                self.initialization == "hs97",
                f"{name} needs initialization='hs97', got initialization={self.initialization!r}",
            ),
            (all(map(math.isfinite, values)), f"{name} must be finite, got {value}"),
            (
                not isinstance(value, list) or len(value) == self.num_blocks,
                f"{name} must be a number, or one for each of {self.num_blocks} blocks, got {value}",
            ),
            (
                has_gates and self.biased_units != "none",
                f"{name} needs such gates with biases, got output_gates={self.output_gates} and "
                f"biased_units={self.biased_units!r}",
            ),
        ):
            if not holds:
                raise ValueError(rule)
