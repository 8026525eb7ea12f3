"""Forward and gradients compared with recurrences in NumPy."""

import numpy as np
import pytest
import torch

from tests.helpers import naive_recurrence
from tests.helpers.model_cases import CASES, PRESETS, VARIANTS, WITH_CELLS, alone, build, padded, ragged

# NumPy recurrences have no embedding
WITHOUT_EMBEDDING = [case for case in CASES if case.values[1] != "embedding"]


def weights_of(model) -> naive_recurrence.Weights:
    return {name: parameter.detach().numpy().copy() for name, parameter in model.double().named_parameters()}


@pytest.mark.parametrize(("preset", "variant"), WITHOUT_EMBEDDING)
def test_states_and_logits(preset, variant):
    model = build(preset, seed=1, **VARIANTS[variant])
    weights = weights_of(model)
    for row in ragged(10):
        output = model(input_ids=alone(row), output_hidden_states=True)
        inputs = naive_recurrence.one_hot(row, 9)
        for layer, (states, cells) in enumerate(naive_recurrence.run_layers(model.config, weights, inputs)):
            np.testing.assert_allclose(output.hidden_states[layer + 1][0].detach().numpy(), states, atol=1e-12)
            if preset in WITH_CELLS:
                np.testing.assert_allclose(output.cell_states[layer][0].detach().numpy(), cells, atol=1e-12)
        np.testing.assert_allclose(
            output.logits[0].detach().numpy(), naive_recurrence.logits(model.config, weights, inputs), atol=1e-12
        )


@pytest.mark.parametrize("preset", PRESETS)
def test_gradients(preset):
    """Compare gradients of the mean loss of a padded batch with central differences in NumPy."""
    settings = {"gradient": "full"} if preset == "lstm_hs97" else {}
    model = build(preset, seed=2, hidden_size=3, num_hidden_layers=2, bidirectional=True, vocab_size=4, **settings)
    weights, step = weights_of(model), 1e-6
    rows, labels = ((1, 2, 3, 3), (2,), (3, 1)), [0, 3, 1]
    ids, mask = padded(rows, "left")
    model(input_ids=ids, attention_mask=mask, labels=torch.tensor(labels)).loss.backward()

    def loss() -> float:
        scores = [naive_recurrence.logits(model.config, weights, naive_recurrence.one_hot(row, 4)) for row in rows]
        return float(
            np.mean([naive_recurrence.cross_entropy(s, label) for s, label in zip(scores, labels, strict=True)])
        )

    for name, parameter in model.named_parameters():
        for place in np.ndindex(parameter.shape):
            value = weights[name][place]
            weights[name][place] = value + step
            above = loss()
            weights[name][place] = value - step
            below = loss()
            weights[name][place] = value
            assert parameter.grad[place].item() == pytest.approx((above - below) / (2 * step), abs=1e-7), (name, place)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_gradients_of_layer_by_autograd_check(preset, bidirectional):
    """Check gradients of hidden and cell states with respect to inputs and all weights."""
    settings = {"hidden_size": 2, "bidirectional": bidirectional, "inputs": "values", "num_features": 2}
    if preset == "lstm_hs97":
        settings["gradient"] = "full"
    model = build(preset, "base", seed=3, **settings)
    layer = model.double().layers[0]
    inputs = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)

    def run(inputs, *parameters):
        states, cells, _ = torch.func.functional_call(
            layer,
            dict(zip(dict(layer.named_parameters()), parameters, strict=True)),
            (inputs, None, preset in WITH_CELLS),
        )
        return states if cells is None else (states, cells)

    assert torch.autograd.gradcheck(run, (inputs, *layer.parameters()))


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "lstm_hs97"])
def test_layers_equal_those_of_torch(preset):
    """The tutorials view h_n as (batch, -1), which mixes layers, directions and rows."""
    model = build(preset, "base", num_hidden_layers=3)
    ours = [layer.recurrence for layer in model.layers]
    stacked = type(ours[0])(
        8, 5, 3, batch_first=True, **({"nonlinearity": preset[4:]} if preset.startswith("rnn") else {})
    )
    stacked.load_state_dict(
        {name.replace("l0", f"l{i}"): weight for i, one in enumerate(ours) for name, weight in one.state_dict().items()}
    )
    ids = torch.randint(1, 9, (4, 7))
    output = model(ids, output_hidden_states=True)
    states, last = stacked(output.hidden_states[0])
    torch.testing.assert_close(output.last_hidden_state, states)
    h_n, c_n = last if preset == "lstm" else (last, None)
    for layer in range(3):
        torch.testing.assert_close(output.hidden_states[layer + 1][:, -1], h_n[layer])
        if c_n is not None:
            torch.testing.assert_close(output.cell_states[layer][:, -1], c_n[layer])
