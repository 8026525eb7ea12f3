"""Padding at any position does not change results, including models with trained, nonzero biases."""

import copy

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from tests.helpers.model_cases import CASES, PRESETS, alone, build, padded, ragged, trained

SIDES = ["right", "left", "mixed"]


def close(actual: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("preset", "variant"), CASES)
@torch.no_grad()
def test_logits_of_a_batch_equal_those_of_single_rows(preset, variant, side):
    model, rows = trained(preset, variant), ragged(2)
    ids, mask = padded(rows, side, width=15)  # wider than the longest row
    batch = model(input_ids=ids, attention_mask=mask).logits
    close(batch, torch.cat([model(input_ids=alone(row)).logits for row in rows]))
    assert batch.std() > 0.1  # rows have different logits


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("preset", "variant"), CASES)
@torch.no_grad()
def test_step_logits_of_a_batch_equal_those_of_single_rows(preset, variant, side):
    model, rows = trained(preset, variant, "token"), ragged(3)
    ids, mask = padded(rows, side, width=15)
    batch = model(input_ids=ids, attention_mask=mask).logits
    close(batch[mask.bool()], torch.cat([model(input_ids=alone(row)).logits[0] for row in rows]))


@pytest.mark.parametrize(("preset", "variant"), CASES)
@torch.no_grad()
def test_states_of_a_batch_equal_those_of_single_rows(preset, variant):
    model, rows = trained(preset, variant), ragged(4)
    single = [model(input_ids=alone(row), output_hidden_states=True) for row in rows]
    for side in SIDES:
        ids, mask = padded(rows, side, width=15)
        batch = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        for name in ("hidden_states", "cell_states"):
            for layer, states in enumerate(batch.get(name, ())):
                close(states[mask.bool()], torch.cat([each[name][layer][0] for each in single]))


@given(
    data=st.data(),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    extra=st.integers(0, 4),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_real_steps_may_be_at_any_position(preset, data, lengths, extra):
    """Includes padding between real steps."""
    model = trained(preset, "deep-bidirectional")
    width = max(lengths) + extra
    ids, mask = torch.zeros(len(lengths), width, dtype=torch.long), torch.zeros(len(lengths), width, dtype=torch.long)
    rows = []
    for i, length in enumerate(lengths):
        places = sorted(data.draw(st.permutations(range(width)))[:length])
        rows.append(tuple(data.draw(st.lists(st.integers(1, 8), min_size=length, max_size=length))))
        ids[i, places], mask[i, places] = torch.tensor(rows[-1]), 1
    batch = model(input_ids=ids, attention_mask=mask).logits
    close(batch, torch.cat([model(input_ids=alone(row)).logits for row in rows]))


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_gradients_of_a_batch_are_the_sum_over_rows(preset, variant):
    model = copy.deepcopy(trained(preset, variant)).double()  # to reduce rounding errors
    rows = ragged(5)
    labels = torch.randint(4, (len(rows),))
    for side in SIDES:
        ids, mask = padded(rows, side, width=15)
        model.zero_grad()
        (model(input_ids=ids, attention_mask=mask, labels=labels).loss * len(rows)).backward()
        batch = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        for row, label in zip(rows, labels, strict=True):
            model(input_ids=alone(row), labels=label[None]).loss.backward()
        for name, together, apart in zip(dict(model.named_parameters()), batch, model.parameters(), strict=True):
            torch.testing.assert_close(together, apart.grad, atol=1e-12, rtol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_padding_with_other_data_types(preset, dtype):
    model, rows = copy.deepcopy(trained(preset, "bidirectional")).to(dtype), ragged(6)
    single = torch.cat([model(input_ids=alone(row)).logits for row in rows])
    for side in SIDES:
        batch = model(**dict(zip(("input_ids", "attention_mask"), padded(rows, side, width=15), strict=True))).logits
        assert batch.dtype == dtype
        close(batch, single, atol=1e-12 if dtype == torch.float64 else 0.1)


@pytest.mark.parametrize("mask_type", [torch.bool, torch.int32, torch.float32])
def test_mask_may_have_any_data_type(mask_type):
    model = trained("lstm", "plain")
    ids, mask = padded(ragged(7), "left")
    close(model(ids, mask.to(mask_type)).logits, model(ids, mask).logits, atol=0)


@pytest.mark.parametrize("variant", ["plain", "embedding"])
@pytest.mark.parametrize("head", ["sequence", "token"])
def test_without_a_mask_the_padding_id_is_padding(variant, head):
    model = trained("gru", variant, head)
    for side in SIDES:
        ids, mask = padded(ragged(8), side)
        close(model(input_ids=ids).logits, model(input_ids=ids, attention_mask=mask).logits, atol=0)


def test_without_padding_id_every_step_is_real():
    model = build("lstm", pad_token_id=None)
    assert model.model.layers[0].recurrence.input_size == 9
    ids = torch.tensor([[0, 3, 0], [2, 0, 0]])
    close(model(input_ids=ids).logits, model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, atol=0)


def test_another_padding_id():
    """Every other id has a column, in order after the padding id."""
    model = build("lstm", "base", pad_token_id=4)
    vectors = model(input_ids=torch.arange(9)[None], attention_mask=torch.ones(1, 9), output_hidden_states=True)
    vectors = vectors.hidden_states[0][0]
    assert vectors[4].eq(0).all()
    torch.testing.assert_close(vectors[[5, 6, 7, 8, 0, 1, 2, 3]], torch.eye(8))


def test_ids_in_the_padding_are_ignored():
    """The tutorials read the last step of the array, which may be padding."""
    for variant in ("plain", "bidirectional", "mean", "max", "embedding"):
        model = trained("rnn_tanh", variant)
        ids, mask = padded(ragged(9), "right", width=15)
        noise = torch.where(mask.bool(), ids, torch.randint(1, 9, ids.shape))
        close(model(noise, mask).logits, model(ids, mask).logits, atol=0)


def test_padded_values_do_not_affect_gradients():
    model = build("lstm", inputs="values", num_features=3, bidirectional=True)
    values, mask = torch.randn(2, 5, 3), torch.tensor([[1, 1, 1, 1, 0], [0, 0, 1, 1, 0]])
    values[mask == 0] = torch.nan
    model(input_values=values, attention_mask=mask, labels=torch.tensor([0, 1])).loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_rows_without_a_real_step_are_errors():
    model, mask = build("lstm"), torch.tensor([[1, 1], [0, 0], [0, 0]])
    with pytest.raises(ValueError, match="row 1 is all padding"):
        model(input_ids=torch.ones(3, 2, dtype=torch.long), attention_mask=mask)
    with pytest.raises(ValueError, match="row 0 is all padding"):
        model(input_ids=torch.tensor([[0, 0], [1, 0]]))
