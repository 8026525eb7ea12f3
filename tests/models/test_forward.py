"""Shapes, numbers of parameters, losses and invalid inputs."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.helpers.model_cases import CASES, PRESETS, VARIANTS, WITH_CELLS, build, padded, ragged, trained


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_shapes(preset, variant):
    settings = VARIANTS[variant]
    width = 5 * (2 if settings.get("bidirectional") else 1)
    layers = settings.get("num_hidden_layers", 1)
    features = settings.get("embedding_size", 8)
    ids, mask = padded(ragged(0), "mixed", width=14)

    base = build(preset, "base", **settings)(ids, mask, output_hidden_states=True)
    assert base.last_hidden_state.shape == (6, 14, width)
    assert base.pooler_output.shape == (6, width)
    assert [states.shape for states in base.hidden_states] == [(6, 14, features)] + [(6, 14, width)] * layers
    if preset in WITH_CELLS:
        memory = width * (3 if preset == "lstm_hs97" else 1)  # a cell, an input gate and an output gate
        assert [states.shape for states in base.cell_states] == [(6, 14, memory)] * layers
    else:
        assert base.cell_states is None
    assert build(preset, **settings)(ids, mask).logits.shape == (6, 4)
    assert build(preset, "token", **settings)(ids, mask).logits.shape == (6, 14, 4)


@pytest.mark.parametrize("preset", PRESETS)
def test_hidden_states_are_returned_only_on_request(preset):
    ids = torch.randint(1, 9, (2, 3))
    for head in ("base", "sequence", "token"):
        model = build(preset, head)
        assert not {"hidden_states", "cell_states"} & set(model(ids))
        assert "hidden_states" in model(ids, output_hidden_states=True)
        assert "hidden_states" in build(preset, head, output_hidden_states=True)(ids)
        assert isinstance(model(ids, return_dict=False), tuple)
        assert isinstance(build(preset, head, return_dict=False)(ids), tuple)


@pytest.mark.parametrize(("preset", "parameters"), [("lstm", 244), ("rnn_relu", 76), ("rnn_tanh", 76)])
def test_number_of_parameters_is_that_of_the_tutorial(preset, parameters):
    """Hidden size 4 on QRSU: 8 symbols, and padding without a column; 4 labels."""
    assert build(preset, hidden_size=4).num_parameters() == parameters


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_number_of_parameters(preset, variant):
    model = build(preset, **VARIANTS[variant])
    gates = {"lstm": 4, "gru": 3, "lstm_hs97": 3}.get(preset, 1)
    config, total, width = model.config, 0, model.config.input_size
    for _ in range(config.num_hidden_layers):
        read = width + (3 * 5 + 1 if preset == "lstm_hs97" else 5 + 2)  # all units and a bias, or two biases
        total += (1 + config.bidirectional) * gates * 5 * read
        width = config.output_size
    total += 4 * (width + 1) + 9 * (config.embedding_size or 0)
    assert model.num_parameters() == total


def reference_softmax(row: list[float]) -> list[float]:
    total = sum(map(math.exp, row))
    return [math.exp(x) / total for x in row]


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_loss_is_mean_cross_entropy_in_nats_of_the_logits(preset, variant):
    """The tutorials apply a second softmax before the loss."""
    ids, mask = padded(ragged(11), "right")
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    output = trained(preset, variant)(ids, mask, labels=labels)
    expected_losses = [
        -math.log(reference_softmax(row)[y]) for row, y in zip(output.logits.tolist(), labels, strict=True)
    ]
    assert output.loss.item() == pytest.approx(sum(expected_losses) / 6, rel=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("preset", PRESETS)
def test_loss_per_step_ignores_padding_and_ignored_labels(preset, side):
    ids, mask = padded(ragged(12), side)
    labels = torch.randint(4, ids.shape, generator=torch.Generator().manual_seed(0))
    labels[0, mask[0].argmax()] = -100
    model = trained(preset, "bidirectional", "token")
    output = model(ids, mask, labels=labels)
    expected_losses = [
        -math.log(reference_softmax(output.logits[place].tolist())[labels[place]])
        for place in map(tuple, mask.nonzero().tolist())
        if labels[place] != -100
    ]
    assert output.loss.item() == pytest.approx(sum(expected_losses) / len(expected_losses), rel=1e-5)
    torch.testing.assert_close(model(ids, labels=labels).loss, output.loss)  # without a mask, by padding ids


@pytest.mark.parametrize("head", ["base", "sequence", "token"])
def test_main_input_name(head):
    """Trainer counts tokens with it."""
    assert build("lstm", head).main_input_name == "input_ids"
    assert build("lstm", head, inputs="values", num_features=2).main_input_name == "input_values"


@pytest.mark.parametrize("preset", PRESETS)
def test_regression(preset):
    values, targets = torch.randn(3, 7, 2), torch.tensor([0.5, -1.0, 2.0])
    model = build(preset, inputs="values", num_features=2, num_labels=1)
    output = model(input_values=values, labels=targets)
    assert output.logits.shape == (3, 1)
    torch.testing.assert_close(output.loss, ((output.logits[:, 0] - targets) ** 2).mean())
    torch.testing.assert_close(model(input_values=values, labels=targets[:, None]).loss, output.loss)
    assert model.config.problem_type is None  # a forward pass does not change the config

    wide = build(preset, inputs="values", num_features=2, num_labels=2, problem_type="regression")
    output = wide(input_values=values, labels=torch.ones(3, 2))
    torch.testing.assert_close(output.loss, ((output.logits - 1) ** 2).mean())
    with pytest.raises(ValueError, match=r"labels must be .* \(3, 2\), got \(3,\)"):
        wide(input_values=values, labels=targets)


def test_multi_label_classification():
    ids, labels = torch.randint(1, 9, (3, 5)), torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    expected = None
    for given, settings in [(labels.float(), {}), (labels, {"problem_type": "multi_label_classification"})]:
        output = build("gru", **settings)(ids, labels=given)
        expected = F.binary_cross_entropy_with_logits(output.logits, labels.float())
        torch.testing.assert_close(output.loss, expected)


@pytest.mark.parametrize("settings", [{}, {"num_labels": 1}, {"problem_type": "multi_label_classification"}])
def test_losses_of_accumulated_batches_add_up_to_the_loss_of_one_batch(settings):
    """As in Trainer, the sum over each part is divided by the number of labels in all parts."""
    model, ids = build("lstm", **settings), torch.randint(1, 9, (4, 5))
    labels = {None: torch.tensor([0, 1, 2, 3]), 1: torch.randn(4)}.get(settings.get("num_labels"))
    if "problem_type" in settings:
        labels = torch.randint(2, (4, 4))
    parts = [
        model(i, labels=y, num_items_in_batch=labels.numel()).loss
        for i, y in zip(ids.split(3), labels.split(3), strict=True)
    ]
    torch.testing.assert_close(sum(parts), model(ids, labels=labels).loss)


@pytest.mark.parametrize("preset", PRESETS)
def test_calls_are_independent(preset):
    model = trained(preset, "deep-bidirectional")
    first, second = torch.randint(1, 9, (2, 3, 6))
    before = model(first).logits
    model(second)
    assert torch.equal(model(first).logits, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_training_with_other_data_types(preset, variant, dtype):
    model = build(preset, **VARIANTS[variant]).to(dtype).train()
    ids, mask = padded(ragged(13), "left")
    output = model(ids, mask, labels=torch.tensor([0, 1, 2, 3, 0, 1]), output_hidden_states=True)
    assert output.logits.dtype == dtype
    assert output.loss.dtype == torch.promote_types(dtype, torch.float32)
    output.loss.backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in model.parameters())
    exact = build(preset, **VARIANTS[variant])(ids, mask).logits
    torch.testing.assert_close(model.eval()(ids, mask).logits.float(), exact, atol=0.05, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_autocast(preset):
    model, ids = build(preset), torch.randint(1, 9, (3, 6))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(ids, labels=torch.tensor([0, 1, 2]))
    assert output.loss.dtype == torch.float32
    output.loss.backward()
    torch.testing.assert_close(output.logits.float(), model(ids).logits, atol=0.05, rtol=0)


@pytest.mark.parametrize(("preset", "variant"), CASES)
def test_gradient_checkpointing_does_not_change_gradients(preset, variant):
    model = build(preset, **VARIANTS[variant])
    ids, mask = padded(ragged(14), "left")
    gradients, runs = [], []
    model.model.layers[0].recurrence.register_forward_pre_hook(lambda *_: runs.append(1))
    for _ in range(2):
        torch.manual_seed(0)  # for dropout
        model.train().zero_grad()
        model(ids, mask, labels=torch.tensor([0, 1, 2, 3, 0, 1])).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
        model.activation_checkpointing_enable()
    torch.testing.assert_close(*gradients, rtol=0, atol=0)
    assert len(runs) == 1 + 2


def test_dropout_is_between_layers_and_in_training_only():
    ids = torch.randint(1, 9, (2, 6))
    for layers, differs in [(1, False), (2, True)]:
        model = build("lstm", num_hidden_layers=layers, dropout=0.5)
        assert torch.equal(model(ids).logits, model(ids).logits)
        model.train()
        assert torch.equal(model(ids).logits, model(ids).logits) != differs


def test_a_model_can_be_trained_after_inference_mode(monkeypatch):
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    model, ids = build("lstm"), torch.randint(1, 9, (2, 4))
    with torch.inference_mode():
        model(ids)
    model(ids, labels=torch.tensor([0, 1])).loss.backward()
    for dtype in (torch.float64, torch.bfloat16):
        assert model.to(dtype)(ids).logits.dtype == dtype


def test_inputs_embeds_are_equivalent_to_ids():
    ids, mask = padded(ragged(15), "mixed")
    for variant in ("plain", "embedding"):
        model = trained("lstm", variant)
        vectors = model(ids, mask, output_hidden_states=True).hidden_states[0]
        torch.testing.assert_close(model(inputs_embeds=vectors, attention_mask=mask).logits, model(ids, mask).logits)


IDS, VALUES = torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, 8)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "takes input_ids or inputs_embeds, got neither"),
        ({"input_ids": IDS, "inputs_embeds": VALUES}, "got input_ids and inputs_embeds"),
        ({"input_values": VALUES}, "takes input_ids or inputs_embeds, got input_values"),
        ({"input_ids": IDS[0]}, r"input_ids must be \(batch, steps\), each at least 1, got \(3,\)"),
        ({"input_ids": IDS[:, :0]}, r"each at least 1, got \(2, 0\)"),
        ({"input_ids": IDS[:0]}, r"each at least 1, got \(0, 3\)"),
        ({"inputs_embeds": VALUES[0]}, r"inputs_embeds must be \(batch, steps, 8\), .*got \(3, 8\)$"),
        ({"inputs_embeds": VALUES[..., :7]}, r"inputs_embeds must be \(batch, steps, 8\), .*got \(2, 3, 7\)$"),
        ({"input_ids": IDS, "attention_mask": IDS[:, :2]}, r"\(2, 3\), got \(2, 2\)"),
        ({"input_ids": IDS + 8}, r"input_ids must be in \[0, 9\), got 9 to 9"),
        ({"input_ids": IDS - 2}, r"input_ids must be in \[0, 9\), got -1 to -1"),
    ],
)
@pytest.mark.parametrize("head", ["base", "sequence", "token"])
def test_invalid_input_is_an_error_of_one_line(head, inputs, message):
    with pytest.raises(ValueError, match=message) as error:
        build("lstm", head)(**inputs)
    assert "\n" not in str(error.value)


def test_other_invalid_inputs():
    values = build("lstm", inputs="values", num_features=8)
    with pytest.raises(ValueError, match="takes input_values, got input_ids"):
        values(input_ids=IDS)
    with pytest.raises(ValueError, match=r"input_values must be \(batch, steps, 8\), .*got \(2, 3, 7\)$"):
        values(input_values=VALUES[..., :7])
    with pytest.raises(ValueError, match=r"input_ids must be in \[0, 9\)"):
        build("lstm", inputs="embedding", embedding_size=3)(input_ids=IDS + 8)
    with pytest.raises(ValueError, match=r"labels must be \(batch, steps\), \(2, 3\), got \(2,\)"):
        build("lstm", "token")(input_ids=IDS, labels=torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="atention_mask"):
        build("lstm")(input_ids=IDS, atention_mask=IDS)
