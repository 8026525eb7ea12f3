"""First weights, scheme by scheme, and what becomes of weights that a file lacks."""

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
    """Enough weights to see their distribution."""
    return build(preset, hidden_size=64, num_hidden_layers=2, bidirectional=True, **settings)


def is_uniform(weights: torch.Tensor, bound: float) -> bool:
    """Fills the range, goes no further, and is centred."""
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
        own, other = recurrence.bias_ih_l0.view(-1, 64), recurrence.bias_hh_l0.view(-1, 64)
        assert own[1].eq(3.5).all()
        assert other[1].eq(0).all()
        for weights in (own[rest], other[rest], recurrence.weight_ih_l0, recurrence.weight_hh_l0):
            assert is_uniform(weights, 1 / math.sqrt(64))


def test_input_gate_bias():
    for recurrence in recurrences(wide("lstm", initialization="forget_bias", forget_bias=3, input_gate_bias=-1)):
        own, other = recurrence.bias_ih_l0.view(-1, 64), recurrence.bias_hh_l0.view(-1, 64)
        assert own[0].eq(-1).all()
        assert own[1].eq(3).all()
        assert other[:2].eq(0).all()
        assert is_uniform(own[2:], 1 / math.sqrt(64))


@pytest.mark.parametrize("preset", GATED)
def test_latch(preset):
    """Adds to the weights of the candidate on itself, and to nothing else."""
    drawn, latched = (recurrences(wide(preset, latch=latch)) for latch in (0, 3.0))
    for one, other in zip(drawn, latched, strict=True):
        for name, weights in one.named_parameters():
            added = other.get_parameter(name) - weights
            if name == "weight_hh_l0":
                torch.testing.assert_close(added[128:192], 3 * torch.eye(64))
                added = torch.cat([added[:128], added[192:]])
            assert added.eq(0).all()


@pytest.mark.parametrize("preset", GATED)
def test_chrono(preset):
    for recurrence in recurrences(wide(preset, initialization="chrono", chrono_max_steps=110)):
        own, other = recurrence.bias_ih_l0.view(-1, 64), recurrence.bias_hh_l0.view(-1, 64)
        lags = own[1].exp()
        assert lags.min() >= 1
        assert lags.max() <= 109
        assert 35 < lags.mean() < 75  # uniform in the lag, not in its logarithm
        assert other[1].eq(0).all()
        if preset == "lstm":
            assert torch.equal(own[0], -own[1])
            assert other[0].eq(0).all()
        else:
            assert is_uniform(own[0], 1 / math.sqrt(64))  # the reset gate
        for weights in (own[2:], other[2:], recurrence.weight_ih_l0, recurrence.weight_hh_l0):
            assert is_uniform(weights, 1 / math.sqrt(64))


@pytest.mark.parametrize("preset", GATED)
def test_a_high_forget_bias_keeps_the_state(preset):
    """The test of the gate order: with 20, what step 1 wrote is there after 100 steps."""
    model = build(preset, "base", initialization="forget_bias", forget_bias=20.0)
    rows = torch.full((2, 101), 3)
    rows[1, 0] = 5
    output = model(rows, output_hidden_states=True)
    state = output.cell_states[0] if preset == "lstm" else output.last_hidden_state
    if preset == "lstm":  # which adds up what comes later, the same for both
        state = state[0] - state[1]
        assert state[-1].abs().max() > 0.5 * state[0].abs().max() > 0
    else:  # which keeps and therefore does not write
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


@pytest.mark.parametrize(("preset", "scheme", "settings"), SCHEMES)
@pytest.mark.parametrize("head", HEADS)
def test_a_missing_weight_is_drawn_and_the_others_stay(tmp_path, preset, scheme, settings, head):
    """A partial file once gave uninitialised memory for GRU and RNN, and a forget bias overwrote what was loaded."""
    shape = VARIANTS["deep" if head == "causal" else "deep-bidirectional"] | VARIANTS["embedding"]
    model = build(preset, head, initialization=scheme, **settings, **shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)  # unlike anything drawn
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = load_file(file)
    assert whole.keys() == dict(model.named_parameters()).keys()
    for missing in whole:
        save_file({name: w for name, w in whole.items() if name != missing}, file, metadata={"format": "pt"})
        loaded = type(model).from_pretrained(tmp_path).state_dict()
        drawn = loaded.pop(missing)
        assert drawn.isfinite().all()
        assert drawn.abs().max() < 7
        assert all(torch.equal(weights, whole[name]) for name, weights in loaded.items())
        if scheme == "chrono" and "bias_ih" in missing:
            assert 0 <= drawn[5:10].min() <= drawn[5:10].max() <= math.log(49)


def test_no_weight_lives_outside_the_file():
    for preset in PRESETS:
        for settings in VARIANTS.values():
            model = build(preset, **settings)
            assert list(model.buffers()) == []


def test_a_config_from_before_a_setting_was_there_loads_as_it_was(tmp_path: Path):
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


def test_a_file_without_any_weight_gives_first_weights(tmp_path: Path):
    model = build("gru", initialization="chrono", chrono_max_steps=9)
    model.save_pretrained(tmp_path)
    save_file({}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = type(model).from_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["initialization"] == "chrono"
    assert all(weights.isfinite().all() for weights in loaded.state_dict().values())
    assert 0 <= loaded.model.layers[0].recurrence.bias_ih_l0[5:10].max() <= math.log(8)
