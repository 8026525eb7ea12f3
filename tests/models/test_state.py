"""A sequence split into segments, with the state passed from one to the next, gives the same results."""

import copy

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from tests.helpers.model_cases import PRESETS, WITH_CELLS, alone, build, padded, ragged, trained

FORWARD = ["plain", "deep", "max", "embedding"]
CASES = [pytest.param(preset, variant, id=f"{preset}-{variant}") for preset in PRESETS for variant in FORWARD]


def close(actual: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


@given(data=st.data(), rows=st.integers(1, 4), steps=st.integers(1, 10))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize(("preset", "variant"), CASES)
@torch.no_grad()
def test_segments_equal_the_whole_sequence(preset, variant, data, rows, steps):
    """For any segments and positions of real steps, including rows without a real step in a segment."""
    model = trained(preset, variant, "token")
    ids = torch.tensor(data.draw(st.lists(st.lists(st.integers(1, 8), min_size=steps, max_size=steps),
                                          min_size=rows, max_size=rows)))  # fmt: skip
    mask = torch.tensor(data.draw(st.lists(st.lists(st.integers(0, 1), min_size=steps, max_size=steps).filter(any),
                                           min_size=rows, max_size=rows)))  # fmt: skip
    cuts = sorted(data.draw(st.sets(st.integers(1, steps - 1), max_size=3))) if steps > 1 else []
    whole = model(ids, mask, use_cache=True, output_hidden_states=True)
    state, logits, hidden, cells = None, [], [], []
    for start, stop in zip([0, *cuts], [*cuts, steps], strict=True):
        part = model(
            ids[:, start:stop],
            mask[:, start:stop],
            past_key_values=state,
            use_cache=True,
            output_hidden_states=True,
        )
        state = part.past_key_values
        logits.append(part.logits)
        hidden.append(part.hidden_states[-1])
        cells.append(part.cell_states[-1] if preset in WITH_CELLS else part.logits)
    real = mask.bool()
    close(torch.cat(logits, 1)[real], whole.logits[real])
    close(torch.cat(hidden, 1)[real], whole.hidden_states[-1][real])
    if preset in WITH_CELLS:
        close(torch.cat(cells, 1)[real], whole.cell_states[-1][real])
        close(state.cell, whole.past_key_values.cell)
    close(state.hidden, whole.past_key_values.hidden)
    assert state.steps == whole.past_key_values.steps == steps


@pytest.mark.parametrize("side", ["none", "left", "right", "mixed"])
@pytest.mark.parametrize(("preset", "variant"), CASES)
@torch.no_grad()
def test_state_is_from_the_last_real_step_of_each_row(preset, variant, side):
    model = trained(preset, variant, "base")
    rows = tuple((5, *row, 2, 3)[:3] for row in ragged(30)) if side == "none" else ragged(30)
    ids, mask = padded(rows, *("right", 3) if side == "none" else (side, 15))
    state = model(ids, mask, use_cache=True).past_key_values
    assert (state.cell is not None) == (preset in WITH_CELLS)
    for number, row in enumerate(rows):
        single = model(alone(row), output_hidden_states=True)
        for layer in range(model.config.num_hidden_layers):
            close(state.hidden[layer, number], single.hidden_states[layer + 1][0, -1])
            if preset in WITH_CELLS:
                close(state.cell[layer, number], single.cell_states[layer][0, -1])


@pytest.mark.parametrize("preset", PRESETS)
def test_gradients_pass_through_a_state_unless_detached(preset):
    model = copy.deepcopy(trained(preset, "deep", "token")).double()
    vectors = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)

    def gradients(cut: bool) -> list[Tensor]:
        model.zero_grad()
        vectors.grad = None
        first = model(inputs_embeds=vectors[:, :3], use_cache=True)
        state = first.past_key_values.detach() if cut else first.past_key_values
        second = model(inputs_embeds=vectors[:, 3:], past_key_values=state)
        torch.cat((first.logits * 0, second.logits), dim=1).square().sum().backward()
        return [vectors.grad.clone(), *(p.grad.clone() for p in model.parameters())]

    through, cut = gradients(False), gradients(True)
    model.zero_grad()
    vectors.grad = None
    model(inputs_embeds=vectors).logits[:, 3:].square().sum().backward()
    torch.testing.assert_close(through, [vectors.grad, *(p.grad for p in model.parameters())], atol=1e-10, rtol=0)
    assert through[0][:, :3].abs().max() > 0
    assert cut[0][:, :3].eq(0).all()
    assert cut[0][:, 3:].abs().max() > 0


@pytest.mark.parametrize("preset", PRESETS)
def test_gradient_checkpointing_with_a_state(preset, monkeypatch):
    monkeypatch.setenv("SEQHUB_KERNELS", "0")  # the native recurrence has no checkpoints
    model = copy.deepcopy(trained(preset, "deep", "token")).train()
    ids, mask = padded(ragged(31), "left")
    gradients = []
    for _ in range(2):
        model.zero_grad()
        first = model(ids, mask, use_cache=True)
        second = model(ids, mask, past_key_values=first.past_key_values)
        second.logits.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
        model.activation_checkpointing_enable()
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_a_call_does_not_change_the_model_or_the_given_state(preset):
    """The tutorials store the state in the model from one batch to the next."""
    for head in ("base", "token"):
        model, ids = trained(preset, "deep", head), padded(ragged(32), "right")[0]
        before = model(ids)[0]
        given = model(ids, use_cache=True).past_key_values
        kept = copy.deepcopy(given)
        after = model(ids, past_key_values=given, use_cache=True)
        assert after.past_key_values is not given
        assert not torch.equal(after[0], before)
        assert torch.equal(given.hidden, kept.hidden)
        assert given.steps == kept.steps
        assert torch.equal(model(ids)[0], before)


def test_a_state_is_returned_only_on_request():
    for head in ("base", "token"):
        model, ids = build("lstm", head), torch.randint(1, 9, (2, 3))
        assert "past_key_values" not in model(ids)
        assert "past_key_values" in model(ids, use_cache=True)
        parts = model(ids, use_cache=True, output_hidden_states=True, return_dict=False)
        names = list(model(ids, use_cache=True, output_hidden_states=True))
        assert len(parts) == len(names)
        assert parts[names.index("past_key_values")].steps == 3


def test_mask_may_cover_all_previous_steps():
    """As in `generate`."""
    model = trained("lstm", "plain", "token")
    ids, mask = padded(ragged(33), "left")
    state = model(ids[:, :-4], mask[:, :-4], use_cache=True).past_key_values
    once, again = (model(ids[:, -4:], m, past_key_values=state).logits for m in (mask, mask[:, -4:]))
    assert torch.equal(once, again)
    labels = torch.randint(4, (6, 4))
    losses = [model(ids[:, -4:], m, past_key_values=state, labels=labels).loss for m in (mask, mask[:, -4:])]
    assert torch.equal(*losses)


@pytest.mark.parametrize("preset", PRESETS)
def test_beams_are_reordered(preset):
    model = trained(preset, "deep", "base")
    ids = torch.randint(1, 9, (3, 5), generator=torch.Generator().manual_seed(0))
    state = model(ids, use_cache=True).past_key_values
    state.reorder_cache(torch.tensor([2, 2, 0]))
    other = model(ids[[2, 2, 0]], use_cache=True).past_key_values
    close(state.hidden, other.hidden)
    if preset in WITH_CELLS:
        close(state.cell, other.cell)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_state_with_other_data_types(preset, dtype):
    model = copy.deepcopy(trained(preset, "deep", "token")).to(dtype)
    ids, mask = padded(ragged(34), "right")
    state = model(ids[:, :2], mask[:, :2], use_cache=True).past_key_values
    assert state.hidden.dtype == dtype
    rest = model(ids[:, 2:], mask[:, 2:], past_key_values=state, use_cache=True).logits
    real = mask[:, 2:].bool()
    close(rest[real], model(ids, mask).logits[:, 2:][real], atol=1e-12 if dtype == torch.float64 else 0.3)


def test_invalid_states_are_errors_of_one_line():
    ids = torch.randint(1, 9, (2, 3))
    lstm, gru, both = build("lstm", "token"), build("gru", "token"), build("gru", "token", bidirectional=True)
    of_lstm, of_gru = (model(ids, use_cache=True).past_key_values for model in (lstm, gru))
    for model, inputs, message in [
        (both, {"use_cache": True}, "use_cache are not supported with bidirectional=True"),
        (both, {"past_key_values": of_gru}, "past_key_values and use_cache are not supported with bidirectional=True"),
        (lstm, {"past_key_values": of_gru}, r"hidden \(1, 2, 5\) and cell \(1, 2, 5\), .* got hidden \(1, 2, 5\)$"),
        (gru, {"past_key_values": of_lstm}, r"hold hidden \(1, 2, 5\), .* got hidden .* and cell \(1, 2, 5\)$"),
        (gru, {"input_ids": ids[:1], "past_key_values": of_gru}, r"hidden \(1, 1, 5\), .* got hidden \(1, 2, 5\)$"),
        (gru, {"attention_mask": torch.ones(2, 5), "past_key_values": of_gru},
         r"\(batch, steps\), \(2, 3\), or all steps so far, \(2, 6\), got \(2, 5\)$"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message) as error:
            model(**{"input_ids": ids} | inputs)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="row 0 is all padding"):  # allowed only with use_cache
        gru(torch.zeros(2, 3, dtype=torch.long), past_key_values=of_gru)
