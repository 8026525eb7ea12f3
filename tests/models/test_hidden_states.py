"""Returned hidden states are part of the graph of the output."""

import pytest
import torch

from seqhub.models.registry import build_config, build_model

IDS = torch.tensor([[1, 4, 2, 5, 3, 6], [2, 6, 1, 3, 0, 0], [5, 1, 0, 0, 0, 0]])
MASKS = {
    "full": torch.ones_like(IDS),
    "right": (IDS != 0).long(),
    "left": (IDS.flip(1) != 0).long(),
    "gaps": torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1]]),
}


def model_of(preset: str, head: str):
    torch.manual_seed(0)
    settings = {"inputs": "embedding", "embedding_size": 5, "hidden_size": 6, "num_hidden_layers": 2}
    return build_model(build_config(preset, vocab_size=8, num_labels=3, **settings), head)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("preset", ["lstm", "gru", "rnn_tanh", "lstm_hs97"])
def test_gradients_reach_every_hidden_state(preset: str, mask: str) -> None:
    model = model_of(preset, "base")
    ids = IDS.clamp(min=1)
    output = model(ids, MASKS[mask], output_hidden_states=True)
    for states in output.hidden_states:
        states.retain_grad()
    output.last_hidden_state[MASKS[mask].bool()].square().sum().backward()
    for states in output.hidden_states:
        assert states.grad is not None
        assert (states.grad.abs().sum(-1) > 0)[MASKS[mask].bool()].any()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("head", ["base", "sequence", "token"])
def test_returning_hidden_states_does_not_change_the_output(head: str, mask: str) -> None:
    model = model_of("lstm", head).eval()
    ids = IDS.clamp(min=1)
    with torch.no_grad():
        without, with_states = model(ids, MASKS[mask]), model(ids, MASKS[mask], output_hidden_states=True)
    torch.testing.assert_close(with_states[0], without[0])
