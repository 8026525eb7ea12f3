"""Conformance tests of a model: what holds for its outputs, measured on a copy with noise on its weights.

Noise makes faults visible that a newly initialised model hides, such as blocks that start as the identity. The tests
take about a second for a small model. A failed test is reported and restricts what the model may be used for; nothing
is worked around.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqhub._logging import quiet_transformers
from seqhub.models.reports import Conformance

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-3  # largest difference that counts as rounding, in standard deviations of the outputs
_NOISE = 0.1
_LENGTHS = (21, 13, 17)
_FIRST = 11  # steps of the first of two segments


def check_conformance(model: PreTrainedModel) -> Conformance:
    """Test a new model on random inputs; the model and the random state of torch do not change.

    The differences are in standard deviations of the hidden states, the largest over all real steps:

    - `causal`: the states before a changed step.
    - `right_padding`, `left_padding`, `batch`: each row with padding of random content, and each row with others,
      against the row alone.
    - `cached`: the steps after a prefix one by one with the carried state, against all steps at once.
    - `chunked`: two segments with the carried state, as in truncated backpropagation through time.
    - `saved`: a saved and loaded copy.

    Args:
        model: Model of the family `wrapped`, with any head, on the CPU.

    Returns:
        The differences, and the names of the tests that passed and failed. `cached` and `chunked` are None if the model
        does not return a state.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), quiet_transformers():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return _check(model)


def _check(model: PreTrainedModel) -> Conformance:
    copied = copy.deepcopy(model).eval()
    body = getattr(copied, copied.base_model_prefix, copied)
    with torch.no_grad():
        for parameter in body.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn_like(parameter) * _NOISE)
    rows = [_inputs(body, 1, length) for length in _LENGTHS]
    with torch.no_grad():
        alone = [_states(body, row) for row in rows]
        scale = float(torch.cat([each[0] for each in alone]).std()) or 1.0

        def largest(pairs: list[tuple[Tensor, Tensor]]) -> float:
            found = max(float((one - two).abs().max()) for one, two in pairs) / scale
            return float(f"{found:.2g}")

        found: Conformance = {
            "causal": largest(_changed(body, rows[0], alone[0])),
            "right_padding": largest(_padded(body, rows, alone, left=False)),
            "left_padding": largest(_padded(body, rows, alone, left=True)),
            "batch": largest(_together(body, rows)),
            "cached": _carried(largest, lambda: _segments(body, rows[0], alone[0], one_by_one=True)),
            "chunked": _carried(largest, lambda: _segments(body, rows[0], alone[0], one_by_one=False)),
            "saved": largest(_saved(copied, rows)),
        }
    found["finite_gradients"] = _finite_gradients(copied, rows[0])
    results = {name: value for name, value in found.items() if value is not None}
    passed = [name for name, value in results.items() if (value is True or (value is not False and value <= TOLERANCE))]  # type: ignore[operator]
    return found | {"passed": passed, "failed": [name for name in results if name not in passed]}


def _inputs(body: Any, rows: int, steps: int) -> Tensor:
    if body.config.inputs == "values":
        return torch.randn(rows, steps, body.config.num_features)
    return torch.randint(1, body.config.vocab_size, (rows, steps))


def _states(body: Any, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        mask = torch.ones(inputs.shape[:2], dtype=torch.long)
    states: Tensor = body(**{body.main_input_name: inputs}, attention_mask=mask, return_dict=True).last_hidden_state
    return states


def _changed(body: Any, row: Tensor, states: Tensor) -> list[tuple[Tensor, Tensor]]:
    pairs = []
    for step in (1, row.size(1) // 2, row.size(1) - 1):
        changed = torch.cat([row[:, :step], _inputs(body, 1, row.size(1) - step)], dim=1)
        if body.config.inputs == "ids":  # another symbol for certain, if there are two
            changed[:, step] = row[:, step] % (body.config.vocab_size - 1) + 1
        pairs.append((_states(body, changed)[:, :step], states[:, :step]))
    return pairs


def _padded(body: Any, rows: list[Tensor], alone: list[Tensor], *, left: bool) -> list[tuple[Tensor, Tensor]]:
    width = max(_LENGTHS)
    batch, mask = _inputs(body, len(rows), width), torch.zeros(len(rows), width, dtype=torch.long)
    places = []
    for number, row in enumerate(rows):
        start = width - row.size(1) if left else 0
        places.append(slice(start, start + row.size(1)))
        batch[number, places[-1]] = row[0]
        mask[number, places[-1]] = 1
    try:
        states = _states(body, batch, mask)
    except ValueError:  # a model that reads later steps and takes no mask
        return [(torch.tensor(torch.inf), torch.tensor(0.0))]
    return [(states[number, place], one[0]) for number, (place, one) in enumerate(zip(places, alone, strict=True))]


def _together(body: Any, rows: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    steps = min(_LENGTHS)
    batch = torch.cat([row[:, :steps] for row in rows])
    states = _states(body, batch)
    return [(states[number], _states(body, batch[number : number + 1])[0]) for number in range(len(rows))]


def _segments(body: Any, row: Tensor, states: Tensor, *, one_by_one: bool) -> list[tuple[Tensor, Tensor]]:
    parts = [row[:, :_FIRST], *(row[:, _FIRST:].split(1, dim=1) if one_by_one else (row[:, _FIRST:],))]
    found, state = [], None
    for part in parts:
        output = body(**{body.main_input_name: part}, past_key_values=state, use_cache=True, return_dict=True)
        state = output.past_key_values.detach()
        found.append(output.last_hidden_state)
    return [(torch.cat(found, dim=1), states)]


def _carried(
    largest: Callable[[list[tuple[Tensor, Tensor]]], float], run: Callable[[], list[tuple[Tensor, Tensor]]]
) -> float | None:
    """Return the largest difference with a carried state; None if the model cannot carry one."""
    try:
        return largest(run())
    except Exception:  # of any kind: the code is not ours, and the state is optional
        return None


def _saved(model: PreTrainedModel, rows: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    prefix = model.base_model_prefix
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        model.save_pretrained(folder)
        config = copy.deepcopy(model.config)
        loaded = type(model).from_pretrained(folder, config=config).eval()
    one, two = getattr(model, prefix, model), getattr(loaded, prefix, loaded)
    return [(_states(one, row), _states(two, row)) for row in rows]


def _finite_gradients(model: PreTrainedModel, row: Tensor) -> bool:
    body: Any = getattr(model, model.base_model_prefix, model)
    model.train()
    model.zero_grad()
    _states(body, row).square().mean().backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return bool(gradients) and all(bool(each.isfinite().all()) for each in gradients)
