"""Configuration of the wrapped models. This file is saved with the weights, so it does not import seqhub."""

from collections.abc import Callable
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Class that each Auto class loads, as "file.class"; every config.json has all of them
AUTO_MAP = {
    "AutoConfig": "configuration_wrapped.WrappedConfig",
    "AutoModel": "modeling_wrapped.WrappedModel",
    "AutoModelForSequenceClassification": "modeling_wrapped.WrappedForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_wrapped.WrappedForTokenClassification",
    "AutoModelForCausalLM": "modeling_wrapped.WrappedForCausalLM",
}
_UNSAVED = ("_factory", "_source_code")


@strict
class WrappedConfig(PreTrainedConfig):
    """A model of transformers or a PyTorch module, with the inputs and outputs of a task.

    Args:
        source: Id of the wrapped model without its options: `transformers:mamba`, `delta.py:DeltaNet`,
            `package.module:Class`.
        options: Keyword arguments of the class or function that makes the module; for a model of transformers the
            fields that were chosen.
        inner: Complete config of a model of transformers; None for other modules.
        code: Name of the Python file of the module, which is saved with the weights; None without such a file.
        code_sha256: SHA-256 of that file, in hexadecimal.
        inputs: `ids`, given as `input_ids`, or real `values`, given as `input_values`.
        vocab_size: Number of ids, including padding; only for ids.
        num_features: Number of values per step; only for values.
        hidden_size: Width of the vectors that the module reads, if it does not read ids itself.
        num_hidden_layers: Number of layers; None if the module does not say.
        output_size: Width of the hidden states that the module returns; measured when a new model is made.
        time_first: Whether the module reads and returns (T, B, ...) instead of (B, T, ...); measured, too.
        causal: Whether a hidden state depends only on steps up to its own; measured, too.
        pad_token_id: Id of padding.

    Raises:
        ValueError: If the fields are inconsistent; one line with the given and the allowed values.

    >>> WrappedConfig(source="transformers:mamba", inputs="values")
    Traceback (most recent call last):
    ValueError: inputs='values' needs num_features >= 1, got num_features=None
    """

    model_type = "seqhub_wrapped"
    _auto_class = "AutoConfig"  # as set by `register_for_auto_class()`, so that this file is saved with the weights

    source: str = ""
    options: dict[str, Any] | None = None
    inner: dict[str, Any] | None = None
    code: str | None = None
    code_sha256: str | None = None
    inputs: Literal["ids", "values"] = "ids"
    vocab_size: int = 9
    num_features: int | None = None
    hidden_size: int = 64
    num_hidden_layers: int | None = None
    output_size: int | None = None
    time_first: bool = False
    causal: bool = True
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        self._factory: Callable[..., Any] | None = None
        self._source_code: bytes | None = None
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.validate_rules()

    @property
    def factory(self) -> Callable[..., Any] | None:
        """Class or function that makes the module; None for a model of transformers, or if it was not imported."""
        return self._factory

    @property
    def source_code(self) -> bytes | None:
        """Content of the file `code` when it was imported, which is saved with the weights."""
        return self._source_code

    def use(self, factory: Callable[..., Any], source_code: bytes | None = None) -> None:
        """Set the class or function that makes the module and, if it is from a file, the content of this file.

        They are not part of config.json.
        """
        self._factory, self._source_code = factory, source_code

    def to_dict(self) -> dict[str, Any]:
        # The code is saved in the same folder, also if the map of a loaded config refers to another one
        values = {name: value for name, value in super().to_dict().items() if name not in _UNSAVED}
        return values | {"auto_map": AUTO_MAP}

    def validate_rules(self) -> None:
        """Check the fields together.

        Raises:
            ValueError: If a rule is violated; the message is about the first one.
        """
        by_ids = self.inputs == "ids"
        for holds, rule in (
            (by_ids or (self.num_features or 0) >= 1, f"inputs='values' needs num_features >= 1, got {self._features}"),
            (
                not by_ids or self.num_features is None,
                f"num_features is only for inputs='values', got {self._features}",
            ),
            (not by_ids or self.vocab_size >= 2, f"vocab_size must be >= 2, got {self.vocab_size}"),
            (self.hidden_size >= 1, f"hidden_size must be >= 1, got {self.hidden_size}"),
            (
                (self.code is None) == (self.code_sha256 is None),
                f"code and code_sha256 go together, got code={self.code!r} and code_sha256={self.code_sha256!r}",
            ),
        ):
            if not holds:
                raise ValueError(rule)

    @property
    def _features(self) -> str:
        return f"num_features={self.num_features}"
