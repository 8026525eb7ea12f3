"""Memory cell blocks of the original (1997) LSTM: numbers of weights, options and gradients."""

import numpy as np
import pytest
import torch

from seqhub.errors import InvalidConfigError, SeqhubError
from seqhub.models.registry import build_config
from tests.helpers import naive_recurrence
from tests.helpers.model_cases import alone, build, padded, ragged

OPTIONS = {
    "blocks": {"hidden_size": 6, "block_size": 2},
    "one block": {"hidden_size": 3, "block_size": 3, "biased_units": "gates"},
    "without output gates": {"hidden_size": 4, "block_size": 2, "output_gates": False, "squash_output": "id"},
    "below": {"hidden_size": 2, "connectivity": "below", "squash_input": "g1", "biased_units": "none"},
    "hidden biases": {"hidden_size": 3, "biased_units": "hidden", "squash_input": "g1"},
}
options = pytest.mark.parametrize("settings", OPTIONS.values(), ids=OPTIONS)

ONE_OUTPUT = {"num_labels": 1, "problem_type": "regression"}
VALUES = {"inputs": "values"}
NOT_BIASED = {"biased_units": "none"}
LONG_LAG = {"hidden_size": 2, "num_labels": 2} | NOT_BIASED
SIZES = [  # row of table 10 of the paper, head, settings and number of weights
    ("1, 4 blocks of 1", "causal", {"hidden_size": 4, "vocab_size": 8, "biased_units": "gates"}, 264),
    ("1, 3 of 2", "causal", {"hidden_size": 6, "block_size": 2, "vocab_size": 8, "biased_units": "gates"}, 276),
    ("2a", "causal", {"hidden_size": 1, "vocab_size": 102, "connectivity": "below", "output_gates": False}
     | NOT_BIASED, 10_504),
    *[(f"2c, p {p}", "sequence", {"vocab_size": p + 5} | LONG_LAG, weights)
      for p, weights in ((50, 364), (100, 664), (200, 1_264), (500, 3_064), (1_000, 6_064))],
    ("3", "sequence", {"hidden_size": 3, "num_features": 1, "biased_units": "hidden"} | VALUES | ONE_OUTPUT, 102),
    ("4 and 5", "sequence", {"hidden_size": 4, "block_size": 2, "num_features": 2} | VALUES | ONE_OUTPUT, 93),
    ("6a", "sequence", {"hidden_size": 4, "block_size": 2, "num_labels": 4}, 156),
    ("6b", "sequence", {"hidden_size": 6, "block_size": 2, "num_labels": 8}, 308),
]  # fmt: skip


@pytest.mark.parametrize(("head", "settings", "weights"), [row[1:] for row in SIZES], ids=[row[0] for row in SIZES])
def test_number_of_weights_as_in_the_paper(head, settings, weights):
    assert build("lstm_hs97", head, **settings).num_parameters() == weights


def weights_of(model) -> naive_recurrence.Weights:
    return {name: parameter.detach().numpy().copy() for name, parameter in model.double().named_parameters()}


@options
@pytest.mark.parametrize("gradient", ["truncated", "full"])
def test_activations_and_logits(settings, gradient):
    model = build("lstm_hs97", seed=1, gradient=gradient, **settings)
    weights = weights_of(model)
    for row in ragged(10):
        output = model(input_ids=alone(row), output_hidden_states=True)
        inputs = naive_recurrence.one_hot(row, 9)
        outputs, memory = naive_recurrence.run_blocks(model.config, weights, "model.layers.0.recurrence", inputs)
        read = output.hidden_states[1][0].detach().numpy()
        np.testing.assert_allclose(read[:, : model.config.hidden_size], outputs, atol=1e-12)
        if settings.get("connectivity") == "below":  # a head also reads the input
            np.testing.assert_array_equal(read[:, model.config.hidden_size :], inputs)
        np.testing.assert_allclose(output.cell_states[0][0].detach().numpy(), memory, atol=1e-12)
        logits = naive_recurrence.logits(model.config, weights, inputs)
        np.testing.assert_allclose(output.logits[0].detach().numpy(), logits, atol=1e-12)


@options
def test_truncated_gradient_is_as_in_the_appendix(settings):
    """Compare with the forward recursion of the paper, for a loss that depends on the outputs of all steps."""
    model = build("lstm_hs97", "base", seed=2, inputs="values", num_features=3, **settings)
    random = np.random.default_rng(4)
    inputs, errors = random.normal(size=(9, 3)), random.normal(size=(9, model.config.hidden_size))
    weights = {f"model.{name}": weight for name, weight in weights_of(model).items()}
    states = model(input_values=torch.tensor(inputs)[None]).last_hidden_state[0, :, : model.config.hidden_size]
    (states * torch.tensor(errors)).sum().backward()
    found = naive_recurrence.truncated_gradients(model.config, weights, "model.layers.0.recurrence", inputs, errors)
    assert found.keys() == weights.keys()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), found[f"model.{name}"], atol=1e-12)


@options
def test_truncated_gradient_differs_only_with_connections_between_units(settings):
    gradients = {}
    for gradient in ("truncated", "full"):
        model = build("lstm_hs97", seed=3, gradient=gradient, **settings).double()
        model(input_ids=alone((1, 2, 3, 4, 5, 6)), labels=torch.tensor([2])).loss.backward()
        gradients[gradient] = model.model.layers[0].recurrence.weight_ih_l0.grad
    same = torch.allclose(gradients["truncated"], gradients["full"], rtol=1e-9, atol=0)
    assert same == (settings.get("connectivity") == "below")


@options
@pytest.mark.parametrize("side", ["left", "right", "mixed"])
def test_padding_is_ignored(settings, side):
    model, rows = build("lstm_hs97", "token", seed=5, **settings), ragged(6)
    ids, mask = padded(rows, side, width=15)
    logits = model(ids, mask).logits
    for row, scores, real in zip(rows, logits, mask.bool(), strict=True):
        torch.testing.assert_close(scores[real], model(alone(row)).logits[0], atol=2e-6, rtol=0)


def test_initial_weights_of_the_paper():
    settings = {"hidden_size": 6, "block_size": 2, "initialization": "hs97", "init_range": 0.25, "vocab_size": 500}
    model = build("lstm_hs97", **settings, input_gate_bias=[-2, -4.0, -6], output_gate_bias=-1)
    recurrence = model.model.layers[0].recurrence
    assert recurrence.bias_l0[6:].tolist() == [-2, -4, -6, -1, -1, -1]
    for weights in (recurrence.weight_ih_l0, recurrence.weight_hh_l0, recurrence.bias_l0[:6], model.classifier.weight):
        assert 0.1 < weights.abs().max() <= 0.25
    assert model.classifier.bias.abs().max() <= 0.25
    biases = build("lstm_hs97", **settings).model.layers[0].recurrence.bias_l0
    assert biases.abs().max() <= 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 5, "block_size": 2}, "block_size must divide hidden_size 5, got 2"),
        ({"block_size": 0}, "block_size must divide hidden_size 8, got 0"),
        ({"connectivity": "below", "num_hidden_layers": 2}, "'below' needs one layer .* got num_hidden_layers=2"),
        ({"connectivity": "below", "bidirectional": True}, "'below' needs one layer in one direction, .*=True"),
        ({"initialization": "hs97", "init_range": 0}, "init_range must be above 0, got 0"),
        ({"initialization": "chrono"}, r"expected one of \('default', 'hs97'\), got chrono"),
        ({"input_gate_bias": -1.0}, "input_gate_bias needs initialization='hs97', got initialization='default'"),
        ({"initialization": "hs97", "input_gate_bias": [1, 2]}, r"one for each of 8 blocks, got \[1, 2\]"),
        ({"initialization": "hs97", "output_gate_bias": 1, "output_gates": False}, "got output_gates=False"),
        ({"initialization": "hs97", "input_gate_bias": 1, "biased_units": "none"}, "biases, .* biased_units='none'"),
        ({"initialization": "hs97", "input_gate_bias": float("nan")}, "input_gate_bias must be finite, got nan"),
    ],
)
def test_inconsistent_fields_are_errors_of_one_line(settings, message):
    with pytest.raises(InvalidConfigError, match=message) as error:
        build_config("lstm_hs97", **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("lstm", {"block_size": 2}, "named 'block_size'; known: .*hidden_size"),
        ("lstm", {"gradient": "full"}, "named 'gradient'; known: .*hidden_size"),
        ("lstm", {"initialization": "hs97"}, "expected one of .*'chrono', 'identity'.*, got hs97"),
        ("lstm", {"initialization": "forget_bias", "input_gate_bias": [1] * 8}, "input_gate_bias"),
        ("lstm", {"initialization": "forget_bias", "output_gate_bias": 1}, "named 'output_gate_bias'; known: "),
        ("lstm_hs97", {"latch": 1.0}, "named 'latch'; known: .*block_size"),
        ("lstm_hs97", {"chrono_max_steps": 9}, "named 'chrono_max_steps'; known: .*block_size"),
    ],
)
def test_fields_of_other_families(preset, settings, message):
    with pytest.raises(SeqhubError, match=message):
        build_config(preset, **settings)
