"""Initial weights of each scheme, and of weights that are missing in a file."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.helpers.model_cases import HEADS, PRESETS, VARIANTS, build

GATED = [preset for preset in PRESETS if preset in ("gru", "lstm")]
PLAIN = [preset for preset in PRESETS if preset.startswith("rnn")]


def recurrences(model) -> list[nn.RNNBase]:
    return [module for module in model.modules() if isinstance(module, nn.RNNBase)]


def wide(preset, **settings):
    """Return a model with enough weights to check their distribution."""
    return build(preset, hidden_size=64, num_hidden_layers=2, bidirectional=True, **settings)


def is_uniform(weights: torch.Tensor, bound: float) -> bool:
    """Return whether weights cover a range around zero and do not exceed it."""
    return 0.9 * bound < weights.abs().max() <= bound and weights.mean().abs() < 0.2 * bound


@pytest.mark.parametrize("preset", PRESETS)
def test_default_is_uniform_as_in_torch(preset):
    model = wide(preset)
    for recurrence in recurrences(model):
        for name, weights in recurrence.named_parameters():
            assert is_uniform(weights, 1 / math.sqrt(64)), name
    assert is_uniform(model.classifier.weight, 1 / math.sqrt(128))
    embedding = build(preset, "base", inputs="embedding", embedding_size=32, vocab_size=64).embed_tokens.weight
    assert embedding.std().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("preset", GATED)
def test_forget_bias(preset):
    for recurrence in recurrences(wide(preset, initialization="forget_bias", forget_bias=3.5)):
        rest = [0, 2, 3] if preset == "lstm" else [0, 2]
        bias_ih, bias_hh = recurrence.bias_ih_l0.view(-1, 64), recurrence.bias_hh_l0.view(-1, 64)
        assert bias_ih[1].eq(3.5).all()
        assert bias_hh[1].eq(0).all()
        for weights in (bias_ih[rest], bias_hh[rest], recurrence.weight_ih_l0, recurrence.weight_hh_l0):
            assert is_uniform(weights, 1 / math.sqrt(64))


def test_input_gate_bias():
    for recurrence in recurrences(wide("lstm", initialization="forget_bias", forget_bias=3, input_gate_bias=-1)):
        bias_ih, bias_hh = recurrence.bias_ih_l0.view(-1, 64), recurrence.bias_hh_l0.view(-1, 64)
        assert bias_ih[0].eq(-1).all()
        assert bias_ih[1].eq(3).all()
        assert bias_hh[:2].eq(0).all()
        assert is_uniform(bias_ih[2:], 1 / math.sqrt(64))


@pytest.mark.parametrize("preset", GATED)
def test_latch(preset):
    """Only the weights of each unit on its own candidate change."""
    without, with_latch = (recurrences(wide(preset, latch=latch)) for latch in (0, 3.0))
    for one, other in zip(without, with_latch, strict=True):
        for name, weights in one.named_parameters():
            added = other.get_parameter(name) - weights
            if name == "weight_hh_l0":
                torch.testing.assert_close(added[128:192], 3 * torch.eye(64))
                added = torch.cat([added[:128], added[192:]])
            assert added.eq(0).all()


@pytest.mark.parametrize("preset", GATED)
def test_chrono(preset):
    for recurrence in recurrences(wide(preset, initialization="chrono", chrono_max_steps=110)):
        bias_ih, bias_hh = recurrence.bias_ih_l0.view(-1, 64), recurrence.bias_hh_l0.view(-1, 64)
        lags = bias_ih[1].exp()
        assert lags.min() >= 1
        assert lags.max() <= 109
        assert 35 < lags.mean() < 75  # uniform in the lag, not in its logarithm
        assert bias_hh[1].eq(0).all()
        if preset == "lstm":
            assert torch.equal(bias_ih[0], -bias_ih[1])
            assert bias_hh[0].eq(0).all()
        else:
            assert is_uniform(bias_ih[0], 1 / math.sqrt(64))  # the reset gate
        for weights in (bias_ih[2:], bias_hh[2:], recurrence.weight_ih_l0, recurrence.weight_hh_l0):
            assert is_uniform(weights, 1 / math.sqrt(64))


@pytest.mark.parametrize("preset", GATED)
def test_a_high_forget_bias_keeps_the_state(preset):
    """Test of the gate order: with a bias of 20, the state of step 1 remains for 100 steps."""
    model = build(preset, "base", initialization="forget_bias", forget_bias=20.0)
    rows = torch.full((2, 101), 3)
    rows[1, 0] = 5
    output = model(rows, output_hidden_states=True)
    state = output.cell_states[0] if preset == "lstm" else output.last_hidden_state
    if preset == "lstm":  # which adds the same later inputs to both rows
        state = state[0] - state[1]
        assert state[-1].abs().max() > 0.5 * state[0].abs().max() > 0
    else:  # which keeps the initial state
        torch.testing.assert_close(state, torch.zeros_like(state), atol=1e-6, rtol=0)


@pytest.mark.parametrize("preset", PLAIN)
def test_identity(preset):
    for recurrence in recurrences(wide(preset, initialization="identity")):
        assert torch.equal(recurrence.weight_hh_l0, torch.eye(64))
        assert recurrence.bias_ih_l0.eq(0).all()
        assert recurrence.bias_hh_l0.eq(0).all()
        assert recurrence.weight_ih_l0.std().item() == pytest.approx(0.001, rel=0.15)


SCHEMES = [
    *[(preset, "default", {}) for preset in PRESETS],
    *[(preset, "forget_bias", {}) for preset in GATED],
    ("lstm", "forget_bias", {"input_gate_bias": -1.0, "latch": 3.0}),
    *[(preset, "chrono", {"chrono_max_steps": 50}) for preset in GATED],
    *[(preset, "identity", {}) for preset in PLAIN],
    ("lstm_hs97", "hs97", {"input_gate_bias": [-1, -2, -3, -4, -5], "output_gate_bias": -2}),
]


@pytest.mark.fast_cases("token-lstm-*", "sequence-gru-default*", "token-lstm_hs97-*")
@pytest.mark.parametrize(("preset", "scheme", "settings"), SCHEMES)
@pytest.mark.parametrize("head", HEADS)
def test_a_missing_weight_is_initialised_and_the_others_are_loaded(tmp_path, preset, scheme, settings, head):
    """Regression: with partial files, GRU and RNN had uninitialised memory, and a forget bias replaced a loaded one."""
    shape = VARIANTS["deep" if head == "causal" else "deep-bidirectional"] | VARIANTS["embedding"]
    model = build(preset, head, initialization=scheme, **settings, **shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)  # different from any initial weight
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = load_file(file)
    assert whole.keys() == dict(model.named_parameters()).keys()
    for missing in whole:
        save_file({name: w for name, w in whole.items() if name != missing}, file, metadata={"format": "pt"})
        loaded = type(model).from_pretrained(tmp_path).state_dict()
        initial = loaded.pop(missing)
        assert initial.isfinite().all()
        assert initial.abs().max() < 7
        assert all(torch.equal(weights, whole[name]) for name, weights in loaded.items())
        if scheme == "chrono" and "bias_ih" in missing:
            assert 0 <= initial[5:10].min() <= initial[5:10].max() <= math.log(49)


def test_models_have_no_buffers():
    for preset in PRESETS:
        for settings in VARIANTS.values():
            model = build(preset, **settings)
            assert list(model.buffers()) == []


def test_a_config_without_newer_fields_gets_their_defaults(tmp_path: Path):
    model = build("lstm", initialization="forget_bias")
    model.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    del config["input_gate_bias"], config["latch"]
    file.write_text(json.dumps(config))
    loaded = type(model).from_pretrained(tmp_path)
    assert (loaded.config.input_gate_bias, loaded.config.latch) == (None, 0)
    assert all(torch.equal(weights, model.state_dict()[name]) for name, weights in loaded.state_dict().items())


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_depend_on_the_seed_only(preset):
    one, two, other = (build(preset, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_a_file_without_weights_gives_initial_weights(tmp_path: Path):
    model = build("gru", initialization="chrono", chrono_max_steps=9)
    model.save_pretrained(tmp_path)
    save_file({}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = type(model).from_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["initialization"] == "chrono"
    assert all(weights.isfinite().all() for weights in loaded.state_dict().values())
    assert 0 <= loaded.model.layers[0].recurrence.bias_ih_l0[5:10].max() <= math.log(8)
