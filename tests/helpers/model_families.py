"""Every preset of every family on real values: its shapes, and batches for it."""

from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from seqhub.models.registry import build_config, build_model, config_fields, list_heads, list_inputs, list_presets


class Shape(NamedTuple):
    """Settings in addition to the preset's, and the rows that the model then accepts."""

    settings: dict[str, Any]
    step: tuple[int, ...]  # shape of one step
    steps: tuple[int, int]  # least and most steps of a row


_PLAIN = {"plain": Shape({"inputs": "values", "num_features": 3, "hidden_size": 5}, (3,), (1, 9))}
SHAPES: dict[str, dict[str, Shape]] = {
    "hs97": _PLAIN,
    "recurrent": _PLAIN,
    "recurrent_seq2seq": {
        "plain": Shape({"inputs": "values", "num_features": 3, "hidden_size": 5}, (3,), (2, 9)),
    },
    "convolutional": {
        "max": Shape({"num_features": 3, "channels": 5, "kernel_size": 3}, (3,), (3, 9)),
        "mean": Shape({"num_features": 3, "channels": 5, "pooling": "mean"}, (3,), (2, 9)),
        "flatten": Shape({"num_features": 3, "channels": 2, "pooling": "flatten", "num_steps": 6}, (3,), (6, 6)),
    },
    "locally_connected": {
        "tiled": Shape({"num_steps": 8, "num_features": 3, "kernel_size": 6, "stride": 6}, (3,), (8, 8)),
        "overlapping": Shape({"num_steps": 7, "num_features": 2, "stride": 2, "padding": 2}, (2,), (7, 7)),
    },
    "sequence_autoencoder": {
        "point": Shape({"step_shape": [1], "hidden_size": 5}, (1,), (1, 9)),
        "image": Shape({"step_shape": [2, 3], "hidden_size": 5, "num_hidden_layers": 2}, (2, 3), (1, 9)),
    },
    "conv_recurrent": {
        "plain": Shape({"num_features": 12, "hidden_size": 5}, (12,), (1, 9)),
        "mean": Shape({"num_features": 6, "kernel_sizes": [3], "hidden_size": 5, "pooling": "mean"}, (6,), (1, 9)),
        "deep": Shape(
            {
                "num_features": 14,
                "channels": [3, 4],
                "kernel_sizes": [3, 2],
                "strides": [1, 2],
                "pool_sizes": [2, 1],
                "pool_strides": [1, 1],
                "hidden_size": 5,
                "num_hidden_layers": 2,
                "pooling": "max",
            },
            (14,),
            (1, 9),
        ),
    },
}


def shapes_of(family: str) -> dict[str, Shape]:
    """Return the shapes of a family on real values: those above, or defaults for other families."""
    if family in SHAPES:
        return SHAPES[family]
    if "input_values" not in list_inputs(family):
        return {}
    preset = list_presets(family=family)[0]
    settings = {"inputs": "values", "num_features": 3} if "inputs" in config_fields(preset) else {}
    config = build_config(preset, **settings)
    steps = (config.num_steps,) * 2 if "num_steps" in config_fields(preset) else (1, 9)
    return {"plain": Shape(settings, tuple(getattr(config, "step_shape", None) or (config.num_features,)), steps)}


class Case(NamedTuple):
    preset: str
    shape: Shape
    head: str


def family_of(preset: str) -> str:
    return build_config(preset).model_type.removeprefix("seqhub_")


CASES = [
    pytest.param(Case(preset, shape, head), id=f"{preset}-{name}-{head}")
    for preset in list_presets()
    for name, shape in shapes_of(family_of(preset)).items()
    for head in list_heads(family_of(preset))
    if head != "causal"  # for ids only
]

WITHOUT_DECODER = [case for case in CASES if "seq2seq" not in list_heads(family_of(case.values[0].preset))]


def build(case: Case, *, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    torch.manual_seed(seed)
    return build_model(build_config(case.preset, num_labels=4, **case.shape.settings | overrides), case.head).eval()


def rows_for(case: Case, seed: int, count: int = 6) -> list[Tensor]:
    """Return rows with as many steps as the model allows."""
    random = torch.Generator().manual_seed(seed)
    least, most = case.shape.steps
    lengths = torch.randint(least, most + 1, (count,), generator=random)
    return [torch.randn(int(length), *case.shape.step, generator=random) for length in lengths]


def padded(rows: list[Tensor], side: str, width: int, fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return values and mask; `side` is left, right, or mixed, where row i starts at step i if it fits."""
    values = torch.full((len(rows), width, *rows[0].shape[1:]), fill)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        start = {"left": width - len(row), "right": 0, "mixed": min(i, width - len(row))}[side]
        values[i, start : start + len(row)] = row
        mask[i, start : start + len(row)] = 1
    return values, mask


def answers(model: PreTrainedModel, values: Tensor, mask: Tensor) -> list[Tensor]:
    """Return the outputs for each row, of real steps only: scores, or the pooled vector of a model without a head."""
    output = model(input_values=values, attention_mask=mask)
    batch = next(output[name] for name in ("logits", "pooler_output", "last_hidden_state") if name in output)
    by_step = batch.dim() > 2 and batch.shape[1] == mask.shape[1]  # a decoder has steps of its own
    return [each[real.bool()] if by_step else each for each, real in zip(batch, mask, strict=True)]


def loss(model: PreTrainedModel, values: Tensor, mask: Tensor) -> Tensor:
    """Return a loss that depends on all outputs of the model and differs from row to row."""
    rows = enumerate(answers(model, values, mask))
    return torch.cat([row.flatten().float() - 2 * (number % 2) for number, row in rows]).square().mean()


@cache
@torch.enable_grad()
def _trained(preset: str, name: str, head: str) -> PreTrainedModel:
    case = Case(preset, shapes_of(family_of(preset))[name], head)
    model = build(case).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        loss(model, *padded(rows_for(case, 1), "right", case.shape.steps[1])).backward()
        optimizer.step()
    return model.eval()


def trained(case: Case) -> PreTrainedModel:
    """Return a model after a few large steps, in eval mode, with no weight near its initial value. Read-only."""
    (name,) = (name for name, shape in shapes_of(family_of(case.preset)).items() if shape == case.shape)
    return _trained(case.preset, name, case.head)
