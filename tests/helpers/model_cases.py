"""Every preset that takes ids, in several architectures, with batches of ids."""

from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from seqhub.models.registry import build_config, build_model, list_heads, list_presets

Head = Literal["sequence", "token", "causal", "base"]
Rows = tuple[tuple[int, ...], ...]

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"num_hidden_layers": 2},
    "bidirectional": {"bidirectional": True},
    "deep-bidirectional": {"num_hidden_layers": 2, "bidirectional": True, "dropout": 0.1},
    "mean": {"pooling": "mean", "bidirectional": True},
    "max": {"pooling": "max"},
    "embedding": {"inputs": "embedding", "embedding_size": 6},
}
PRESETS = list_presets("input_ids", head="causal")
WITH_CELLS = ("lstm", "lstm_hs97")  # presets with cell states
HEADS = list_heads("recurrent")
CASES = [pytest.param(preset, name, id=f"{preset}-{name}") for preset in PRESETS for name in VARIANTS]


def build(preset: str, head: Head = "sequence", *, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    settings = {"hidden_size": 5, "num_labels": 4} | overrides
    torch.manual_seed(seed)
    return build_model(build_config(preset, **settings), head).eval()


@cache
@torch.enable_grad()
def trained(preset: str, variant: str, head: Head = "sequence") -> PreTrainedModel:
    """Return a model after a few large steps, so that no weight is near its initial value; shared, so read only."""
    if head == "base":
        return trained(preset, variant).model
    model = build(preset, head, **VARIANTS[variant]).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    rows = ragged(1)
    ids, mask = padded(rows, "right")
    labels = ids if head == "causal" else torch.randint(4, ids.shape if head == "token" else ids.shape[:1])
    for _ in range(5):
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


def ragged(seed: int, rows: int = 6, longest: int = 12) -> Rows:
    rng = np.random.default_rng(seed)
    return tuple(tuple(rng.integers(1, 9, rng.integers(1, longest + 1)).tolist()) for _ in range(rows))


def padded(rows: Rows, side: str, width: int | None = None) -> tuple[Tensor, Tensor]:
    """Return ids and mask; `side` is left, right, or mixed, where row i starts at step i if it fits."""
    width = max(map(len, rows)) if width is None else width
    ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        start = {"left": width - len(row), "right": 0, "mixed": min(i, width - len(row))}[side]
        ids[i, start : start + len(row)] = torch.tensor(row)
        mask[i, start : start + len(row)] = 1
    return ids, mask


def alone(row: tuple[int, ...]) -> Tensor:
    return torch.tensor([row])
