"""Wrapped models: any model of transformers or PyTorch module from inputs to hidden states, with seqhub's heads.

The family has no presets. Its models are chosen by ids such as `transformers:mamba` or `delta.py:DeltaNet`; see
`seqhub.models.ids`. The classes are imported at first use.
"""

from typing import TYPE_CHECKING, Any

from seqhub._lazy import lazy_attributes

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.models.wrapped.configuration_wrapped import WrappedConfig
    from seqhub.models.wrapped.modeling_wrapped import (
        WrappedForCausalLM,
        WrappedForSequenceClassification,
        WrappedForTokenClassification,
        WrappedModel,
    )

__all__ = [
    "INPUTS",
    "PRESETS",
    "WrappedConfig",
    "WrappedForCausalLM",
    "WrappedForSequenceClassification",
    "WrappedForTokenClassification",
    "WrappedModel",
]

INPUTS = ("input_ids", "input_values")
PRESETS: dict[str, dict[str, Any]] = {}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "WrappedConfig": "configuration_wrapped",
        "WrappedModel": "modeling_wrapped",
        "WrappedForSequenceClassification": "modeling_wrapped",
        "WrappedForTokenClassification": "modeling_wrapped",
        "WrappedForCausalLM": "modeling_wrapped",
    },
)
