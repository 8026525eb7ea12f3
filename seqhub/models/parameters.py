"""How many weights a model has, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Count the parameters of each module that has some of its own, in order; their sum is that of the model.

    Parameters that modules share are counted at the first of them.

    >>> from seqhub.models.registry import build_model, build_config
    >>> parameter_counts(build_model(build_config("lstm", hidden_size=4, num_labels=4), "sequence"))
    {'model.layers.0.recurrence': 224, 'classifier': 20}
    """
    seen: set[int] = set()
    counts = {}
    for name, module in model.named_modules():
        own = [each for each in module.parameters(recurse=False) if id(each) not in seen]
        seen |= {id(each) for each in own}
        if own:
            counts[name] = sum(each.numel() for each in own)
    return counts
